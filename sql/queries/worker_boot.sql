-- worker_boot: workers of this node from earlier starts; the lock of the pid file says that none of them lives.
-- $1 node text
-- $2 boot uuid
-- result: inc int4
-- tables: worker
select inc from taskq.worker where node = $1 and boot <> $2
