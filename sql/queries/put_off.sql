-- put_off: tasks whose handler does not want them now: they leave their lease to wait, and no attempt is charged.  After lease_share in the
-- same transaction.  Fenced like retry; no failure is told, for there was none.
-- $1 id uuid[]
-- $2 lo uuid[]
-- $3 lease_id int8[]
-- $4 delay int8[]        microseconds from now
-- $5 started_at timestamptz[]
-- result: id uuid, due_at timestamptz
-- tables: lease, done, tried, waiting
-- same: the leases that they leave
with p as materialized (
	select l.* from (select distinct lo, lease_id from unnest($2, $3) f(lo, lease_id)) f
	join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
	for key share of l
),
-- end
r as materialized (
	select u.*, p.bucket, p.lane, p.prio, p.run, p.attempts, p.crashes, p.lost, p.amended, p.worker, p.counted
	from unnest($1, $2, $3, $4, $5) u(id, lo, lease_id, delay, started_at)
	-- same: the fence of a failure
	join p on p.lo = u.lo and p.lease_id = u.lease_id and u.id >= p.lo and u.id <= p.hi
	where not exists (select from taskq.done d where d.id = u.id)
	-- end
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, started_at)
	select r.id, r.lease_id, r.bucket, 5, r.run + 1, r.worker, r.started_at from r
	on conflict do nothing
	returning id
)
insert into taskq.waiting (id, bucket, due_at, lane, prio, run, attempts, crashes, lost, amended, why, counted)
select r.id, r.bucket, now() + r.delay * interval '1 microsecond', r.lane, r.prio, r.run + 1, r.attempts, r.crashes, r.lost, r.amended,
	3, r.counted
from r join i on i.id = r.id
returning id, due_at
