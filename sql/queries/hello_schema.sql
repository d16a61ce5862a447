-- hello_schema: version of the schema, and for how many whole days after today there are partitions (looked for up to 14); an error says
-- that there is no schema.
-- result: version int4, days_ahead int4
-- tables: migration
select (select coalesce(max(m.number), 0) from taskq.migration m)::int4,
	(select coalesce(min(d.n) - 1, 14)
		from generate_series(1, 14) d(n), (values ('task'), ('done'), ('tried')) p(parent)
		where not exists (select from pg_inherits i
			where i.inhparent = to_regclass('taskq.' || p.parent)
			and i.inhrelid = to_regclass('taskq.' || p.parent || '_' || to_char((now() at time zone 'UTC')::date + d.n, 'YYYYMMDD'))))::int4
