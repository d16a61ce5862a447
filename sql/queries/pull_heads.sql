-- pull_heads: where a queue has something for clients: the first row of each of its lanes and of each priority in them, at most $3 of them.
-- When there are more, lanes behind $4 come first: so all have their turn.  What is paused is not shown.
-- $1 queue text
-- $2 kind text[]         task types that clients may lease
-- $3 most int4
-- $4 after int4
-- result: lane int4, kind text, grp text, ord text, prio int2, start uuid
-- tables: queue, kind, lane, pause, ready
with recursive q as materialized (
	select q.id, q.name from taskq.queue q
	where q.name = $1 and not exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
),
n as materialized (
	select l.id, l.grp, l.ord, k.name
	from q
	cross join unnest($2) u(kind)
	cross join lateral (
		select k.id, k.name from taskq.kind k
		where k.name = u.kind and not exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name)
		limit 1
	) k
	cross join lateral (
		select l.id, l.grp, l.ord from taskq.lane l where l.queue_id = q.id and l.kind_id = k.id offset 0
	) l
	order by l.id <= $4, l.id
),
h(lane, kind, grp, ord, prio, start) as (
	select n.id, n.name, n.grp, n.ord, f.prio, f.start
	from n
	cross join lateral (
		select r.prio, r.start from taskq.ready r where r.lane = n.id order by r.prio, r.start limit 1
	) f
	union all
	select h.lane, h.kind, h.grp, h.ord, f.prio, f.start
	from h
	cross join lateral (
		select r.prio, r.start from taskq.ready r where r.lane = h.lane and r.prio > h.prio order by r.prio, r.start limit 1
	) f
)
select h.lane, h.kind, h.grp, h.ord, h.prio, h.start from h limit $3
