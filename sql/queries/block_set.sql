-- block_set: letters of a task type, or of one schema version of it, are not to be replayed.
-- $1 kind text
-- $2 schema_version text empty: all
-- $3 by text
-- $4 why text
-- result: kind text
-- tables: block, audit
with b as (
	insert into taskq.block (kind, schema_version, by, why) values ($1, $2, $3, $4)
	on conflict (kind, schema_version) do update set by = excluded.by, why = excluded.why, at = now()
	returning kind
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select 'block.set', $3, $4, jsonb_build_object('task_type', $1, 'schema_version', nullif($2, '')), 1 from b
)
select b.kind from b
