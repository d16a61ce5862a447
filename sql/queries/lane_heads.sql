-- lane_heads: where something is ready: the first row, locked or not, of each lane above $1 and each of its priorities, at most $2 of
-- them; and the names of lanes that the caller knows, whether or not they hold anything.  The index is jumped over, not read: a lane that
-- is empty costs nothing, a long one no more than a short one.
-- $1 after int4
-- $2 most int4
-- $3 known int4[]
-- result: lane int4, queue text, kind text, grp text, ord text, paused bool, served bool (a worker of any
--         node has a handler), prio int2 (null: only known), start uuid
-- tables: lane, queue, kind, pause, serves, ready
with recursive h as (
	(select r.lane, r.prio, r.start from taskq.ready r where r.lane > $1 order by r.lane, r.prio, r.start limit 1)
	union all
	select n.lane, n.prio, n.start
	from h
	cross join lateral (
		select r.lane, r.prio, r.start from taskq.ready r
		where (r.lane, r.prio) > (h.lane, h.prio)
		order by r.lane, r.prio, r.start
		limit 1
	) n
)
select l.id, q.name, k.name, l.grp, l.ord,
	exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
		or exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name),
	exists (select from taskq.serves v where v.name = k.name), s.prio, s.start
from (
	(select h.lane, h.prio, h.start from h limit $2)
	union all
	select x.lane, null, null from unnest($3) x(lane)
) s
join taskq.lane l on l.id = s.lane
join taskq.queue q on q.id = l.queue_id
join taskq.kind k on k.id = l.kind_id
