-- expire_waiting: the same for what waits for its time still.  After expire_ready in the same
-- transaction.
-- $1 most int4
-- $2 rid int8
-- result: id uuid
-- tables: expiry, waiting, tried, dead, task, amend
with e as materialized (
	select x.id from taskq.expiry x where x.at <= now() order by x.at limit $1 for update skip locked
),
h as (
	delete from taskq.waiting w using e where w.id = e.id and w.run = 0 returning w.*
),
-- same: what expired is dead
z as (
	delete from taskq.expiry x using h where x.id = h.id
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, class, code, message)
	select h.id, $2, h.bucket, 2, 1, 0, 3, 'EXPIRED', 'not started in time' from h
)
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message,
	created_at, options, payload)
select h.id, $2, h.bucket, h.lane, h.prio, 1, h.attempts, h.crashes, coalesce(a.max_attempts, t.max_attempts), 'EXPIRED', 3,
	'EXPIRED', 'not started in time', t.created_at, t.options, coalesce(a.payload, t.payload)
from h
cross join lateral (select t.* from taskq.task t where t.id = h.id limit 1) t
left join lateral (select a.* from taskq.amend a where a.id = h.id limit 1) a on true
returning id
-- end
