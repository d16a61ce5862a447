-- lease_drop: leases whose last outcomes were written by the statements before this one in the same transaction.
-- $1 lo uuid[]
-- $2 lease_id int8[]
-- tables: lease
delete from taskq.lease l using unnest($1, $2) f(lo, lease_id) where l.lo = f.lo and l.lease_id = f.lease_id
