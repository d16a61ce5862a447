-- cancel_waiting: first of four statements of one transaction; at most one of them finds the task.
-- $1 id uuid
-- $2 by text             who did it; empty: was not told
-- $3 why text
-- result: id uuid
-- tables: waiting, done, audit
with w as (
	delete from taskq.waiting where id = $1 returning *
),
d as (
	insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at)
	select w.id, w.bucket, w.lane, 3, w.run, w.attempts, w.crashes, now() from w
	on conflict do nothing
	returning id
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'cancel', $2, $3, jsonb_build_object('task', d.id), 1 from d
)
select d.id from d
