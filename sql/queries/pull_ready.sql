-- pull_ready: for which clients that wait something may be ready: queues and task types, once each.
-- $1 kind text[]         task types that clients may lease
-- result: queue text, kind text
-- tables: kind, lane, queue, pause, ready
select distinct q.name, k.name
from unnest($1) u(kind)
cross join lateral (
	select k.id, k.name from taskq.kind k
	where k.name = u.kind and not exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name)
	limit 1
) k
cross join lateral (
	select l.id, l.queue_id from taskq.lane l where l.kind_id = k.id offset 0
) l
cross join lateral (select from taskq.ready r where r.lane = l.id limit 1) r
cross join lateral (
	select q.name from taskq.queue q
	where q.id = l.queue_id and not exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
	limit 1
) q
