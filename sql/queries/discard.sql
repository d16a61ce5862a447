-- discard: tasks that end as failed: no letter, only the done row and the tried row with the reason.  After lease_share in the same
-- transaction.
-- $1 id uuid[]
-- $2 lo uuid[]
-- $3 lease_id int8[]
-- $4 charge int2[]
-- $5 crash int2[]
-- $6 class int2[]
-- $7 code text[]
-- $8 message text[]
-- $9 exit int4[]
-- $10 started_at timestamptz[]
-- $11 tail text[]         end of stderr
-- result: id uuid
-- tables: lease, done, tried
-- same: the leases that they leave
with p as materialized (
	select l.* from (select distinct lo, lease_id from unnest($2, $3) f(lo, lease_id)) f
	join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
	for key share of l
),
-- end
r as materialized (
	select u.*, p.bucket, p.lane, p.run, p.attempts, p.crashes, p.worker
	from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		u(id, lo, lease_id, charge, crash, class, code, message, exit, started_at, tail)
	-- same: the fence of a failure
	join p on p.lo = u.lo and p.lease_id = u.lease_id and u.id >= p.lo and u.id <= p.hi
	where not exists (select from taskq.done d where d.id = u.id)
	-- end
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, started_at, class, code, message, exit, tail)
	select r.id, r.lease_id, r.bucket, 4, r.run + 1, r.worker, r.started_at, r.class, r.code, r.message, r.exit, r.tail from r
	on conflict do nothing
	returning id
)
insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at)
select r.id, r.bucket, r.lease_id, r.lane, 2, r.run + 1, r.attempts + r.charge, r.crashes + r.crash, now()
from r join i on i.id = r.id
returning id
