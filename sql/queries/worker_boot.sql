-- worker_boot: workers of this home from earlier starts; the lock of the pid file says that none of them lives.
-- $1 home uuid           null: not known, then they have to fall silent
-- $2 boot uuid
-- result: inc int4
-- tables: worker
select inc from taskq.worker where home = $1 and boot <> $2
