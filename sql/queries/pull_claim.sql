-- pull_claim: takes tasks of a queue for a client, in turns as claim does, each as a lease of its own that ends by itself.
-- A range that is used up is deleted, a larger one is shortened.  Ids that are nobody's come back with a null id: nobody has to do
-- anything about them, but there may be more behind them.  What was paused meanwhile is left.
-- $1 lease_id int8
-- $2 lane int4[]         probes, as of claim
-- $3 prio int2[]
-- $4 start uuid[]
-- $5 below int4[]
-- $6 turn int4[]
-- $7 ttl int8[]          of what each finds: microseconds
-- $8 most int4[]         of a turn: tasks
-- $9 bytes int8          of payloads, or of one: what is leased beyond them comes without its payload, to be given back
-- result: lo uuid, hi uuid, lane int4, run int2, attempts int2, crashes int2, lost int2, since timestamptz, id uuid, prio int2,
--         max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea, error_class int2, error_code text,
--         at timestamptz, until timestamptz, turn int8, full bool (the turn took all it may: there may be more), fits bool
-- tables: queue, kind, lane, pause, ready, lease, task, amend, tried
with p as materialized (
	select u.* from unnest($2, $3, $4, $5, $6, $7) with ordinality u(lane, prio, start, below, turn, ttl, place)
	cross join lateral (
		select from taskq.lane l join taskq.queue q on q.id = l.queue_id join taskq.kind k on k.id = l.kind_id
		where l.id = u.lane
		and not exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
		and not exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name)
		limit 1
	) l
	order by u.place
),
c as materialized (
	select t.turn, t.most, x.*
	from unnest($8) with ordinality t(most, turn)
	cross join lateral (
		select r.*, sum(r.w) over (rows unbounded preceding) - r.w before
		from (
			select r.*, p.ttl, taskq.pos(r.hi) - taskq.pos(r.lo) + 1 w
			from p
			cross join lateral (
				select r.* from taskq.ready r
				where r.lane = p.lane and (r.prio, r.start) >= (p.prio, p.start) and r.prio < p.below
				order by r.prio, r.start
				limit t.most
				for update skip locked
			) r
			where p.turn = t.turn
			limit t.most
		) r
	) x
),
s as materialized (
	select x.*, sum(taskq.pos(x.cut) - taskq.pos(x.lo) + 1) over (partition by x.turn) >= x.most full
	from (
		select c.*, case when c.w <= c.most - c.before then c.hi else taskq.at(c.lo, taskq.pos(c.lo) + (c.most - c.before)::int - 1) end cut
		from c
		where c.before < c.most
	) x
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
	select x.id, $1, x.bucket, x.id, x.lane, x.prio, 0, x.run, x.attempts, x.crashes, x.lost, x.amended, x.until
	from x where x.id is not null
)
select y.id, y.id, y.lane, y.run, y.attempts, y.crashes, y.lost, y.since, y.id, y.prio, y.max, y.created_at, y.run_at, y.options,
	case when y.total <= $9 or y.total = y.size then y.body end, y.class, y.code, now(), y.until, y.turn, y.full, y.total <= $9 or y.total = y.size
from (
	select x.*, coalesce(a.max_attempts, x.max_attempts) max, b.body, e.class, e.code, octet_length(b.body) size,
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
