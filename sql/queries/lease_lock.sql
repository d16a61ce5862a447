-- lease_lock: before the end of a lease moves.  The computing follows in a statement of its own, whose snapshot is newer than the lock.
-- $1 lo uuid[]
-- $2 lease_id int8[]
-- result: lo uuid, lease_id int8
-- tables: lease
select l.lo, l.lease_id from unnest($1, $2) f(lo, lease_id)
join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
order by l.lo, l.lease_id
for update of l
