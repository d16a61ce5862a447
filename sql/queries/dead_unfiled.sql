-- dead_unfiled: letters that were not filed yet, oldest first.
-- $1 most int4
-- result: id uuid, lease_id int8, bucket int2, reason text, class int2, code text, message text, options bytea
-- tables: dead
select d.id, d.lease_id, d.bucket, d.reason, d.class, d.code, d.message, d.options
from taskq.dead d where d.cause is null order by d.died_at limit $1
