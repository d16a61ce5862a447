-- purge_progress: one stretch of a walk over what runs said of themselves: what belongs to a lease that is gone, or that the task
-- has left, goes.
-- $1 after uuid
-- $2 rows int4           to look at
-- result: last uuid (null: nothing is left), seen int8, gone int8
-- tables: progress, lease, tried, done
with c as materialized (
	select p.id, p.bucket, p.lease_id from taskq.progress p where p.id > $1 order by p.id limit $2
),
o as materialized (
	select c.* from c
	where exists (select from taskq.done d where d.id = c.id)
	or exists (select from taskq.tried r where r.id = c.id and r.lease_id = c.lease_id)
	or not exists (
		select from taskq.lease l where l.lo <= c.id and l.lo >= taskq.at(c.id, 0) and l.hi >= c.id and l.lease_id = c.lease_id
	)
),
d as (
	delete from taskq.progress p using o where p.id = o.id and p.bucket = o.bucket and p.lease_id = o.lease_id
	returning p.id
)
select (select c.id from c order by c.id desc limit 1), (select count(*) from c), (select count(*) from d)
