-- shape: how old what is in the queues is.  A bounded look, as of `queues`: where a bound was met there are more, and `least` says so.  The age is
-- that since the submission, of dead letters that since the death.
-- $1 minutes int4[]      upper ends of the spans of age, ascending; the last span has none
-- $2 lanes int4          most lanes with something ready, those
-- $3 ranges int4         of which so many ranges are looked at in each
-- $4 rows int4           most rows of waiting
-- $5 leases int4         most leases
-- $6 causes int4         most causes of dead letters, those with most open ones, and ...
-- $7 letters int4        the oldest letters of each
-- $8 queue text          null: all
-- $9 types bool          by task type too
-- result: least bool, queue text (null: nothing is there, the only row), kind text, state int2 (1 ready, 2 waiting, 3 processing, 4 dead), span int4 (0: the
--         youngest), n int8
-- tables: queue, kind, lane, ready, waiting, lease, task, done, tried, cause, dead
with recursive e as materialized (
	select array_agg(now() - m * interval '1 minute' order by m desc) times, array_agg(taskq.floor(now() - m * interval '1 minute') order by m desc) ids,
		count(*)::int4 top
	from unnest($1) m
),
l(lane) as (
	-- same: each lane that has something ready
	(select r.lane from taskq.ready r where r.lane > 0 order by r.lane limit 1)
	union all
	select (select r.lane from taskq.ready r where r.lane > l.lane order by r.lane limit 1) from l where l.lane is not null
	-- end
),
a as materialized (
	select l.lane from l where l.lane is not null limit $2
),
r as materialized (
	select a.lane, x.lo, x.n, x.place
	from a
	cross join lateral (
		select y.lo, y.n, row_number() over (order by y.prio, y.start) place from taskq.ready y where y.lane = a.lane order by y.prio, y.start limit $3
	) x
),
b as materialized (
	select w.lane, w.id from taskq.waiting w where w.due_at > '-infinity' order by w.due_at limit $4
),
s as materialized (
	select y.lo, y.hi, y.lease_id, y.lane from taskq.lease y where y.lo > '00000000-0000-0000-0000-000000000000' order by y.lo limit $5
),
p as materialized (
	select s.lane, t.id
	from s
	cross join lateral (
		select t.id from taskq.task t where t.id >= s.lo and t.id <= s.hi and t.lane = s.lane offset 0
	) t
	where not exists (select from taskq.done d where d.id = t.id)
	and not exists (select from taskq.tried x where x.id = t.id and x.lease_id = s.lease_id)
),
c as materialized (
	select c.id, c.queue_id, c.kind_id from taskq.cause c
	where c.open > 0 and ($8::text is null or c.queue_id = (select q.id from taskq.queue q where q.name = $8))
	order by c.open desc limit $6
),
d as materialized (
	select c.queue_id, c.kind_id, x.died_at, x.place
	from c
	cross join lateral (
		select y.died_at, row_number() over (order by y.died_at) place from taskq.dead y where y.cause = c.id and y.resolution is null
		order by y.died_at limit $7
	) x
),
u as (
	select n.queue_id, n.kind_id, u.state, u.span, sum(u.n) n
	from (
		select r.lane, 1, e.top - width_bucket(r.lo, e.ids), sum(r.n) from r, e group by 1, 3
		union all
		select b.lane, 2, e.top - width_bucket(b.id, e.ids), count(*) from b, e group by 1, 3
		union all
		select p.lane, 3, e.top - width_bucket(p.id, e.ids), count(*) from p, e group by 1, 3
	) u(lane, state, span, n)
	cross join lateral (select n.queue_id, n.kind_id from taskq.lane n where n.id = u.lane limit 1) n
	group by 1, 2, 3, 4
	union all
	select d.queue_id, d.kind_id, 4, e.top - width_bucket(d.died_at, e.times), count(*) from d, e group by 1, 2, 4
),
g as materialized (
	select q.name queue, case when $9 then k.name end kind, u.state, u.span, sum(u.n)::int8 n
	from u
	cross join lateral (select q.name from taskq.queue q where q.id = u.queue_id limit 1) q
	cross join lateral (select k.name from taskq.kind k where k.id = u.kind_id limit 1) k
	where $8::text is null or q.name = $8
	group by 1, 2, 3, 4
),
m as materialized (
	select (select count(*) from a) >= $2 or exists (select from r where r.place >= $3) or (select count(*) from b) >= $4
		or (select count(*) from s) >= $5 or (select count(*) from c) >= $6 or exists (select from d where d.place >= $7) least
)
select m.least, g.queue, g.kind, g.state::int2, g.span, g.n
from m left join lateral (select g.* from g) g on true
order by g.queue, g.kind, g.state, g.span
