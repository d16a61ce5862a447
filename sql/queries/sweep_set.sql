-- sweep_set: a sweep is paused, goes on, or is cancelled.  One that goes on begins slowly again.
-- $1 id int8
-- $2 state int2          1 goes on, 2 paused, 4 cancelled
-- $3 by text
-- $4 why text
-- result: id int8        no row: not from the state it is in
-- tables: sweep, audit
with u as (
	update taskq.sweep s set state = $2, due_at = now(), held = null,
		tat = case when $2 = 1 then null else s.tat end, begun_at = case when $2 = 1 then null else s.begun_at end,
		ended_at = case when $2 = 4 then now() end, ended_why = case when $2 = 4 then $4 end
	where s.id = $1 and ((s.state = 1 and $2 in (2, 4)) or (s.state = 2 and $2 in (1, 4)))
	returning s.id, s.act, s.moved
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select case u.act when 1 then 'replay' when 2 then 'discard' else 'fix' end || case $2 when 1 then '.resume' when 2 then '.pause'
		else '.cancel' end, $3, $4, jsonb_build_object('sweep', u.id), u.moved
	from u
)
select u.id from u
