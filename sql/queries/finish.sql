-- finish: successes, fenced: only ids inside a lease that still exists with its lease_id get a done row.  A lease whose last
-- tasks these are goes in the same statement.  The plain INSERT is the fast one; when a row is there already (cancelled, or
-- a repetition) it fails with 23505 and finish_again takes over.
-- $1 id uuid[]
-- $2 lo uuid[]           of the lease of each id
-- $3 lease_id int8[]     of each id
-- $4 result bytea[]
-- $5 xlo uuid[]          leases that end with this statement
-- $6 xlease int8[]
-- $7 plo uuid[]          leases that live on
-- $8 please int8[]
-- result: id uuid        accepted
-- tables: lease, done
with x as materialized (
	delete from taskq.lease l using unnest($5, $6) f(lo, lease_id)
	where l.lo = f.lo and l.lease_id = f.lease_id
	returning l.*
),
p as materialized (
	select l.* from unnest($7, $8) f(lo, lease_id)
	join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
	for key share of l
),
a as materialized (select * from x union all select * from p)
insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at, result)
select u.id, a.bucket, a.lease_id, a.lane, 1, a.run + 1, a.attempts + 1, a.crashes, now(), u.result
from unnest($1, $2, $3, $4) u(id, lo, lease_id, result)
join a on a.lo = u.lo and a.lease_id = u.lease_id and u.id >= a.lo and u.id <= a.hi
returning id
