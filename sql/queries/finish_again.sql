-- finish_again: the same as finish for a repetition: what is there already stays, and what left the lease another way is refused.
-- finish_read tells which of them are mine.
-- $1 id uuid[]
-- $2 result bytea[]
-- $3 lo uuid[]
-- $4 lease_id int8[]
-- $5 first int4[]
-- $6 last int4[]
-- $7 ends bool[]
-- tables: lease, tried, done
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
and not exists (select from taskq.tried r where r.id = u.id and r.lease_id = a.lease_id)
on conflict do nothing
