-- cause_purge: causes that have had no letter for so long that none can be left.
-- $1 keep int8           us
-- tables: cause, cause_delta
with c as materialized (
	select c.id from taskq.cause c
	where c.id > 0 and c.open = 0 and c.changed_at < now() - interval '1 day' - $1 * interval '1 microsecond'
	and not exists (select from taskq.cause_delta x where x.cause = c.id)
	order by c.id limit 100 for update skip locked
)
delete from taskq.cause c using c y where c.id = y.id
