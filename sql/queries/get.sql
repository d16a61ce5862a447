-- get: tasks by their ids, with the state as it follows from the rows: done, else dead, else a lease that covers it and was not left, else
-- waiting, else ready.
-- $1 ids uuid[]
-- $2 from uuid           the least of them, and ...
-- $3 to uuid             ... the greatest: partitions outside are not opened
-- result: id uuid, lane int4, queue text, kind text, grp text, ord text, prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz,
--         options bytea, payload bytea, state int4 (enum task_state), run int4, attempts int4, crashes int4, updated_at timestamptz,
--         finished_at timestamptz, result bytea, message text, code text, class int2, percent int2 (null: no progress), note text, said_at timestamptz
-- tables: task, done, dead, lease, tried, waiting, ready, amend, lane, queue, kind, progress
select t.id, t.lane, q.name, k.name, l.grp, l.ord, t.prio, coalesce(a.max_attempts, t.max_attempts) max_attempts, t.created_at, t.run_at, t.options,
	coalesce(a.payload, t.payload) payload,
	case when d.id is not null then case d.status when 1 then 4 when 2 then 5 else 6 end
		when x.id is not null then 7 when s.lease_id is not null then 3 when w.id is not null then 2 else 1 end state,
	coalesce(d.run, x.run, s.run + 1, w.run, r.run, 0::smallint)::int4 run,
	coalesce(d.attempts, x.attempts, s.attempts + 1, w.attempts, r.attempts, 0::smallint)::int4 attempts,
	coalesce(d.crashes, x.crashes, s.crashes + s.lost, w.crashes + w.lost, r.crashes + r.lost, 0)::int4 crashes,
	coalesce(d.finished_at, x.died_at, s.at, e.at, t.created_at) updated_at,
	coalesce(d.finished_at, x.died_at) finished_at,
	d.result, e.message, e.code, e.class, g.percent, g.note, g.at
from unnest($1) u(id)
join lateral (
	select t.* from taskq.task t where t.id = u.id and t.id >= $2 and t.id <= $3 limit 1
) t on true
join lateral (
	select l.* from taskq.lane l where l.id = t.lane limit 1
) l on true
join lateral (
	select q.name from taskq.queue q where q.id = l.queue_id limit 1
) q on true
join lateral (
	select k.name from taskq.kind k where k.id = l.kind_id limit 1
) k on true
left join lateral (
	select d.* from taskq.done d where d.id = t.id and d.id >= $2 and d.id <= $3 limit 1
) d on true
left join lateral (
	select x.* from taskq.dead x where d.id is null and x.id = t.id and x.resolution is null limit 1
) x on true
left join lateral (
	select s.* from taskq.lease s
	where d.id is null and s.lo <= t.id and s.lo >= taskq.at(t.id, 0) and s.hi >= t.id
	and not exists (select from taskq.tried r where r.id = t.id and r.id >= $2 and r.id <= $3 and r.lease_id = s.lease_id)
	order by s.lo desc limit 1
) s on true
left join lateral (
	select w.* from taskq.waiting w where d.id is null and w.id = t.id limit 1
) w on true
left join lateral (
	select r.* from taskq.ready r
	where d.id is null and r.lane = t.lane and r.prio = t.prio and r.start >= taskq.at(t.id, 0) and r.start <= t.id
	and r.lo <= t.id and r.hi >= t.id
	order by r.start desc limit 1
) r on true
left join lateral (
	select a.* from taskq.amend a where a.id = t.id limit 1
) a on true
left join lateral (
	select f.at, f.message, f.code, f.class from taskq.tried f
	where f.id = t.id and f.id >= $2 and f.id <= $3 and coalesce(d.status, 0) not in (1, 3) and f.why <> 3
	and f.at > all (select y.resolved_at from taskq.dead y where y.id = t.id and y.resolution = 1)
	order by f.at desc limit 1
) e on true
left join lateral (
	select g.percent, g.note, g.at from taskq.progress g where s.lease_id is not null and g.id = t.id and g.lease_id = s.lease_id limit 1
) g on true
