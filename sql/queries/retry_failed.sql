-- retry_failed: a failed task runs again: its done row is taken out.  After retry_mark in the same transaction.  A try that was
-- thought lost and comes late does not take out a later row.
-- $1 id uuid
-- $2 extra int4
-- $3 reset bool
-- $4 rid int8
-- $5 run int4            of the done row that was seen
-- $6 by text             who did it; empty: was not told
-- $7 why text
-- result: lane int4
-- tables: done, task, amend, ready, audit
with d as (
	delete from taskq.done where id = $1 and run = $5 and status = 2 returning *
),
a as (
	insert into taskq.amend (id, bucket, version, max_attempts)
	select t.id, t.bucket, 1, least(t.max_attempts + $2, 32000) from d join taskq.task t on t.id = d.id
	on conflict (id, bucket) do update set max_attempts = least(amend.max_attempts + $2, 32000)
),
u as (
	insert into taskq.audit (act, by, why, target, n) select 'retry', $6, $7, jsonb_build_object('task', d.id), 1 from d
)
insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, amended)
select d.lane, t.prio, d.id, $4, d.bucket, d.id, d.id, 1, d.run, case when $3 then 0 else d.attempts end, 0, true
from d join taskq.task t on t.id = d.id
returning lane
