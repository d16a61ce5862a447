-- lease_cover_lock: locks the leases that cover a task, before cancel_leased or a retry by hand looks again with a newer snapshot.
-- $1 id uuid
-- result: lease_id int8
-- tables: lease
select l.lease_id from taskq.lease l
where l.lo <= $1 and l.lo >= taskq.at($1, 0) and l.hi >= $1
order by l.lo, l.lease_id
for update
