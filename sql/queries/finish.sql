-- finish: successes, fenced: only ids inside a lease that still exists with its lease_id get a done row.  A lease whose last
-- tasks these are goes in the same statement.  The ids come lease by lease, so that each is held against its own lease and no other.  The
-- plain INSERT is the fast one; when a row is there already (cancelled, or a repetition) it fails with 23505 and finish_again takes over.
-- The "any" is not an equality, so it cannot be merged: no walk over all the leases is considered, however few there were at ANALYZE.
-- $1 id uuid[]           sorted by lease
-- $2 result bytea[]
-- $3 lo uuid[]           each of the leases once
-- $4 lease_id int8[]
-- $5 first int4[]        its ids are $1[first:last]
-- $6 last int4[]
-- $7 ends bool[]         it ends with this statement; else it lives on
-- result: id uuid        accepted
-- tables: lease, done
-- same: successes, fenced by their leases
with x as materialized (
	delete from taskq.lease l using unnest($3, $4, $5, $6, $7) f(lo, lease_id, first, last, ends)
	where f.ends and l.lo = any (array[f.lo]) and l.lease_id = f.lease_id
	returning l.lo, l.hi, l.lease_id, l.bucket, l.lane, l.run, l.attempts, l.crashes, f.first, f.last
),
p as materialized (
	select l.lo, l.hi, l.lease_id, l.bucket, l.lane, l.run, l.attempts, l.crashes, f.first, f.last
	from unnest($3, $4, $5, $6, $7) f(lo, lease_id, first, last, ends)
	cross join lateral (
		select l.* from taskq.lease l where l.lo = f.lo and l.lease_id = f.lease_id for key share of l offset 0
	) l
	where not f.ends
),
a as materialized (select * from x union all select * from p)
insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at, result)
select u.id, a.bucket, a.lease_id, a.lane, 1, a.run + 1, a.attempts + 1, a.crashes, now(), u.result
from a
cross join lateral unnest(($1)[a.first:a.last], ($2)[a.first:a.last]) u(id, result)
where u.id >= a.lo and u.id <= a.hi
-- end
returning id
