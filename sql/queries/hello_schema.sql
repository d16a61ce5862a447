-- hello_schema: version of the schema; an error says that there is none.
-- result: version int4
-- tables: migration
select coalesce(max(m.number), 0)::int4 from taskq.migration m
