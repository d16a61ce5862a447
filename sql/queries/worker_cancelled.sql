-- worker_cancelled: tasks under this worker's leases that somebody else ended.
-- $1 inc int4
-- result: id uuid
-- tables: lease, done
select d.id
from taskq.lease l join taskq.done d on d.id >= l.lo and d.id <= l.hi
where l.worker = $1 and d.status = 3
