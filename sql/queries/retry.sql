-- retry: tasks that leave their lease to wait.  After lease_share in the same transaction.  Fenced like finish; the tried row is what makes the exit happen once.
-- $1 id uuid[]
-- $2 lo uuid[]
-- $3 lease_id int8[]
-- $4 delay int8[]        microseconds from now
-- $5 charge int2[]       1: the run counts against max_attempts
-- $6 crash int2[]        1: the run counts as a crash
-- $7 class int2[]
-- $8 code text[]
-- $9 message text[]
-- $10 exit int4[]
-- $11 started_at timestamptz[]
-- $12 tail text[]         end of stderr
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
	from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		u(id, lo, lease_id, delay, charge, crash, class, code, message, exit, started_at, tail)
	-- same: the fence of a failure
	join p on p.lo = u.lo and p.lease_id = u.lease_id and u.id >= p.lo and u.id <= p.hi
	where not exists (select from taskq.done d where d.id = u.id)
	-- end
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, started_at, class, code, message, exit, tail)
	select r.id, r.lease_id, r.bucket, 1, r.run + 1, r.worker, r.started_at, r.class, r.code, r.message, r.exit, r.tail from r
	on conflict do nothing
	returning id
)
insert into taskq.waiting (id, bucket, due_at, lane, prio, run, attempts, crashes, lost, amended, why, counted)
select r.id, r.bucket, now() + r.delay * interval '1 microsecond', r.lane, r.prio, r.run + 1, r.attempts + r.charge,
	r.crashes + r.crash, r.lost, r.amended, 2, r.counted
from r join i on i.id = r.id
returning id, due_at
