-- dead_list_ids: the same of tasks that are named.
-- $1 queue text          of the cause; null: any, also of the next seven
-- $2 task_type text
-- $3 reason text
-- $4 class int2
-- $5 code text
-- $6 fingerprint uuid
-- $7 cause int4
-- $8 version text
-- $9 label text          null: any, as of the next three
-- $10 value text
-- $11 died_after timestamptz
-- $12 died_before timestamptz
-- $13 before_at timestamptz  only letters before this place; null: from the newest
-- $14 before_id uuid
-- $15 most int4          letters
-- $16 ids uuid[]
-- result: seen int8, last_at timestamptz, last_id uuid, cut bool, id uuid (null: none fits), lease_id int8, queue text, kind text, cause int4,
--         reason text, class int2, code text, message text, fingerprint uuid, version text, trace_id text, run int2, attempts int2,
--         max_attempts int2, crashes int2, exit int4, created_at timestamptz, died_at timestamptz, labels text
-- tables: dead, cause, queue, kind
with e as materialized (
	select d.id, d.lease_id, d.bucket, d.died_at, d.labels from unnest($16) u(id)
	cross join lateral (
		select d.* from taskq.dead d where d.id = u.id and d.resolution is null and d.cause is not null limit 1
	) d
	cross join lateral (select c.* from taskq.cause c where c.id = d.cause offset 0) c
	where (d.died_at, d.id) < (coalesce($13, 'infinity'), coalesce($14, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
	and d.died_at >= coalesce($11, '-infinity') and d.died_at < coalesce($12, 'infinity')
	-- same: which causes
	and ($1 is null or c.queue_id = (select q.id from taskq.queue q where q.name = $1))
	and ($2 is null or c.kind_id = (select k.id from taskq.kind k where k.name = $2))
	and ($3 is null or c.reason = $3) and ($4 is null or c.class = $4) and ($5 is null or c.code = $5)
	and ($6 is null or c.fingerprint = $6) and ($7 is null or c.id = $7) and ($8 is null or c.schema_version = $8)
	-- end
),
n as (
	select count(*) seen, (array_agg(e.died_at order by e.died_at, e.id))[1] last_at, (array_agg(e.id order by e.died_at, e.id))[1] last_id, false cut
	from e
),
-- same: a page of letters
m as (
	select e.* from e where $9 is null or e.labels ->> $9 = $10 order by e.died_at desc, e.id desc limit $15
)
select n.seen, n.last_at, n.last_id, n.cut, m.id, m.lease_id, q.name queue, k.name kind, c.id cause, c.reason, d.class, d.code, d.message,
	c.fingerprint, c.schema_version, d.trace_id, d.run, d.attempts, d.max_attempts, d.crashes, d.exit, d.created_at, d.died_at,
	d.labels::text
from n
left join (
	m
	cross join lateral (
		select d.* from taskq.dead d where d.id = m.id and d.lease_id = m.lease_id and d.bucket = m.bucket offset 0
	) d
	cross join lateral (select c.* from taskq.cause c where c.id = d.cause offset 0) c
	cross join lateral (select q.name from taskq.queue q where q.id = c.queue_id offset 0) q
	cross join lateral (select k.name from taskq.kind k where k.id = c.kind_id offset 0) k
) on true
order by m.died_at desc, m.id desc
-- end
