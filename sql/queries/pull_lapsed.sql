-- pull_lapsed: leases of clients that have ended without a word of their holders, the longest ago first.  It locks nothing: who acts on them is fenced,
-- and nobody can extend them any more.
-- $1 limit int4
-- result: id uuid, lease_id int8
-- tables: lease
select l.lo, l.lease_id from taskq.lease l where l.until <= now() order by l.until limit $1
