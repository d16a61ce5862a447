-- retry_mark: a failed task whose lease still lives leaves that lease for good.  After lease_cover_lock in the same transaction.
-- $1 id uuid
-- $2 run int4            of the done row that was seen
-- tables: done, lease, tried
insert into taskq.tried (id, lease_id, bucket, why, run, worker)
select $1, l.lease_id, l.bucket, 3, l.run + 1, l.worker
from taskq.lease l join taskq.done d on d.id = $1 and d.run = $2 and d.status = 2
where l.lo <= $1 and l.lo >= taskq.at($1, 0) and l.hi >= $1
on conflict do nothing
