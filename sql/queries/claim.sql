-- claim: takes tasks from the ready ranges of the lanes asked for, in turns: each turn has its probes, best first, and takes at most
-- so many tasks.  A range that fits is deleted, a larger one is shortened; each piece becomes a lease.  The step of the worker's seq is
-- part of it: a worker that was declared dead, or a repetition of a claim that committed, gets nothing.  Every lease comes back,
-- also one whose ids are all holes (null id): the caller gives it back at once.
-- $1 inc int4
-- $2 seq int8           the new value, old + 1
-- $3 lease_id int8
-- $4 lane int4[]        probes: rows of the lane from (prio, start) on, with prio below `below`
-- $5 prio int2[]
-- $6 start uuid[]
-- $7 below int4[]
-- $8 first int4[]       of a turn: its probes are $4[first:last] and so on; no two probes cover the same row
-- $9 last int4[]
-- $10 most int4[]       of a turn: tasks
-- $11 rows int4[]       of a turn: ranges to look at: what is locked and not needed is hidden from others until the commit
-- result: lo uuid, hi uuid, lane int4, run int2, attempts int2, crashes int2, lost int2, since timestamptz, id uuid (null: the
--         range is all holes), prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea,
--         error_class int2, error_code text, turn int8
-- tables: worker, ready, lease, task, amend, tried
with w as (
	update taskq.worker set seq = $2, seen = now() where inc = $1 and seq = $2 - 1 returning inc
),
c as materialized (
	select t.turn, t.most, x.*
	from w
	cross join unnest($8, $9, $10, $11) with ordinality t(first, last, most, rows, turn)
	cross join lateral (
		select r.*, sum(r.w) over (rows unbounded preceding) - r.w before
		from (
			select r.*, taskq.pos(r.hi) - taskq.pos(r.lo) + 1 w
			from generate_series(t.first, t.last) p(i)
			cross join lateral (
				select r.* from taskq.ready r
				where r.lane = ($4)[p.i] and (r.prio, r.start) >= (($5)[p.i], ($6)[p.i]) and r.prio < ($7)[p.i]
				order by r.prio, r.start
				limit t.rows
				for update skip locked
			) r
			limit t.rows
		) r
	) x
),
s as materialized (
	select c.*, case when c.w <= c.most - c.before then c.hi else taskq.at(c.lo, taskq.pos(c.lo) + (c.most - c.before)::int - 1) end cut
	from c
	where c.before < c.most
),
d as (
	-- (any: what is no equality cannot be merged, so no walk over all that is ready is considered, however little it was at ANALYZE)
	delete from taskq.ready r using s
	where r.lane = any (array[s.lane]) and r.prio = s.prio and r.start = s.start and r.rid = s.rid and r.bucket = s.bucket and s.cut = s.hi
),
u as (
	update taskq.ready r set lo = taskq.at(s.cut, taskq.pos(s.cut) + 1), n = greatest(r.n - (taskq.pos(s.cut) - taskq.pos(s.lo) + 1), 0)
	from s
	where r.lane = any (array[s.lane]) and r.prio = s.prio and r.start = s.start and r.rid = s.rid and r.bucket = s.bucket and s.cut < s.hi
),
l as (
	insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended)
	select s.lo, $3, s.bucket, s.cut, s.lane, s.prio, $1, s.run, s.attempts, s.crashes, s.lost, s.amended from s
)
-- what a retry by hand changed, and how it failed last: looked up only for what has such a thing
select s.lo, s.cut, s.lane, s.run, s.attempts, s.crashes, s.lost, s.since, t.id, s.prio,
	case when s.amended then coalesce((select a.max_attempts from taskq.amend a where a.id = t.id limit 1), t.max_attempts) else t.max_attempts end,
	t.created_at, t.run_at, t.options,
	case when s.amended then coalesce((select a.payload from taskq.amend a where a.id = t.id limit 1), t.payload) else t.payload end,
	case when s.run > 0 then (select x.class from taskq.tried x where x.id = t.id order by x.at desc limit 1) end,
	case when s.run > 0 then (select x.code from taskq.tried x where x.id = t.id order by x.at desc limit 1) end,
	s.turn
from s
left join lateral (
	select t.* from taskq.task t where t.id >= s.lo and t.id <= s.cut and t.lane = s.lane offset 0
) t on true
