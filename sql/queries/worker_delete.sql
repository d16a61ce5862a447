-- worker_delete: declares a worker dead.  Waits for its claim in flight; reap follows in a statement of its own.
-- $1 inc int4
-- tables: worker
delete from taskq.worker where inc = $1
