-- worker_beat: touches the worker's own row only; leases are never extended one by one.  No row came back: I was declared dead.
-- $1 inc int4
-- result: inc int4
-- tables: worker
update taskq.worker set seen = now() where inc = $1 returning inc
