-- migrate_table: which migrations were applied.
-- tables: migration
create table if not exists taskq.migration (
	number integer primary key,
	name text not null,
	applied_at timestamptz not null default now()
)
