-- migrate_add: one was applied.
-- $1 number int4
-- $2 name text
-- tables: migration
insert into taskq.migration (number, name) values ($1, $2)
