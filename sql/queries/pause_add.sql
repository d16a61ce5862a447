-- pause_add: something is not started from now on.  The first who says so stays, with his reason; pause_read tells who that is.
-- $1 what int2           1 a queue, 2 a task type, 3 a handler
-- $2 name text
-- $3 why text
-- $4 by text
-- result: name text      a row: it was not paused before
-- tables: pause, audit
with p as (
	insert into taskq.pause (what, name, why, by)
	values ($1, $2, $3, $4)
	on conflict do nothing
	returning name
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select 'pause', $4, $3, jsonb_build_object((array['queue', 'type', 'handler'])[$1], p.name), 1 from p
)
select p.name from p
