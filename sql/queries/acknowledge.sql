-- acknowledge: somebody sees to these causes; those without an open letter are left out.
-- $1 queue text          null: any, as the seven that follow
-- $2 kind text
-- $3 reason text
-- $4 class int2
-- $5 code text
-- $6 fingerprint uuid
-- $7 cause int4
-- $8 schema_version text
-- $9 note text
-- $10 due_at timestamptz null: by the time that the owner has
-- $11 due_in int8        microseconds from now; null
-- $12 by text
-- $13 why text
-- $14 target text        JSON object, for the audit, which adds the causes
-- result: id int4, due_at timestamptz, owner text
-- tables: cause, dead, queue, kind, audit
with c as materialized (
	select c.id, c.queue_id, c.kind_id, c.fingerprint, x.died_at
	from taskq.cause c
	cross join lateral (select d.died_at from taskq.dead d where d.cause = c.id and d.resolution is null order by d.died_at limit 1) x
	where c.open > 0
	-- same: which causes
	and ($1 is null or c.queue_id = (select q.id from taskq.queue q where q.name = $1))
	and ($2 is null or c.kind_id = (select k.id from taskq.kind k where k.name = $2))
	and ($3 is null or c.reason = $3) and ($4 is null or c.class = $4) and ($5 is null or c.code = $5)
	and ($6 is null or c.fingerprint = $6) and ($7 is null or c.id = $7) and ($8 is null or c.schema_version = $8)
	-- end
	order by c.id
	for update of c
),
u as (
	update taskq.cause y set seen_by = $12, seen_at = now(), note = nullif($9, ''), escalate_at = null, escalate_tries = 0,
		due_at = coalesce($10, now() + $11 * interval '1 microsecond')
	from c where y.id = c.id
	returning y.id, y.due_at
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select 'acknowledge', $12, $13, $14::jsonb || jsonb_build_object('causes', jsonb_agg(u.id order by u.id)), count(*)
	from u having count(*) > 0
)
select c.id, coalesce(u.due_at, c.died_at + w.sla * interval '1 microsecond'), w.owner
from c
cross join lateral (select u.due_at from u where u.id = c.id limit 1) u
cross join lateral (select q.name from taskq.queue q where q.id = c.queue_id limit 1) q
cross join lateral (select k.name from taskq.kind k where k.id = c.kind_id limit 1) k
left join lateral taskq.owner_of(q.name, k.name, c.fingerprint) w on true
order by c.id
