-- escalate: causes that are overdue, and nobody was told so of this due time: they are given to whoever asks, who tells it, and says by
-- `escalated` how that went; should he die, they are given again after a pause.  And how many there are of the kinds that are watched.
-- $1 most int4
-- $2 pause int8          microseconds
-- result: causes int8 (with open letters), ended int8 (without, of which something is said still), next int8 (us until one is to be told, or told again;
--         negative: one is; null: none), overdue int8, unowned int8, acknowledged int8, now timestamptz, id int4 (null: none, the only row), queue text,
--         kind text, reason text, class int2, code text, fingerprint uuid, schema_version text, sample text, open int8, oldest_at timestamptz,
--         owner text, due_at timestamptz, seen_by text, note text, tries int2
-- tables: cause, dead, queue, kind
with c as materialized (
	select c.*, x.died_at oldest_at, q.name queue, k.name kind, w.owner, coalesce(c.due_at, x.died_at + w.sla * interval '1 microsecond') due
	from taskq.cause c
	cross join lateral (select d.died_at from taskq.dead d where d.cause = c.id and d.resolution is null order by d.died_at limit 1) x
	cross join lateral (select q.name from taskq.queue q where q.id = c.queue_id limit 1) q
	cross join lateral (select k.name from taskq.kind k where k.id = c.kind_id limit 1) k
	left join lateral taskq.owner_of(q.name, k.name, c.fingerprint) w on true
	where c.open > 0
),
n as materialized (
	select count(*) causes,
		(select count(*) from taskq.cause s where s.id > 0 and (s.seen_by is not null or s.escalated_at is not null)) -
			count(*) filter (where c.seen_by is not null or c.escalated_at is not null) ended,
		(extract(epoch from min(greatest(c.due, c.escalate_at)) filter (where c.due > coalesce(c.escalated_at, '-infinity')) - now()) * 1000000)::int8 next,
		count(*) filter (where c.due <= now()) overdue, count(*) filter (where c.owner is null) unowned, count(c.seen_by) acknowledged
	from c
),
l as materialized (
	select c.id from c
	where c.due <= now() and (c.escalated_at is null or c.escalated_at < c.due) and (c.escalate_at is null or c.escalate_at <= now())
	order by c.due limit $1
),
t as materialized (
	select y.id from l
	cross join lateral (
		select y.id from taskq.cause y where y.id = l.id and (y.escalate_at is null or y.escalate_at <= now()) for update skip locked
	) y
),
u as (
	update taskq.cause y set escalate_at = now() + $2 * interval '1 microsecond' from t where y.id = t.id returning y.id
)
select n.causes, n.ended, n.next, n.overdue, n.unowned, n.acknowledged, now(), e.id, e.queue, e.kind, e.reason, e.class, e.code, e.fingerprint, e.schema_version,
	e.sample, e.open, e.oldest_at, e.owner, e.due, e.seen_by, e.note, e.escalate_tries
from n
left join lateral (select c.* from u cross join lateral (select c.* from c where c.id = u.id limit 1) c order by c.due) e on true
