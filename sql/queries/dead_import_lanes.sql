-- dead_import_lanes: second of three: their lanes.
-- $1 queue text[]
-- $2 kind text[]
-- $3 grp text[]
-- $4 ord text[]
-- tables: queue, kind, lane
insert into taskq.lane (queue_id, kind_id, grp, ord)
select distinct q.id, k.id, u.grp, u.ord
from unnest($1, $2, $3, $4) u(queue, kind, grp, ord)
cross join lateral (select q.id from taskq.queue q where q.name = u.queue offset 0) q
cross join lateral (select k.id from taskq.kind k where k.name = u.kind offset 0) k
where not exists (
	select from taskq.lane l where l.queue_id = q.id and l.kind_id = k.id and l.grp = u.grp and l.ord = u.ord
)
order by q.id, k.id, u.grp, u.ord
on conflict do nothing
