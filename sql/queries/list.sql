-- list: newest first.  Looks at no more than `examine` tasks, and ends with the task whose payload and result bring it to `bytes`; the page
-- may be short although more follows: list_end tells where the look ended, unless it was the bytes.
-- $1 before uuid         only older ones than this id
-- $2 examine int4
-- $3 lane int4[]         null: any lane
-- $4 state int2[]        null: any state (numbers of enum task_state)
-- $5 limit int4
-- $6 bytes int8
-- $7 from uuid           no older ones than this id: partitions outside of the two bounds are not opened
-- result: id uuid, lane int4, queue text, kind text, grp text, ord text, prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz,
--         options bytea, payload bytea, state int4 (enum task_state), run int4, attempts int4, crashes int4, updated_at timestamptz,
--         finished_at timestamptz, result bytea, message text, code text, class int2
-- tables: task, done, dead, lease, tried, waiting, ready, amend, lane, queue, kind
select g.id, g.lane, g.queue, g.kind, g.grp, g.ord, g.prio, g.max_attempts, g.created_at, g.run_at, g.options, g.payload, g.state, g.run, g.attempts,
	g.crashes, g.updated_at, g.finished_at, g.result, g.message, g.code, g.class
from (
	select t.id, t.lane, q.name queue, k.name kind, l.grp, l.ord, t.prio, coalesce(a.max_attempts, t.max_attempts) max_attempts, t.created_at, t.run_at, t.options,
		coalesce(a.payload, t.payload) payload,
		case when d.id is not null then case d.status when 1 then 4 when 2 then 5 else 6 end
			when x.id is not null then 7 when s.lease_id is not null then 3 when w.id is not null then 2 else 1 end state,
		coalesce(d.run, x.run, s.run + 1, w.run, r.run, 0::smallint)::int4 run,
		coalesce(d.attempts, x.attempts, s.attempts + 1, w.attempts, r.attempts, 0::smallint)::int4 attempts,
		coalesce(d.crashes, x.crashes, s.crashes + s.lost, w.crashes + w.lost, r.crashes + r.lost, 0)::int4 crashes,
		coalesce(d.finished_at, x.died_at, s.at, e.at, t.created_at) updated_at,
		coalesce(d.finished_at, x.died_at) finished_at,
		d.result, e.message, e.code, e.class,
		sum(octet_length(coalesce(a.payload, t.payload)) + coalesce(octet_length(d.result), 0)) over (
			order by t.id desc rows between unbounded preceding and 1 preceding) before
	from (
		select n.id, n.lane, n.prio, n.max_attempts, n.created_at, n.run_at, n.options, n.payload
		from taskq.task n where n.id < $1 and n.id >= $7 order by n.id desc limit $2
	) t
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
		select d.* from taskq.done d where d.id = t.id and d.id < $1 and d.id >= $7 limit 1
	) d on true
	left join lateral (
		select x.* from taskq.dead x where d.id is null and x.id = t.id and x.resolution is null limit 1
	) x on true
	left join lateral (
		select s.* from taskq.lease s
		where d.id is null and s.lo <= t.id and s.lo >= taskq.at(t.id, 0) and s.hi >= t.id
		and not exists (select from taskq.tried r where r.id = t.id and r.id < $1 and r.id >= $7 and r.lease_id = s.lease_id)
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
		where f.id = t.id and f.id < $1 and f.id >= $7 and coalesce(d.status, 0) not in (1, 3) and f.why <> 3
		and f.at > all (select y.resolved_at from taskq.dead y where y.id = t.id and y.resolution = 1)
		order by f.at desc limit 1
	) e on true
	where ($3 is null or t.lane = any ($3))
	and ($4 is null or (case when d.id is not null then case d.status when 1 then 4 when 2 then 5 else 6 end
			when x.id is not null then 7 when s.lease_id is not null then 3 when w.id is not null then 2 else 1 end) = any ($4))
	order by t.id desc
	limit $5
) g
where coalesce(g.before, 0) < $6
order by g.id desc
