-- block_list: what must not be replayed, by name.
-- $1 most int4
-- result: kind text, schema_version text (empty: all), why text, by text, at timestamptz
-- tables: block
select b.kind, b.schema_version, b.why, b.by, b.at from taskq.block b order by b.kind, b.schema_version limit $1
