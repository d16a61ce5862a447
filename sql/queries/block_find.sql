-- block_find: whether a letter of this task type and schema version must not be replayed; the block that says most.
-- $1 kind text
-- $2 schema_version text empty: none
-- result: kind text, schema_version text, why text, by text, at timestamptz
-- tables: block
select b.kind, b.schema_version, b.why, b.by, b.at from taskq.block b
where b.kind = $1 and b.schema_version in ('', $2)
order by b.schema_version desc limit 1
