-- dead_purge: one stretch of a walk over the letters: resolved ones that are old go.
-- $1 after uuid
-- $2 after_lease int8
-- $3 rows int4           to look at
-- $4 keep int8           us
-- result: last uuid (null: nothing is left), last_lease int8, seen int8, gone int8
-- tables: dead
with c as materialized (
	select d.id, d.lease_id, d.bucket, d.cause is not null and d.resolved_at < now() - $4 * interval '1 microsecond' old
	from taskq.dead d where (d.id, d.lease_id) > ($1, $2) order by d.id, d.lease_id limit $3
),
d as (
	delete from taskq.dead d using c where c.old and d.id = c.id and d.lease_id = c.lease_id and d.bucket = c.bucket returning d.id
)
select z.id, z.lease_id, (select count(*) from c), (select count(*) from d)
from (select) one left join lateral (select c.id, c.lease_id from c order by c.id desc, c.lease_id desc limit 1) z on true
