-- dead_causes: causes with open letters, or with letters that died within the last hour; most open ones first.  Nothing here grows with the
-- number of letters.
-- $1 queue text          of the cause; null: any, also of the next seven
-- $2 task_type text
-- $3 reason text
-- $4 class int2
-- $5 code text
-- $6 fingerprint uuid
-- $7 cause int4
-- $8 version text
-- $9 most int4
-- result: id int4, queue text, kind text, reason text, class int2, code text, fingerprint uuid, version text, sample text, first_at timestamptz,
--         last_at timestamptz, filed int8, open int8, oldest_at timestamptz (null: none is open), lately int8, seen_by text, note text,
--         seen_at timestamptz, owner text, due_at timestamptz, now timestamptz
-- tables: cause, cause_delta, dead, queue, kind
select c.id, q.name, k.name, c.reason, c.class, c.code, c.fingerprint, c.schema_version, c.sample, c.first_at, c.last_at, c.filed,
	greatest(c.left_open, 0), o.died_at,
	(case c.hour_at when date_trunc('hour', now()) then c.hour + (c.hour_before * h.rest)::int8
		when date_trunc('hour', now()) - interval '1 hour' then (c.hour * h.rest)::int8 else 0 end)::int8,
	c.seen_by, c.note, c.seen_at, w.owner, coalesce(c.due_at, o.died_at + w.sla * interval '1 microsecond'), now()
from (
	select c.*, c.open + coalesce((select sum(x.n) from taskq.cause_delta x where x.cause = c.id), 0)::int8 left_open
	from taskq.cause c
	where c.id > 0 and (c.open > 0 or c.last_at > now() - interval '1 hour')
	-- same: which causes
	and ($1 is null or c.queue_id = (select q.id from taskq.queue q where q.name = $1))
	and ($2 is null or c.kind_id = (select k.id from taskq.kind k where k.name = $2))
	and ($3 is null or c.reason = $3) and ($4 is null or c.class = $4) and ($5 is null or c.code = $5)
	and ($6 is null or c.fingerprint = $6) and ($7 is null or c.id = $7) and ($8 is null or c.schema_version = $8)
	-- end
	order by c.open desc, c.last_at desc limit $9
) c
cross join (select (1 - extract(epoch from now() - date_trunc('hour', now())) / 3600)::float8 rest) h
cross join lateral (select q.name from taskq.queue q where q.id = c.queue_id offset 0) q
cross join lateral (select k.name from taskq.kind k where k.id = c.kind_id offset 0) k
left join lateral (
	select d.died_at from taskq.dead d where d.cause = c.id and d.resolution is null order by d.died_at limit 1
) o on true
left join lateral taskq.owner_of(q.name, k.name, c.fingerprint) w on true
order by c.left_open desc, c.last_at desc
