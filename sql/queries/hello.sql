-- hello: what a server says of itself.
-- result: version int4, fsync bool, full_page_writes bool, synchronous_commit bool, clock timestamptz, database text, standby bool
select current_setting('server_version_num')::int4, current_setting('fsync')::bool, current_setting('full_page_writes')::bool,
	current_setting('synchronous_commit') <> 'off', clock_timestamp(), current_database()::text, pg_is_in_recovery()
