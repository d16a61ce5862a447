-- sweep_count: how many letters a sweep with this filter would find, and some of them.  It looks at a bounded number of letters.
-- $1 filter text
-- $2 bound int4          letters looked at
-- $3 sample int4
-- result: n int8, blocked int8 (of those), whole bool (it looked at all there are), estimate int8 (by the counts of the causes), unfiled bool,
--         id uuid (of the sample; null: there is none)
-- tables: cause, cause_delta, dead, kind, queue, block
with q as materialized (
	select $1::jsonb as filter
),
i as materialized (
	select d.* from q
	cross join lateral (
		select u.id::uuid id from jsonb_array_elements_text(q.filter->'ids') u(id)
	) u
	cross join lateral (
		select d.id, d.cause, d.died_at, d.labels from taskq.dead d where d.id = u.id and d.resolution is null and d.cause is not null limit 1
	) d
),
c as materialized (
	select c.id, c.open + coalesce((select sum(x.n) from taskq.cause_delta x where x.cause = c.id), 0) open, exists (
		select from taskq.block b where b.kind = k.name and b.schema_version in ('', c.schema_version)
	) blocked
	from q
	cross join lateral (
		select c.* from taskq.cause c
		where (not q.filter ? 'ids' or c.id in (select i.cause from i))
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
		offset 0
	) c
	join taskq.kind k on k.id = c.kind_id
),
r as materialized (
	(
		select i.id, i.labels, c.blocked
		from q
		cross join i
		join c on c.id = i.cause
		where i.died_at >= coalesce((q.filter->>'died_after')::timestamptz, '-infinity')
		and i.died_at < coalesce((q.filter->>'died_before')::timestamptz, 'infinity')
	)
	union all
	(
		select d.id, d.labels, c.blocked
		from q
		cross join c
		cross join lateral (
			select d.id, d.labels from taskq.dead d
			where d.cause = c.id and d.resolution is null
			and d.died_at >= coalesce((q.filter->>'died_after')::timestamptz, '-infinity')
			and d.died_at < coalesce((q.filter->>'died_before')::timestamptz, 'infinity')
			order by d.died_at, d.id
			limit $2
		) d
		where not q.filter ? 'ids'
		limit $2
	)
),
m as materialized (
	select r.* from q, r where not q.filter ? 'label' or coalesce(r.labels @> (q.filter->'label'), false)
)
select (select count(*) from m), (select count(*) from m where m.blocked), (select count(*) from r) < $2, coalesce((select sum(c.open) from c), 0)::int8,
	exists (select from taskq.dead d where d.cause is null and d.resolution is null and d.died_at <= now()), s.id
from q left join lateral (select m.id from m limit $3) s on true
