-- cancel_leased: ends a running task; its worker's own outcome will be refused.  After lease_cover_lock in the same transaction.
-- $1 id uuid
-- $2 by text             as of cancel_waiting
-- $3 why text
-- result: id uuid
-- tables: lease, tried, done, audit
with d as (
	insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at)
	select $1, l.bucket, l.lane, 3, l.run + 1, l.attempts + 1, l.crashes, now()
	from taskq.lease l
	where l.lo <= $1 and l.lo >= taskq.at($1, 0) and l.hi >= $1
	and not exists (select from taskq.tried r where r.id = $1 and r.lease_id = l.lease_id)
	limit 1
	on conflict do nothing
	returning id
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'cancel', $2, $3, jsonb_build_object('task', d.id), 1 from d
)
select d.id from d
