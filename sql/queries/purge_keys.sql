-- purge_keys: one stretch of a walk over the pages of the keys: those that have expired and whose task is final go; a key never goes
-- before its task.  A walk asks for no index, so none is kept for it, and what it costs does not depend on what was purged before.
-- A key that comes to lie behind it waits for the next walk.  A row of keys is never updated: within the statement its place is
-- its name.
-- $1 page int8       where the stretch begins
-- $2 pages int4      of it, at most
-- $3 most int4       expired keys to look at, at most: more than a page holds
-- result: seen int8, gone int8, page int8   where the next stretch begins; null: the walk is over
-- tables: idem, done, dead
with x as materialized (
	select x.ctid place, x.task_id from taskq.idem x
	where x.ctid >= format('(%s,0)', $1)::tid and x.ctid < format('(%s,0)', $1 + $2)::tid and x.expires_at < now()
	limit $3
),
g as materialized (
	select x.place
	from x
	cross join lateral (
		select from (
			select from taskq.done d where d.id = x.task_id
			union all
			(select from taskq.dead d where d.id = x.task_id and d.resolution is null order by d.bucket limit 1)
		) f
		limit 1
	) f
),
d as (
	delete from taskq.idem i using g where i.ctid = g.place returning i.digest
)
select s.seen, (select count(*) from d), case
		when s.seen >= $3 then s.page
		when $1 + $2 < pg_relation_size('taskq.idem') / current_setting('block_size')::int8 then $1 + $2
	end
from (select count(*) seen, max((x.place::text::point)[0]::int8) page from x) s
