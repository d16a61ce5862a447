-- dead_get: the last letter of a task, resolved or not, with everything that it keeps.
-- $1 id uuid
-- result: id uuid, lease_id int8, queue text, kind text, grp text, ord text, cause int4 (null: not filed yet), reason text, class int2,
--         code text, message text, fingerprint uuid, version text, trace_id text, run int2, attempts int2, max_attempts int2, crashes int2,
--         exit int4, created_at timestamptz, died_at timestamptz, labels text, tail text, payload bytea, options bytea, prio int2,
--         run_at timestamptz, first_seen timestamptz, owner text, due_at timestamptz (of its cause), seen_by text, note text, resolution int2, resolved_at timestamptz, by text, why text, sweep int8
-- tables: dead, cause, lane, queue, kind, task
select d.id, d.lease_id, q.name, k.name, l.grp, l.ord, d.cause, coalesce(c.reason, d.reason) reason, d.class, d.code, d.message, c.fingerprint, c.schema_version, d.trace_id,
	d.run, d.attempts, d.max_attempts, d.crashes, d.exit, d.created_at, d.died_at, d.labels::text, d.tail, d.payload, d.options, d.prio,
	t.run_at, c.first_at, w.owner,
	coalesce(c.due_at, o.died_at + w.sla * interval '1 microsecond'), c.seen_by, c.note, d.resolution, d.resolved_at, d.by, d.why, d.sweep
from (
	select d.* from taskq.dead d where d.id = $1 order by d.resolution is null desc, d.died_at desc limit 1
) d
cross join lateral (select l.* from taskq.lane l where l.id = d.lane offset 0) l
cross join lateral (select q.name from taskq.queue q where q.id = l.queue_id offset 0) q
cross join lateral (select k.name from taskq.kind k where k.id = l.kind_id offset 0) k
left join lateral (select c.* from taskq.cause c where c.id = d.cause limit 1) c on true
left join lateral (
	select o.died_at from taskq.dead o where o.cause = c.id and o.resolution is null order by o.died_at limit 1
) o on true
left join lateral taskq.owner_of(q.name, k.name, c.fingerprint) w on c.id is not null
left join lateral (select t.run_at from taskq.task t where t.id = d.id limit 1) t on true
