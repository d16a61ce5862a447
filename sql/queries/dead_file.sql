-- dead_file: letters are filed under their causes, with every attempt, and counted.  After cause_make in the same transaction.  The causes
-- are locked first, in order: one that is deleted meanwhile files nothing, and its letters are looked at again.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- $3 bucket int2[]
-- $4 reason text[]
-- $5 fingerprint uuid[]
-- $6 version text[]
-- $7 trace text[]        null: none
-- $8 labels text[]       JSON object; null: none
-- $9 attempts int4       most that are copied, the last ones
-- result: filed int8
-- tables: dead, lane, cause, tried, worker
with u as materialized (
	select u.*, c.id cause
	from unnest($1, $2, $3, $4, $5, $6, $7, $8) u(id, lease_id, bucket, reason, fingerprint, version, trace, labels)
	cross join lateral (
		select d.lane, coalesce(d.class, 0::smallint) class, coalesce(d.code, '') code from taskq.dead d
		where d.id = u.id and d.lease_id = u.lease_id and d.bucket = u.bucket and d.cause is null offset 0
	) d
	cross join lateral (select l.* from taskq.lane l where l.id = d.lane offset 0) l
	cross join lateral (
		select c.id from taskq.cause c
		where c.queue_id = l.queue_id and c.kind_id = l.kind_id and c.reason = u.reason
		and ((c.class = d.class and c.code = d.code and c.fingerprint = u.fingerprint and c.schema_version = u.version)
			or (c.class = 0 and c.code = '' and c.fingerprint = 'ffffffff-ffff-ffff-ffff-ffffffffffff' and c.schema_version = ''))
		order by c.fingerprint = 'ffffffff-ffff-ffff-ffff-ffffffffffff' limit 1
	) c
),
g as materialized (
	select c.id from (select distinct u.cause from u) k
	cross join lateral (select c.id from taskq.cause c where c.id = k.cause offset 0) y
	join taskq.cause c on c.id = y.id
	order by c.id for update of c
),
l as materialized (
	select u.*, d.id letter from g join u on u.cause = g.id
	cross join lateral (
		select d.id from taskq.dead d
		where d.id = u.id and d.lease_id = u.lease_id and d.bucket = u.bucket and d.cause is null
		for update skip locked
	) d
),
f as (
	update taskq.dead d set cause = l.cause, trace_id = l.trace, labels = l.labels::jsonb, history = coalesce(d.history, (
		select jsonb_agg(jsonb_build_object('run', r.run, 'why', r.why, 'worker', r.worker, 'node', w.node, 'started_at', r.started_at,
			'at', r.at, 'class', r.class, 'code', r.code, 'message', r.message, 'exit', r.exit, 'tail', r.tail) order by r.at, r.run)
		from (select r.* from taskq.tried r where r.id = l.id and r.why <> 3 order by r.at desc, r.run desc limit $9) r
		left join lateral (select w.node from taskq.worker w where w.inc = r.worker order by w.seq desc limit 1) w on true
	), '[]')
	from l where d.id = l.id and d.lease_id = l.lease_id and d.bucket = l.bucket
	returning d.cause, d.resolution, d.died_at
),
k as materialized (
	select f.cause, count(*) n, count(*) filter (where f.resolution is null) open, max(f.died_at) last_at, min(f.died_at) first_at,
		count(*) filter (where f.died_at > now() - interval '1 hour') lately
	from f group by f.cause
)
update taskq.cause c set filed = c.filed + k.n, open = c.open + k.open, first_at = least(c.first_at, k.first_at),
	last_at = greatest(c.last_at, k.last_at), changed_at = now(), hour_at = date_trunc('hour', now()),
	hour = k.lately + case when c.hour_at = date_trunc('hour', now()) then c.hour else 0 end,
	hour_before = case c.hour_at when date_trunc('hour', now()) then c.hour_before
		when date_trunc('hour', now()) - interval '1 hour' then c.hour else 0 end
from k where c.id = k.cause
returning k.n
