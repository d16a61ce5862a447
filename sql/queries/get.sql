-- get: tasks by their ids, with the state as it follows from the rows: done, else dead, else a lease that covers it and was not left, else
-- waiting, else ready.
-- $1 ids uuid[]
-- $2 from uuid           the least of them, and ...
-- $3 to uuid             ... the greatest: partitions outside are not opened
-- $4 bytes int8          of payloads and results: the row that reaches it is the last one; rows come in the order of ids
-- $5 first uuid[]        of each id the first one of its batch: a range that covers the id begins between them
-- result: id uuid, lane int4, queue text, kind text, grp text, ord text, prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz,
--         options bytea, payload bytea, state int4 (enum task_state), run int4, attempts int4, crashes int4, updated_at timestamptz,
--         finished_at timestamptz, result bytea, message text, code text, class int2, percent int2 (null: no progress), note text, said_at timestamptz,
--         n int8 (position in ids), bytes int8 (up to and with this row)
-- tables: task, done, dead, lease, tried, waiting, ready, amend, lane, queue, kind, progress
select y.* from (
select t.id, t.lane, l.queue, l.kind, l.grp, l.ord, t.prio, coalesce(a.max_attempts, t.max_attempts) max_attempts, t.created_at, t.run_at, t.options,
	coalesce(a.payload, t.payload) payload,
	case d.status when 1 then 4 when 2 then 5 when 3 then 6 else coalesce(m.state, 1) end state,
	coalesce(d.run, m.run, 0)::int4 run, coalesce(d.attempts, m.attempts, 0)::int4 attempts, coalesce(d.crashes, m.crashes, 0)::int4 crashes,
	coalesce(d.finished_at, m.at, e.at, t.created_at) updated_at, coalesce(d.finished_at, m.died_at) finished_at,
	d.result, e.message, e.code, e.class, m.percent, m.note, m.said_at, u.n,
	(sum(octet_length(coalesce(a.payload, t.payload)) + coalesce(octet_length(d.result), 0)) over (order by u.n rows unbounded preceding))::int8 bytes
from unnest($1, $5) with ordinality u(id, first, n)
join lateral (
	select t.* from taskq.task t where t.id = u.id and t.id >= $2 and t.id <= $3 limit 1
) t on true
join lateral (
	select q.name queue, k.name kind, l.grp, l.ord from taskq.lane l, taskq.queue q, taskq.kind k
	where l.id = t.lane and q.id = l.queue_id and k.id = l.kind_id limit 1
) l on true
left join lateral (
	select d.* from taskq.done d where d.id = t.id and d.id >= $2 and d.id <= $3 limit 1
) d on true
left join lateral (
	select a.* from taskq.amend a where a.id = t.id limit 1
) a on true
left join lateral (
	select 7 state, x.run::int4, x.attempts::int4, x.crashes::int4, x.died_at at, x.died_at, null::int2 percent, null::text note, null::timestamptz said_at
	from taskq.dead x where d.id is null and x.id = t.id and x.resolution is null
	union all
	select case when s.lease_id is not null then 3 when w.id is not null then 2 else 1 end,
		coalesce(s.run + 1, w.run, r.run), coalesce(s.attempts + 1, w.attempts, r.attempts),
		coalesce(s.crashes + s.lost, w.crashes + w.lost, r.crashes + r.lost), s.at, null, g.percent, g.note, g.at
	from (select where d.id is null offset 0) o
	left join lateral (
		select s.* from taskq.lease s
		where s.lo <= t.id and s.lo >= u.first and s.hi >= t.id
		and not exists (select from taskq.tried r where r.id = t.id and r.id >= $2 and r.id <= $3 and r.lease_id = s.lease_id)
		order by s.lo desc limit 1
	) s on true
	left join lateral (
		select w.* from taskq.waiting w where s.lease_id is null and w.id = t.id limit 1
	) w on true
	left join lateral (
		select r.* from taskq.ready r
		where s.lease_id is null and w.id is null and r.lane = t.lane and r.prio = t.prio and r.start >= u.first and r.start <= t.id
		and r.lo <= t.id and r.hi >= t.id
		order by r.start desc limit 1
	) r on true
	left join lateral (
		select g.percent, g.note, g.at from taskq.progress g where s.lease_id is not null and g.id = t.id and g.lease_id = s.lease_id limit 1
	) g on true
	limit 1
) m on true
left join lateral (
	select f.* from (select where coalesce(d.status, 2) = 2 offset 0) o
	cross join lateral (
		select f.at, f.message, f.code, f.class from taskq.tried f
		where f.id = t.id and f.id >= $2 and f.id <= $3 and f.why <> 3
		and f.at > all (select y.resolved_at from taskq.dead y where y.id = t.id and y.resolution = 1)
		order by f.at desc limit 1
	) f
) e on true
) y
where y.bytes - octet_length(y.payload) - coalesce(octet_length(y.result), 0) < $4
order by y.n
