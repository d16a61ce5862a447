-- block_drop: they may be again.
-- $1 kind text
-- $2 schema_version text
-- $3 by text
-- $4 why text
-- result: kind text      no row: there was none
-- tables: block, audit
with b as (
	delete from taskq.block b where b.kind = $1 and b.schema_version = $2 returning b.kind
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select 'block.drop', $3, $4, jsonb_build_object('task_type', $1, 'schema_version', nullif($2, '')), 1 from b
)
select b.kind from b
