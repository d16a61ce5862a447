-- upkeep: what keeps dead rows: who holds the oldest xmin, and the tables that have more dead rows than autovacuum should have left.
-- A table counts from twice its threshold of autovacuum on, and not while somebody vacuums it.  Our own session and those that vacuum hold nothing; a
-- catalog_xmin holds no row of a table of ours.  What hides from a role without pg_monitor is null.
-- $1 tables text[]       those to look at
-- result: what text (session, prepared transaction, replication slot, standby; null: nobody holds anything), pid int4, name text (of a
--         transaction or a slot), usr text, app text, client text, state text, xmin int8, age int8 (us; null: not known), hides bool,
--         role text (ours), place int4 (in $1; null: no table has too many), dead int8, may bool (we may vacuum it)
-- tables:
select h.what, h.pid, h.name, h.usr, h.app, h.client, h.state, h.xmin::text::int8, (extract(epoch from now() - h.since) * 1000000)::int8,
	h.hides, current_user::text, t.place::int4, t.dead, t.may
from (select 1) one
left join lateral (
	select x.* from (
		select case a.backend_type when 'walsender' then 'standby' else 'session' end what, a.pid, null::text name, a.usename::text usr,
			a.application_name app, host(a.client_addr) client, a.state,
			case when a.backend_xmin is null or age(a.backend_xid) >= age(a.backend_xmin) then a.backend_xid else a.backend_xmin end xmin,
			case
				when a.backend_type = 'walsender' then null
				when a.backend_xid is not null or a.state like 'idle in transaction%' then a.xact_start
				else a.query_start
			end since,
			a.backend_type is null hides
		from pg_stat_activity a
		where (a.datname = current_database() or a.backend_type = 'walsender' or a.backend_type is null and a.datname is null)
			and (a.backend_xid is not null or a.backend_xmin is not null)
			and a.pid <> pg_backend_pid() and a.pid not in (select v.pid from pg_stat_progress_vacuum v)
		union all
		select 'prepared transaction', null, p.gid, p.owner::text, null, null, null, p.transaction, p.prepared, false
		from pg_prepared_xacts p where p.database = current_database()
		union all
		select 'replication slot', s.active_pid, s.slot_name::text, null, null, null, case when s.active then 'active' else 'inactive' end, s.xmin, null, false
		from pg_replication_slots s where s.xmin is not null
	) x
	-- a snapshot has the xid of who runs longest: that one goes before those who only saw it
	order by age(x.xmin) desc, x.since limit 1
) h on true
left join lateral (
	select p.place, pg_stat_get_dead_tuples(c.oid) dead,
		pg_has_role(c.relowner, 'usage') or pg_has_role((select d.datdba from pg_database d where d.datname = current_database()), 'usage')
			or case when current_setting('server_version_num')::int >= 170000 then has_table_privilege(c.oid, 'maintain') else false end may
	from unnest($1) with ordinality p(name, place)
	cross join lateral (
		select c.oid, c.relowner, c.reloptions, c.reltuples from pg_class c where c.relnamespace = 'taskq'::regnamespace and c.relname = p.name limit 1
	) c
	cross join lateral (
		select coalesce(max(o.option_value::float8) filter (where o.option_name = 'autovacuum_vacuum_threshold'),
				current_setting('autovacuum_vacuum_threshold')::float8)
			+ greatest(c.reltuples, 0) * coalesce(max(o.option_value::float8) filter (where o.option_name = 'autovacuum_vacuum_scale_factor'),
				current_setting('autovacuum_vacuum_scale_factor')::float8) most
		from pg_options_to_table(c.reloptions) o
	) m
	where pg_stat_get_dead_tuples(c.oid) > 2 * m.most
	and not exists (select from pg_stat_progress_vacuum v where v.relid = c.oid)
) t on true
