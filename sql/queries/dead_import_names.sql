-- dead_import_names: first of three statements that import letters: the names of their queues and task types.
-- $1 queue text[]
-- $2 kind text[]
-- tables: queue, kind
with q as (
	insert into taskq.queue (name) select distinct u.name from unnest($1) u(name)
	where not exists (select from taskq.queue y where y.name = u.name) order by u.name on conflict do nothing
),
k as (
	insert into taskq.kind (name) select distinct u.name from unnest($2) u(name)
	where not exists (select from taskq.kind y where y.name = u.name) order by u.name on conflict do nothing
)
select
