-- page: stretches of tasks, newest first: in each row a task, or what else there is about one (ready: about those of a lane and priority from
-- `id` to `hi`).  The state follows as in get: done, else a letter, else a lease that was not left, else waiting, else ready; who reads the rows
-- tells (store_stretch.c).  What a table has of a stretch is read at once, because to begin a look-up costs more than a row.  What is
-- long is left to get.
-- $1 before uuid[]       only older tasks than this id, and ...
-- $2 floor uuid[]        ... none older than this one
-- $3 most int4[]         tasks of each stretch
-- $4 from uuid           the least floor, and ...
-- $5 to uuid             ... the greatest before: partitions outside are not opened
-- $6 long int4           a payload or result of so many bytes is not shown
-- result: n int8 (16 times the stretch, and the part: 0 task, 1 lane, 2 amend, 3 ready, 4 waiting, 5 lease, 6 letter, 7 done, 8 replayed, 9 error), id uuid,
--         lane int4, queue text (of an error its message), kind text (its code), grp text, ord text, prio int2, max_attempts int2,
--         created_at timestamptz (of a task; of any other part since when it is so), run_at timestamptz, options bytea, body bytea, long bool (or null),
--         status int2 (of an error its class), run int4, attempts int4, crashes int4, hi uuid
-- tables: task, done, dead, lease, tried, waiting, ready, amend, lane, queue, kind
select p.n * 16 + y.part, y.id, y.lane, y.queue, y.kind, y.grp, y.ord, y.prio, y.max_attempts, y.created_at, y.run_at, y.options, y.body, y.long, y.status,
	y.run, y.attempts, y.crashes, y.hi
from unnest($1, $2, $3) with ordinality p(before, floor, most, n)
cross join lateral (
	with t as materialized (
		select t.* from taskq.task t where t.id < p.before and t.id >= p.floor and t.id < $5 and t.id >= $4 order by t.id desc limit p.most
	), b as materialized (
		select m.lo, taskq.at(m.lo, 0) first from (select t.id lo from t order by t.id limit 1) m
	), k as materialized (
		select distinct t.lane, t.prio from t
	)
	select 0 part, t.id, t.lane, null::text queue, null::text kind, null::text grp, null::text ord, t.prio, t.max_attempts, t.created_at, t.run_at, t.options,
		case when octet_length(t.payload) < $6 then t.payload end body, nullif(octet_length(t.payload) >= $6, false) long,
		null::int2 status, null::int4 run, null::int4 attempts, null::int4 crashes, null::uuid hi
	from t
	union all
	select 1, null, k.lane, l.queue, l.kind, l.grp, l.ord, null, null, null, null, null, null, null, null, null, null, null, null
	from k cross join lateral (
		select q.name queue, z.name kind, l.grp, l.ord from taskq.lane l, taskq.queue q, taskq.kind z
		where l.id = k.lane and q.id = l.queue_id and z.id = l.kind_id limit 1
	) l
	union all
	select 2, a.id, null, null, null, null, null, null, a.max_attempts, null, null, null, a.body, a.long, null, null, null, null, null
	from b cross join lateral (
		select a.id, a.max_attempts, case when octet_length(a.payload) < $6 then a.payload end body, nullif(octet_length(a.payload) >= $6, false) long
		from taskq.amend a where a.id >= b.lo and a.id < p.before offset 0
	) a
	union all
	select 3, r.lo, k.lane, null, null, null, null, k.prio, null, null, null, null, null, null, null, r.run, r.attempts, r.crashes, r.hi
	from b cross join k cross join lateral (
		select r.lo, r.hi, r.run::int4, r.attempts::int4, (r.crashes + r.lost)::int4 crashes from taskq.ready r
		where r.lane = k.lane and r.prio = k.prio and r.start >= b.first and r.start < p.before and r.lo < p.before and r.hi >= b.lo offset 0
	) r
	union all
	select 4, w.id, null, null, null, null, null, null, null, null, null, null, null, null, null, w.run, w.attempts, w.crashes, null
	from b cross join lateral (
		select w.id, w.run::int4, w.attempts::int4, (w.crashes + w.lost)::int4 crashes from taskq.waiting w where w.id >= b.lo and w.id < p.before offset 0
	) w
	union all
	select 5, s.id, null, null, null, null, null, null, null, s.at, null, null, null, null, null, s.run, s.attempts, s.crashes, null
	from (
		select distinct on (t.id) t.id, s.run, s.attempts, s.crashes, s.at
		from b cross join lateral (
			select s.lo, s.hi, s.lease_id, s.run + 1 run, s.attempts + 1 attempts, (s.crashes + s.lost)::int4 crashes, s.at
			from taskq.lease s where s.lo >= b.first and s.lo < p.before and s.hi >= b.lo offset 0
		) s join t on t.id >= s.lo and t.id <= s.hi
		left join lateral (
			select r.id from taskq.tried r where r.id = t.id and r.id < $5 and r.id >= $4 and r.lease_id = s.lease_id limit 1
		) r on true
		where r.id is null
		order by t.id, s.lo desc
	) s
	union all
	select case when x.resolution is null then 6 else 8 end, x.id, null, null, null, null, null, null, null, coalesce(x.resolved_at, x.died_at), null, null, null,
		null, null, x.run, x.attempts, x.crashes, null
	from b cross join lateral (
		select x.id, x.resolution, x.run::int4, x.attempts::int4, x.crashes::int4, x.resolved_at, x.died_at from taskq.dead x
		where x.id >= b.lo and x.id < p.before and coalesce(x.resolution, 1) = 1 offset 0
	) x
	union all
	select 7, d.id, null, null, null, null, null, null, null, d.finished_at, null, null, d.body, d.long, d.status, d.run, d.attempts, d.crashes, null
	from b cross join lateral (
		select d.id, case when octet_length(d.result) < $6 then d.result end body, nullif(octet_length(d.result) >= $6, false) long,
			d.status, d.run::int4, d.attempts::int4, d.crashes::int4, d.finished_at
		from taskq.done d where d.id >= b.lo and d.id < p.before and d.id < $5 and d.id >= $4 offset 0
	) d
	union all
	select 9, e.id, null, e.message, e.code, null, null, null, null, e.at, null, null, null, null, e.class, null, null, null, null
	from b cross join lateral (
		select distinct on (f.id) f.id, f.at, f.message, f.code, f.class from taskq.tried f
		where f.id >= b.lo and f.id < p.before and f.id < $5 and f.id >= $4 and f.why <> 3
		order by f.id, f.at desc
	) e
) y
