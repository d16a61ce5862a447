-- idem_read: the first submission of each key, as it was submitted (what a retry by hand changed later does not count).
-- $1 digest uuid[]
-- result: digest uuid, fp bytea, id uuid, surface int2, version int2, expires_at timestamptz, lane int4, queue text, kind text,
--         grp text, ord text, prio int2, max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea
-- tables: idem, task, lane, queue, kind
select i.digest, i.fp, i.task_id, i.surface, i.version, i.expires_at, t.lane, q.name, k.name, l.grp, l.ord, t.prio,
	t.max_attempts, t.created_at, t.run_at, t.options, t.payload
from unnest($1) d(digest)
join taskq.idem i on i.digest = d.digest
join taskq.task t on t.id = i.task_id
join taskq.lane l on l.id = t.lane
join taskq.queue q on q.id = l.queue_id
join taskq.kind k on k.id = l.kind_id
