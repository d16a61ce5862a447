-- migrate_schema: where everything lives.
create schema if not exists taskq
