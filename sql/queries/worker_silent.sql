-- worker_silent: workers that were not seen for a lease and its grace, or seen at a time that is still to come (the clock was set back), and
-- owners of leases that have no row at all (those of clients belong to nobody: they end by themselves).  One row with inc 0 when
-- there is none: the clock is told in any case.  A try of worker_new that came late may have left a second row: the last one counts.
-- $1 silence int8        microseconds
-- result: inc int4, clock int8
-- tables: worker, lease
select coalesce(o.inc, 0) inc, (extract(epoch from clock_timestamp()) * 1000000)::int8 clock
from (values (1)) one
left join (
	select w.inc from taskq.worker w
	where (w.seen < now() - $1 * interval '1 microsecond' or w.seen > now() + $1 * interval '1 microsecond')
	and not exists (select from taskq.worker n where n.inc = w.inc and n.seq > w.seq)
	union
	select o.worker from (
		select distinct l.worker from taskq.lease l
		where l.worker > 0 and not exists (select from taskq.worker w where w.inc = l.worker)
		limit 100
	) o
	limit 100
) o on true
