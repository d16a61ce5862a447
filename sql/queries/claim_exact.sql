-- claim_exact: takes up to k tasks of one queue with exact limits, or of lanes in order, each as a lease of its own that is counted as
-- long as it lives.  After gate_lock in the same transaction, and after the claim, which advanced the worker's seq: the row of the
-- worker must have been written by this transaction, or this is a late try of a step that is over.  A client has no worker: its leases
-- end by themselves, so a claim whose answer was lost needs no fence.
-- Groups take turns, each with its probes in their order.  A lane in order gives its oldest task, whatever the priority, when no task of it is leased and none that is older waits.
-- Rates: tat is when the next start would be on time had there been no rest; `burst` starts may come before it.
-- $1 inc int4            0: for a client
-- $2 seq int8            the value that the claim wrote; 0 for a client
-- $3 lease_id int8
-- $4 k int4
-- $5 lane int4[]         probes, as of claim; of a lane in order the first one asks for all
-- $6 prio int2[]
-- $7 start uuid[]
-- $8 below int4[]
-- $9 concurrency int4    of the queue; 0: no limit, as all of these
-- $10 group_concurrency int4
-- $11 every int8         microseconds from start to start
-- $12 burst int4
-- $13 group_every int8
-- $14 group_burst int4
-- $15 ttl int8[]         of what each probe finds: microseconds; none for a worker, whose leases live as long as it does
-- $16 bytes int8         of payloads, or of one: what is leased beyond them comes without its payload, to be given back
-- result: lo uuid (null: not a task, but the lane is one that has something left, or null), hi uuid, lane int4, run int2, attempts int2, crashes int2, lost int2, since timestamptz,
--         id uuid, prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea,
--         error_class int2, error_code text, room int4 (for tasks of the queue, before this claim; at most k), next int8 (microseconds
--         until the rate allows the next; null or 0: it does), group_next int8 (the same of the first group that is held), at timestamptz,
--         until timestamptz, fits bool.  No row: the gate is somebody else's
-- tables: worker, gate, lease, lane, ready, waiting, task, done, amend, tried
with recursive m as materialized (
	select g.queue_id, g.tat, clock_timestamp() t
	from taskq.gate g
	where g.queue_id = nullif(current_setting('taskq.gate', true), '')::int4 and g.grp = ''
	and ($1 = 0 or exists (select from taskq.worker w where w.inc = $1 and w.seq = $2 and w.xmin = pg_current_xact_id()::xid))
),
live as materialized (
	select l.grp
	from m
	join taskq.lease x on x.counted
	cross join lateral (select l.grp from taskq.lane l where l.id = x.lane and l.queue_id = m.queue_id offset 0) l
),
q as materialized (
	select m.queue_id, m.tat, m.t, greatest(least($4,
		case when $9 > 0 then $9 - (select count(*) from live) else $4 end,
		case when $11 > 0 then taskq.starts(m.tat, m.t, $11, $12) else $4 end), 0)::int4 room
	from m
),
p as materialized (
	select u.place, u.lane, u.prio, u.start, u.below, u.ttl, l.grp, l.ord, g.tat, case when l.grp = '' then q.room else greatest(least(q.room,
		case when $10 > 0 then $10 - (select count(*) from live v where v.grp = l.grp) else q.room end,
		case when $13 > 0 then taskq.starts(g.tat, q.t, $13, $14) else q.room end), 0) end::int4 room
	from q
	cross join unnest($5, $6, $7, $8, $15) with ordinality u(lane, prio, start, below, ttl, place)
	join taskq.lane l on l.id = u.lane and l.queue_id = q.queue_id
	left join taskq.gate g on g.queue_id = q.queue_id and g.grp = l.grp and l.grp <> ''
),
free as materialized (
	select p.place, p.grp, p.ord, p.tat, p.ttl, p.room, p.room want, r.*
	from p
	cross join lateral (
		select r.* from taskq.ready r
		where p.ord = '' and r.lane = p.lane and (r.prio, r.start) >= (p.prio, p.start) and r.prio < p.below
		order by r.prio, r.start
		limit p.room + 1
		for update skip locked
	) r
),
first as ( -- of each priority
	select p.place, r.*
	from p
	cross join lateral (
		select r.lane, r.prio, r.start, r.rid, r.bucket, r.lo from taskq.ready r where p.ord <> '' and r.lane = p.lane order by r.prio, r.start limit 1
	) r
	where not exists (select from p o where o.lane = p.lane and o.place < p.place)
	union all
	select f.place, r.* from first f
	cross join lateral (
		select r.lane, r.prio, r.start, r.rid, r.bucket, r.lo from taskq.ready r where r.lane = f.lane and r.prio > f.prio order by r.prio, r.start limit 1
	) r
),
head as materialized (
	select distinct on (f.place) f.* from first f order by f.place, f.lo
),
ordered as materialized (
	select p.place, p.grp, p.ord, p.tat, p.ttl, p.room, case
		when exists (select from taskq.lease x where x.lane = h.lane and x.counted) then 0
		when exists (
			select from taskq.waiting w where w.lane = h.lane and w.counted and w.id < h.lo
			and not exists (select from taskq.done d where d.id = w.id)
		) then 0
		else least(p.room, 1) end want, r.*
	from head h
	join p on p.place = h.place
	cross join lateral (
		select r.* from taskq.ready r
		where r.lane = h.lane and r.prio = h.prio and r.start = h.start and r.rid = h.rid and r.bucket = h.bucket
		for update skip locked
	) r
),
c as materialized (
	select x.*, x.want - coalesce(sum(taskq.pos(x.hi) - taskq.pos(x.lo) + 1) over (
		partition by x.place order by x.prio, x.start, x.rid rows between unbounded preceding and 1 preceding), 0) take
	from (select * from free union all select * from ordered) x
),
found as materialized (
	select c.*, t.id, row_number() over (partition by c.grp order by c.place, c.prio, c.start, c.rid, t.id) of_group
	from c
	cross join lateral (
		select t.id from taskq.task t where t.id >= c.lo and t.id <= c.hi and t.lane = c.lane order by t.id limit greatest(c.take, 0)
	) t
),
k as materialized (
	select f.*, now() + f.ttl * interval '1 microsecond' until from found f where f.of_group <= f.room order by f.of_group, f.place, f.prio, f.start, f.rid, f.id limit (select q.room from q)
),
e as materialized (
	select c.lane, c.prio, c.start, c.rid, c.bucket, c.lo, c.hi, c.ord, x.taken, x.last,
		c.take > 0 and not exists (select from found f where f.place = c.place and f.prio = c.prio and f.start = c.start and f.rid = c.rid) hollow
	from c
	left join lateral (
		select count(*) taken, (array_agg(k.id order by k.id desc))[1] last from k
		where k.place = c.place and k.prio = c.prio and k.start = c.start and k.rid = c.rid
	) x on true
),
d as (
	delete from taskq.ready r using e
	where r.lane = e.lane and r.prio = e.prio and r.start = e.start and r.rid = e.rid and r.bucket = e.bucket and (e.last = e.hi or e.hollow)
),
u as (
	-- the key of a lane in order follows its first task, so that the order of keys is that of tasks
	update taskq.ready r set lo = taskq.at(e.last, taskq.pos(e.last) + 1), n = greatest(r.n - e.taken, 0),
		start = case when e.ord <> '' then taskq.at(e.last, taskq.pos(e.last) + 1) else r.start end
	from e
	where r.lane = e.lane and r.prio = e.prio and r.start = e.start and r.rid = e.rid and r.bucket = e.bucket and e.last < e.hi
),
l as (
	insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended, until, counted)
	select k.id, $3, k.bucket, k.id, k.lane, k.prio, $1, k.run, k.attempts, k.crashes, k.lost, k.amended, k.until, true from k
),
paid as materialized (
	select greatest(coalesce(q.tat, q.t), q.t) + (select count(*) from k) * $11 * interval '1 microsecond' tat from q where $11 > 0
),
a as (
	update taskq.gate g set tat = paid.tat from q, paid
	where g.queue_id = q.queue_id and g.grp = '' and exists (select from k)
),
group_paid as materialized (
	select p.grp, greatest(coalesce(p.tat, q.t), q.t) + (select count(*) from k where k.grp = p.grp) * $13 * interval '1 microsecond' tat
	from q, (select distinct on (p.grp) p.grp, p.tat from p where p.grp <> '') p
	where $13 > 0
),
b as (
	insert into taskq.gate (queue_id, grp, tat)
	select q.queue_id, x.grp, x.tat from q, group_paid x where exists (select from k where k.grp = x.grp)
	on conflict (queue_id, grp) do update set tat = excluded.tat
),
o as materialized (
	select q.room, (select taskq.until(paid.tat, q.t, $11, $12) from paid) next,
		(select min(w.us) from group_paid x cross join lateral taskq.until(x.tat, q.t, $13, $14) w(us) where w.us > 0) group_next
	from q
)
select y.id, y.id, y.lane, y.run, y.attempts, y.crashes, y.lost, y.since, y.id, y.prio, y.max, y.created_at, y.run_at, y.options,
	case when y.total <= $16 or y.total = y.size then y.body end, y.class, y.code, y.room, y.next, y.group_next, now(), y.until,
	y.total <= $16 or y.total = y.size
from (
	select o.room, o.next, o.group_next, k.id, k.lane, k.run, k.attempts, k.crashes, k.lost, k.since, k.prio, k.until,
		coalesce(a.max_attempts, t.max_attempts) max, t.created_at, t.run_at, t.options, b.body, f.class, f.code,
		octet_length(b.body) size, sum(octet_length(b.body)) over (rows unbounded preceding) total
	from o
	left join k on true
	left join lateral (select t.* from taskq.task t where t.id = k.id limit 1) t on true
	left join lateral (
		select a.max_attempts, a.payload from taskq.amend a where a.id = case when k.amended then k.id end limit 1
	) a on true
	cross join lateral (select coalesce(a.payload, t.payload, ''::bytea) body) b
	left join lateral (
		select x.class, x.code from taskq.tried x where x.id = case when k.run > 0 then k.id end order by x.at desc limit 1
	) f on true
) y
union all
select null, null, e.lane, null, null, null, null, null, null, null, null, null, null, null, null, null, null, o.room, o.next, o.group_next, null, null, null
from o, (select distinct e.lane from e where e.ord <> '' or not (e.hollow or coalesce(e.last = e.hi, false))) e
