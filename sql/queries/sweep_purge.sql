-- sweep_purge: sweeps that ended so long ago that no letter which they resolved is left; their tokens may be used again.
-- $1 keep int8           us
-- tables: sweep
with c as materialized (
	select s.id from taskq.sweep s
	where s.id > 0 and s.in_flight = 0 and s.ended_at < now() - interval '1 day' - $1 * interval '1 microsecond'
	order by s.id limit 100 for update skip locked
)
delete from taskq.sweep s using c where c.id = s.id
