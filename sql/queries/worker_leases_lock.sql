-- worker_leases_lock: between worker_delete and reap, in the same transaction: waits for outcomes in flight, so that reap's newer
-- snapshot sees them.
-- $1 inc int4
-- result: lo uuid
-- tables: lease
select l.lo from taskq.lease l where l.worker = $1 order by l.lo, l.lease_id for update
