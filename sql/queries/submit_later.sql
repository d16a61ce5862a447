-- submit_later: what submit has stored just now and is not due yet.  After it in the same transaction; a batch without such tasks has no such
-- statement.  Only rows of this transaction: what was stored before may have left `waiting` since.
-- $1 id uuid[]
-- result: id uuid
-- tables: task, waiting, lane
insert into taskq.waiting (id, bucket, due_at, lane, prio, why, counted)
select t.id, t.bucket, t.run_at, t.lane, t.prio, 1, coalesce((select l.ord <> '' from taskq.lane l where l.id = t.lane), false)
from unnest($1) u(id)
cross join lateral (
	select t.* from taskq.task t where t.id = u.id and t.xmin = pg_current_xact_id_if_assigned()::xid limit 1
) t
returning id
