-- queues: what is in each queue now.  A bounded look, so flat in cost: of so many lanes that have something ready the first ranges, the
-- first of what waits, the first leases; where a bound was met the numbers are the least that there is.
-- $1 lanes int4          most lanes
-- $2 ranges int4         most ready ranges of a lane
-- $3 rows int4           most rows of waiting, and of lease
-- $4 queues int4         most queues, by name
-- result: name text, ready int8, oldest_at timestamptz (null: nothing is ready), waiting int8, due_at timestamptz (null: nothing waits),
--         processing int8, least bool, paused bool, why text, by text, at timestamptz, now timestamptz
-- tables: queue, lane, ready, waiting, lease, task, done, tried, pause
with recursive l(lane) as (
	-- same: each lane that has something ready
	(select r.lane from taskq.ready r where r.lane > 0 order by r.lane limit 1)
	union all
	select (select r.lane from taskq.ready r where r.lane > l.lane order by r.lane limit 1) from l where l.lane is not null
	-- end
),
a as materialized (
	select l.lane from l where l.lane is not null limit $1
),
r as materialized (
	select a.lane, sum(x.n)::int8 n, min(x.since) since, count(*) >= $2 least
	from a
	cross join lateral (select y.n, y.since from taskq.ready y where y.lane = a.lane order by y.prio, y.start limit $2) x
	group by a.lane
),
b as materialized (
	select w.lane, w.due_at from taskq.waiting w where w.due_at > '-infinity' order by w.due_at limit $3
),
s as materialized (
	select y.lo, y.hi, y.lease_id, y.lane from taskq.lease y where y.lo > '00000000-0000-0000-0000-000000000000' order by y.lo limit $3
),
p as materialized (
	select s.lane, count(*) n
	from s
	cross join lateral (
		select t.id from taskq.task t where t.id >= s.lo and t.id <= s.hi and t.lane = s.lane offset 0
	) t
	where not exists (select from taskq.done d where d.id = t.id)
	and not exists (select from taskq.tried x where x.id = t.id and x.lease_id = s.lease_id)
	group by s.lane
),
m as materialized (
	select n.queue_id, sum(u.ready)::int8 ready, min(u.since) since, sum(u.waiting)::int8 waiting, min(u.due) due,
		sum(u.processing)::int8 processing, bool_or(u.least) least
	from (
		select r.lane, r.n, r.since, 0, null::timestamptz, 0, r.least from r
		union all
		select b.lane, 0, null, count(*), min(b.due_at), 0, false from b group by b.lane
		union all
		select p.lane, 0, null, 0, null, p.n, false from p
	) u(lane, ready, since, waiting, due, processing, least)
	cross join lateral (select n.queue_id from taskq.lane n where n.id = u.lane limit 1) n
	group by n.queue_id
),
q as materialized (
	select q.id, q.name from taskq.queue q order by q.name limit $4
),
z as materialized (
	select q.id, q.name from q
	union all
	(select null, e.name from taskq.pause e where e.what = 1 and not exists (select from taskq.queue o where o.name = e.name) limit $4)
)
select z.name, coalesce(m.ready, 0), m.since, coalesce(m.waiting, 0), m.due, coalesce(m.processing, 0),
	coalesce(m.least, false) or (select count(*) from a) >= $1 or (select count(*) from b) >= $3 or (select count(*) from s) >= $3,
	e.name is not null, e.why, e.by, e.at, now()
from z
left join lateral (select m.* from m where m.queue_id = z.id limit 1) m on true
left join lateral (select e.* from taskq.pause e where e.what = 1 and e.name = z.name limit 1) e on true
order by z.name
