-- sweep_take: a step of the locked sweep: as many of its letters as may go now are resolved, become tasks again or end as failed, and all that
-- the sweep must remember is written with them.  It takes open letters that were filed and had died when it was made, cause by cause, each
-- task once.  It begins when all of those are filed.  Of what is blocked it passes the letters, and counts them; before what is paused, or
-- whose handler has no room, it stops until that is over: nothing piles up before a handler that does not work.  A step that only
-- passed letters is followed by the next at once, whatever the rate.
-- Pace: what was not used of the rate is lost after 0.3 s, or one letter, so that no rest is caught up with.
-- $1 most int4
-- $2 rid int8            makes the new rows unique
-- $3 kind text[]         task types whose handlers cannot take any number of letters now
-- $4 room int4[]         how many
-- result: lane int4, kind text, replays bool, n int8
-- tables: sweep, swept, dead, cause, cause_delta, kind, queue, block, pause, ready, amend, done, audit
with s as materialized (
	select s.*, clock_timestamp() t,
		s.rate / 1000.0::float8 * case when s.slow = 0 then 1
			else least(greatest(coalesce(extract(epoch from clock_timestamp() - s.begun_at), 0) * 1000000 / s.slow, 0.1), 1) end pace,
		case when s.canary > 0 and s.succeeded < s.canary and s.failed + s.cancelled > 0
			then format('%s of the first %s did not succeed', s.failed + s.cancelled, s.canary)
			when s.stop_share is not null and s.succeeded + s.failed >= greatest(s.stop_least, 1)
				and s.failed * 100 > s.stop_share * (s.succeeded + s.failed)
			then format('%s of %s failed, more than %s per cent', s.failed, s.succeeded + s.failed, s.stop_share)
		end stop
	from taskq.sweep s
	where s.id = nullif(current_setting('taskq.sweep', true), '')::int8
),
q as materialized (
	select s.*, b.paid, h.why_none,
		case when s.state <> 1 or s.walked or s.stop is not null or h.why_none is not null then 0 else greatest(least($1,
			case when s.rate > 0 then floor(extract(epoch from s.t - b.paid) * s.pace + 0.000001) else $1 end,
			case when s.act = 1 and s.concurrency > 0 then s.concurrency - s.in_flight else $1 end,
			case when s.act = 1 and s.succeeded < s.canary then s.canary - s.moved else $1 end,
			coalesce(s.most - s.moved, $1)), 0) end::int4 k,
		case when s.filter ? 'ids' then 1000
			when s.filter ? 'label' or (s.act = 1 and exists (select from taskq.block)) then $1 end wide
	from s
	cross join lateral (
		select case when s.rate > 0 then greatest(coalesce(s.tat, s.t), s.t - greatest(0.3, 1 / s.pace) * interval '1 s') end paid
	) b
	cross join lateral (
		select case
			when s.seen_cause = 0 and s.moved = 0
				and exists (select from taskq.dead d where d.cause is null and d.resolution is null and d.died_at <= s.at) then 'filing'
			when s.act = 1 and s.succeeded < s.canary and s.moved >= s.canary then 'canary'
			when s.act = 1 and s.concurrency > 0 and s.in_flight >= s.concurrency then 'concurrency'
		end why_none
	) h
),
i as materialized (
	select d.* from q
	cross join lateral (
		select u.id::uuid id from jsonb_array_elements_text(q.filter->'ids') u(id) where q.k > 0 and u.id::uuid > q.seen_id
	) u
	cross join lateral (
		select d.id, d.lease_id, d.bucket, d.cause, d.died_at, d.labels from taskq.dead d
		where d.id = u.id and d.resolution is null and d.cause is not null
		limit 1
	) d
),
c as materialized (
	select c.id, k.name kind,
		q.act = 1 and exists (
			select from taskq.block b where b.kind = k.name and b.schema_version in ('', c.schema_version)
		) blocked,
		q.act = 1 and exists (
			select from taskq.pause p
			where (p.what = 1 and p.name = z.name) or (p.what in (2, 3) and p.name = k.name)
		) paused,
		case when q.act = 1 then (select min(u.room) from unnest($3, $4) u(kind, room) where u.kind = k.name) end room
	from q
	cross join lateral (
		select c.* from taskq.cause c
		where c.id >= q.seen_cause and (not q.filter ? 'ids' or c.id in (select i.cause from i))
		-- same: causes of a filter
		and (q.filter->>'queue' is null or c.queue_id = (select y.id from taskq.queue y where y.name = q.filter->>'queue'))
		and (q.filter->>'task_type' is null or c.kind_id = (select y.id from taskq.kind y where y.name = q.filter->>'task_type'))
		and (q.filter->>'reason' is null or c.reason = q.filter->>'reason')
		and (q.filter->>'class' is null or c.class = (q.filter->>'class')::int2)
		and (q.filter->>'code' is null or c.code = q.filter->>'code')
		and (q.filter->>'fingerprint' is null or c.fingerprint = (q.filter->>'fingerprint')::uuid)
		and (q.filter->>'cause' is null or c.id = (q.filter->>'cause')::int4)
		and (q.filter->>'schema_version' is null or c.schema_version = q.filter->>'schema_version')
		-- end
		order by c.id
		limit case when q.k = 0 then 0 when q.filter ? 'ids' then 1000 else 50 end
	) c
	join taskq.kind k on k.id = c.kind_id
	join taskq.queue z on z.id = c.queue_id
),
r as materialized (
	select c.id of_cause, '-infinity'::timestamptz of_at, 0 place, c.kind, c.blocked, c.paused, c.room, i.*
	from q
	cross join i
	join c on c.id = i.cause
	where i.died_at <= q.at
	and i.died_at >= coalesce((q.filter->>'died_after')::timestamptz, '-infinity')
	and i.died_at < coalesce((q.filter->>'died_before')::timestamptz, 'infinity')
	union all
	select c.id, d.died_at, c.id, c.kind, c.blocked, c.paused, c.room, d.*
	from q
	cross join c
	cross join lateral (
		select d.id, d.lease_id, d.bucket, d.cause, d.died_at, d.labels from taskq.dead d
		where d.cause = c.id and d.resolution is null
		and (d.died_at, d.id) > (case when c.id = q.seen_cause then q.seen_at else '-infinity' end, case when c.id = q.seen_cause
			then q.seen_id else '00000000-0000-0000-0000-000000000000' end)
		and d.died_at <= q.at
		and d.died_at >= coalesce((q.filter->>'died_after')::timestamptz, '-infinity')
		and d.died_at < coalesce((q.filter->>'died_before')::timestamptz, 'infinity')
		order by d.died_at, d.id
		limit greatest(q.k, q.wide)
	) d
	where not q.filter ? 'ids'
),
m as materialized (
	select r.*, q.k, f.fits, f.fits and not r.blocked goes
	from q
	cross join (select r.* from r order by r.place, r.of_at, r.id limit (select greatest(q.k, q.wide) from q)) r
	left join lateral (select o.id from taskq.dead o where o.id = r.id and o.sweep = q.id limit 1) o on true
	cross join lateral (
		select (not q.filter ? 'label' or coalesce(r.labels @> (q.filter->'label'), false)) and o.id is null fits
	) f
),
n as materialized (
	select m.*, row_number() over w pos, count(*) filter (where m.goes) over w nth,
		count(*) filter (where m.goes) over (partition by m.kind order by m.place, m.of_at, m.id) of_kind
	from m
	window w as (order by m.place, m.of_at, m.id)
),
e as materialized ( -- before which it stops
	select n.pos, case when n.nth > n.k then null when n.paused then 'paused' else 'handler' end why
	from n where n.goes and (n.nth > n.k or n.paused or n.of_kind > n.room)
	order by n.pos limit 1
),
g as materialized (
	select n.* from n where n.pos < coalesce((select e.pos from e), n.pos + 1)
),
x as (
	update taskq.dead d set resolution = q.act, resolved_at = now(), sweep = q.id, why = q.why, by = q.by
	from q
	-- a task has one open letter; a join might begin with all letters
	where d.id = any (array(select g.id from g where g.goes)) and d.resolution is null
	returning d.id, d.lease_id, d.bucket, d.lane, d.prio, d.run, d.attempts, d.crashes, d.cause
),
a as (
	insert into taskq.amend (id, bucket, version, payload)
	select x.id, x.bucket, 1, q.payload from q, x where q.act = 1 and q.payload is not null
	on conflict (id, bucket) do update set payload = excluded.payload
),
y as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, amended)
	select x.lane, x.prio, x.id, $2, x.bucket, x.id, x.id, 1, x.run, 0, 0,
		q.payload is not null or o.id is not null
	from q
	cross join x
	left join lateral (select o.id from taskq.amend o where o.id = x.id limit 1) o on true
	where q.act = 1
),
w as (
	insert into taskq.swept (sweep, id, bucket, run) select q.id, x.id, x.bucket, x.run from q, x where q.act = 1
),
d as (
	insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at)
	select x.id, x.bucket, x.lease_id, x.lane, 2, x.run, x.attempts, x.crashes, now() from q, x where q.act <> 1
),
l as (
	insert into taskq.cause_delta (cause, n) select x.cause, -count(*) from x group by x.cause
),
v as materialized (
	select q.*, q.in_flight + case when q.act = 1 then z.moves else 0 end remain, z.moves, z.passed, z.place, z.of_at, z.last, z.why_stops,
		q.state = 1 and q.stop is null and (q.walked or coalesce(q.moved + z.moves >= q.most, false)
			or (q.k > 0 and not z.stops and (q.filter ? 'ids' or (z.causes < 50 and z.rows < greatest(q.k, q.wide))))) ends,
		q.k > 0 and not z.stops and z.rows < greatest(q.k, q.wide) and not q.filter ? 'ids' jumps, z.last_cause
	from q
	cross join lateral (
		select (select count(*) from x) moves, (select count(*) from g where g.fits and g.blocked) passed,
			(select count(*) from n) rows, (select count(*) from c) causes, (select max(c.id) from c) last_cause,
			exists (select from e) stops, (select e.why from e) why_stops, b.place, b.of_at, b.id last
		from (select 1) one left join lateral (select g.place, g.of_at, g.id from g order by g.pos desc limit 1) b on true
	) z
),
u as (
	update taskq.sweep s set
		moved = s.moved + v.moves, in_flight = v.remain, blocked = s.blocked + v.passed,
		seen_cause = case when v.jumps and v.last_cause is not null then v.last_cause else coalesce(v.place, s.seen_cause) end,
		seen_at = case when v.jumps and v.last_cause is not null then 'infinity' else coalesce(v.of_at, s.seen_at) end,
		seen_id = coalesce(v.last, s.seen_id),
		begun_at = coalesce(s.begun_at, case when v.moves > 0 and v.succeeded >= v.canary then v.t end),
		tat = case when v.rate > 0 then v.paid + v.moves / v.pace * interval '1 s' end,
		walked = v.walked or v.ends,
		held = case when v.state = 1 and v.stop is null and not v.ends then coalesce(v.why_none, v.why_stops) end,
		state = case when v.state <> 1 then v.state when v.stop is not null then 5 when v.ends and v.remain = 0 then 3 else 1 end,
		ended_at = case when v.state = 1 and (v.stop is not null or (v.ends and v.remain = 0)) then now() else s.ended_at end,
		ended_why = case when v.state = 1 then v.stop else s.ended_why end,
		due_at = v.t + case when v.state <> 1 or v.stop is not null then interval '1 s'
			when v.ends then interval '250 ms'
			when v.why_stops is not null or v.why_none = 'filing' then interval '200 ms'
			when v.k > 0 and v.moves = 0 then interval '0'
			when v.rate > 0 then greatest(0.1, least(1 / v.pace, 5)) * interval '1 s'
			when v.why_none is not null then interval '100 ms'
			else interval '0' end
	from v
	where s.id = (select q.id from q)
	returning s.*, v.state was
),
t as (
	insert into taskq.audit (act, by, why, target, n)
	select case u.act when 1 then 'replay.end' when 2 then 'discard.end' else 'fix.end' end, u.by, u.why, jsonb_build_object('sweep', u.id,
		'state', case u.state when 3 then 'done' else 'stopped' end, 'ended', u.ended_why), u.moved
	from u where u.was = 1 and u.state <> 1
)
select x.lane, c.kind, q.act = 1, count(*) from q, x join c on c.id = x.cause group by x.lane, c.kind, q.act
