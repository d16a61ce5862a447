-- session: settings of a new connection, in one round trip.  Names are always qualified; plans are key look-ups only, made once.
-- A pooler lends one server connection to many: there the settings end with the transaction, and go before each.
-- $1 statement_timeout int8     milliseconds
-- $2 lock_timeout int8
-- $3 pid int4                   of the server, as whoever connected was told it; another one: there is a pooler
-- result: pooled bool, started timestamptz
select s.pooled, pg_postmaster_start_time() from (select p.pooled,
	set_config('search_path', '', p.pooled),
	set_config('TimeZone', 'UTC', p.pooled),
	set_config('jit', 'off', p.pooled),
	set_config('plan_cache_mode', 'force_generic_plan', p.pooled),
	set_config('enable_seqscan', 'off', p.pooled),
	set_config('enable_hashjoin', 'off', p.pooled),
	set_config('enable_mergejoin', 'off', p.pooled),
	set_config('enable_bitmapscan', 'off', p.pooled),
	set_config('statement_timeout', $1::text, p.pooled),
	set_config('lock_timeout', $2::text, p.pooled),
	set_config('vacuum_cost_delay', '2', p.pooled),
	set_config('idle_in_transaction_session_timeout', $1::text, p.pooled)
	from (select pg_backend_pid() <> $3 pooled offset 0) p
	offset 0) s
