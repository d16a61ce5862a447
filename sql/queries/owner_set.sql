-- owner_set: whose the dead letters of a queue, a task type or a fingerprint are from now on.
-- $1 queue text          empty: any
-- $2 kind text           empty: any
-- $3 fingerprint uuid    zero: any
-- $4 owner text
-- $5 sla int8            microseconds
-- $6 most int4           rows of the table
-- $7 by text
-- $8 why text
-- $9 target text         JSON, for the audit
-- result: full bool (it is not in the table, which holds no more), changed bool
-- tables: owner, audit
with f as materialized (
	select (select count(*) from taskq.owner) >= $6
		and not exists (select from taskq.owner o where o.queue = $1 and o.kind = $2 and o.fingerprint = $3) yes
),
o as (
	insert into taskq.owner (queue, kind, fingerprint, owner, sla)
	select $1, $2, $3, $4, $5 from f where not f.yes
	on conflict (queue, kind, fingerprint) do update set owner = excluded.owner, sla = excluded.sla
	where owner.owner <> excluded.owner or owner.sla <> excluded.sla
	returning 1
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'owner.set', $7, $8, $9::jsonb, 1 from o
)
select f.yes, exists (select from o) from f
