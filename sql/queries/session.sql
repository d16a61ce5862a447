-- session: settings of a new connection, in one round trip.  Names are always qualified; plans are key look-ups only, made once.
-- $1 statement_timeout int8     milliseconds
-- $2 lock_timeout int8
-- result: done int4
select 1 from (select
	set_config('search_path', '', false),
	set_config('TimeZone', 'UTC', false),
	set_config('jit', 'off', false),
	set_config('plan_cache_mode', 'force_generic_plan', false),
	set_config('enable_seqscan', 'off', false),
	set_config('enable_hashjoin', 'off', false),
	set_config('enable_mergejoin', 'off', false),
	set_config('enable_bitmapscan', 'off', false),
	set_config('statement_timeout', $1::text, false),
	set_config('lock_timeout', $2::text, false),
	set_config('vacuum_cost_delay', '2', false),
	set_config('idle_in_transaction_session_timeout', $1::text, false)
	offset 0) s
