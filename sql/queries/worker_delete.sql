-- worker_delete: declares a worker dead.  Waits for its claim in flight; worker_leases_lock and reap follow in statements of their own.
-- $1 inc int4
-- tables: worker, serves
with s as (
	delete from taskq.serves where inc = $1
)
delete from taskq.worker where inc = $1
