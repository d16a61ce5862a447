-- worker_new: a worker process begins.  Repeating it does no harm.
-- $1 inc int4
-- $2 node text
-- $3 boot uuid
-- tables: worker
insert into taskq.worker (inc, node, boot) values ($1, $2, $3) on conflict do nothing
