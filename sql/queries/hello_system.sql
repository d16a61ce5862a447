-- hello_system: in which life of which cluster we are, and what signs answers that are kept outside; an operator may have forbidden it.
-- The timeline is that of the WAL being written: after a promotion pg_control still names the old one until a checkpoint.
-- result: system int8, timeline int4, cache_key bytea, started timestamptz
-- tables: meta
select s.system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int4,
	(select m.value from taskq.meta m where m.name = 'cache_key'), pg_postmaster_start_time()
from pg_control_system() s
