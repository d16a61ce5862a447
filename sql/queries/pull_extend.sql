-- pull_extend: leases of clients end later, or sooner; never after the life of a run.  One that has ended is not begun again.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- $3 ttl int8[]          microseconds from now
-- $4 life int8[]         microseconds from the claim
-- result: id uuid, lease_id int8, until timestamptz
-- tables: lease
update taskq.lease l
set until = least(clock_timestamp() + u.ttl * interval '1 microsecond', l.at + u.life * interval '1 microsecond')
from unnest($1, $2, $3, $4) u(id, lease_id, ttl, life)
where l.lo = u.id and l.lease_id = u.lease_id and l.worker = 0 and coalesce(l.until, '-infinity') > clock_timestamp()
returning l.lo, l.lease_id, l.until
