-- pull_claim: takes up to k tasks of a queue for a client, best priority first over all its lanes, each as a lease of its own that ends by itself.
-- A range that is used up is deleted, a larger one is shortened, as in claim.  A range whose ids are all holes comes back with a
-- null id: nobody has to do anything about it, but there may be more behind it.
-- $1 queue text
-- $2 kind text[]         task types that clients may lease
-- $3 ttl int8[]          of each: microseconds
-- $4 lease_id int8
-- $5 k int4
-- $6 bytes int8          of payloads, or of one: what is leased beyond them comes without its payload, to be given back
-- result: id uuid, lane int4, kind text, grp text, prio int2, run int2, attempts int2, crashes int2, lost int2, since timestamptz, at timestamptz, until timestamptz,
--         max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea, error_class int2, error_code text, fits bool
-- tables: queue, kind, lane, pause, ready, lease, task, amend, tried
with recursive q as materialized (
	select q.id, q.name from taskq.queue q
	where q.name = $1 and not exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
),
n as materialized (
	select l.id, l.grp, k.name, u.ttl
	from q
	cross join unnest($2, $3) u(kind, ttl)
	cross join lateral (
		select k.id, k.name from taskq.kind k
		where k.name = u.kind and not exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name)
		limit 1
	) k
	cross join lateral (
		select l.id, l.grp from taskq.lane l where l.queue_id = q.id and l.kind_id = k.id and l.ord = '' offset 0
	) l
),
h(lane, grp, kind, ttl, prio, start) as (
	select n.id, n.grp, n.name, n.ttl, f.prio, f.start
	from n
	cross join lateral (
		select r.prio, r.start from taskq.ready r where r.lane = n.id order by r.prio, r.start limit 1
	) f
	union all
	select h.lane, h.grp, h.kind, h.ttl, f.prio, f.start
	from h
	cross join lateral (
		select r.prio, r.start from taskq.ready r where r.lane = h.lane and r.prio > h.prio order by r.prio, r.start limit 1
	) f
),
b as materialized (
	select * from h order by h.prio, h.start
),
c as materialized (
	select r.*, b.grp, b.kind, b.ttl
	from b
	cross join lateral (
		select r.* from taskq.ready r
		where r.lane = b.lane and r.prio = b.prio
		order by r.prio, r.start
		limit $5
		for update skip locked
	) r
	limit $5
),
s as materialized (
	select x.*, case when x.w <= $5 - x.before then x.hi else taskq.at(x.lo, taskq.pos(x.lo) + ($5 - x.before)::int - 1) end cut
	from (
		select c.*, taskq.pos(c.hi) - taskq.pos(c.lo) + 1 w,
			sum(taskq.pos(c.hi) - taskq.pos(c.lo) + 1) over (rows unbounded preceding) - (taskq.pos(c.hi) - taskq.pos(c.lo) + 1) before
		from c
	) x
	where x.before < $5
),
d as (
	delete from taskq.ready r using s
	where r.lane = s.lane and r.prio = s.prio and r.start = s.start and r.rid = s.rid and r.bucket = s.bucket and s.cut = s.hi
),
u as (
	update taskq.ready r set lo = taskq.at(s.cut, taskq.pos(s.cut) + 1), n = greatest(r.n - (taskq.pos(s.cut) - taskq.pos(s.lo) + 1), 0)
	from s
	where r.lane = s.lane and r.prio = s.prio and r.start = s.start and r.rid = s.rid and r.bucket = s.bucket and s.cut < s.hi
),
x as materialized (
	select s.*, t.id, now() + s.ttl * interval '1 microsecond' until, t.max_attempts, t.created_at, t.run_at, t.options, t.payload
	from s
	left join lateral (
		select t.* from taskq.task t where t.id >= s.lo and t.id <= s.cut and t.lane = s.lane offset 0
	) t on true
),
i as (
	insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended, until)
	select x.id, $4, x.bucket, x.id, x.lane, x.prio, 0, x.run, x.attempts, x.crashes, x.lost, x.amended, x.until
	from x where x.id is not null
)
select y.id, y.lane, y.kind, y.grp, y.prio, y.run, y.attempts, y.crashes, y.lost, y.since, now(), y.until, y.most, y.created_at, y.run_at, y.options,
	case when y.total <= $6 or y.total = y.size then y.body end, y.class, y.code, y.total <= $6 or y.total = y.size
from (
	select x.*, coalesce(a.max_attempts, x.max_attempts) most, b.body, e.class, e.code, octet_length(b.body) size,
		sum(octet_length(b.body)) over (rows unbounded preceding) total
	from x
	left join lateral (
		select a.max_attempts, a.payload from taskq.amend a where a.id = case when x.amended then x.id end limit 1
	) a on true
	cross join lateral (select coalesce(a.payload, x.payload, ''::bytea) body) b
	left join lateral (
		select r.class, r.code from taskq.tried r where r.id = case when x.run > 0 then x.id end order by r.at desc limit 1
	) e on true
) y
