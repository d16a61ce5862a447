-- worker_silent: workers that were not seen for a lease and its grace, and owners of leases that have no row at all (those of
-- clients belong to nobody: they end by themselves).
-- $1 silence int8        microseconds
-- result: inc int4
-- tables: worker, lease
select w.inc from taskq.worker w where w.seen < now() - $1 * interval '1 microsecond'
union
select o.worker from (
	select distinct l.worker from taskq.lease l where l.worker > 0 and not exists (select from taskq.worker w where w.inc = l.worker) limit 100
) o
limit 100
