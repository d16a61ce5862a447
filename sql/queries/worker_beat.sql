-- worker_beat: touches the worker's own row only; leases are never extended one by one.  No row came back: I was declared dead.
-- And tasks under this worker's leases that somebody else ended.
-- $1 inc int4
-- $2 seq int8           of the last step that is known: it may be more by now, never less
-- result: inc int4, id uuid (null: none)
-- tables: worker, lease, done
with w as (
	update taskq.worker set seen = now() where inc = $1 and seq >= $2 returning inc
)
select w.inc, c.id
from w
left join lateral (
	select d.id
	from taskq.lease l join taskq.done d on d.id >= l.lo and d.id <= l.hi
	where l.worker = w.inc and d.status = 3
	offset 0
) c on true
