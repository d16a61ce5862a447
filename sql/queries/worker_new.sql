-- worker_new: a worker process begins, and says what it has handlers for.  Repeating it does no harm.
-- $1 inc int4
-- $2 node text
-- $3 boot uuid
-- $4 serves text[]
-- $5 home uuid          null: not known
-- tables: worker, serves
with w as (
	insert into taskq.worker (inc, node, boot, home)
	select $1, $2, $3, $5 where not exists (select from taskq.worker w where w.inc = $1)
	on conflict do nothing
)
insert into taskq.serves (inc, name) select $1, n from unnest($4) n on conflict do nothing
