-- bury: tasks that leave their lease for the dead letters, which keep everything: the body too.  After lease_share in the same
-- transaction.
-- $1 id uuid[]
-- $2 lo uuid[]
-- $3 lease_id int8[]
-- $4 reason text[]
-- $5 charge int2[]
-- $6 crash int2[]
-- $7 class int2[]
-- $8 code text[]
-- $9 message text[]
-- $10 exit int4[]
-- $11 started_at timestamptz[]
-- $12 tail text[]         end of stderr
-- result: id uuid
-- tables: lease, done, tried, dead, task, amend
-- same: the leases that they leave
with p as materialized (
	select l.* from (select distinct lo, lease_id from unnest($2, $3) f(lo, lease_id)) f
	join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
	for key share of l
),
-- end
r as materialized (
	select u.*, p.bucket, p.lane, p.prio, p.run, p.attempts, p.crashes, p.worker
	from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		u(id, lo, lease_id, reason, charge, crash, class, code, message, exit, started_at, tail)
	-- same: the fence of a failure
	join p on p.lo = u.lo and p.lease_id = u.lease_id and u.id >= p.lo and u.id <= p.hi
	where not exists (select from taskq.done d where d.id = u.id)
	-- end
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, started_at, class, code, message, exit, tail)
	select r.id, r.lease_id, r.bucket, 2, r.run + 1, r.worker, r.started_at, r.class, r.code, r.message, r.exit, r.tail from r
	on conflict do nothing
	returning id
)
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, exit,
	created_at, options, payload, tail)
select r.id, r.lease_id, r.bucket, r.lane, r.prio, r.run + 1, r.attempts + r.charge, r.crashes + r.crash,
	coalesce(a.max_attempts, t.max_attempts), r.reason, r.class, r.code, r.message, r.exit, t.created_at, t.options,
	coalesce(a.payload, t.payload), r.tail
from r
join i on i.id = r.id
cross join lateral (select t.* from taskq.task t where t.id = r.id limit 1) t
left join lateral (select a.* from taskq.amend a where a.id = r.id limit 1) a on true
returning id
