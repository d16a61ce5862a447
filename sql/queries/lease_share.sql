-- lease_share: before retry and bury, in the same transaction: with the leases held, a cancellation has either committed, and the
-- next statement sees its done row, or waits for us.
-- $1 lo uuid[]
-- $2 lease_id int8[]
-- result: lo uuid
-- tables: lease
select l.lo from unnest($1, $2) f(lo, lease_id)
join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
order by l.lo, l.lease_id
for key share of l
