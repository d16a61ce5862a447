-- finish_again: the same as finish for a repetition: what is there already stays, and what left the lease another way is refused.
-- finish_read tells which of them are mine.
-- $1 id uuid[]
-- $2 lo uuid[]
-- $3 lease_id int8[]
-- $4 result bytea[]
-- $5 xlo uuid[]
-- $6 xlease int8[]
-- $7 plo uuid[]
-- $8 please int8[]
-- tables: lease, tried, done
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
where not exists (select from taskq.tried r where r.id = u.id and r.lease_id = u.lease_id)
on conflict do nothing
