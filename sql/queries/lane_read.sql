-- lane_read: third statement of the interning.
-- $1 queue text
-- $2 kind text
-- $3 grp text
-- $4 ord text
-- result: id int4
-- tables: queue, kind, lane
select l.id from taskq.lane l join taskq.queue q on q.id = l.queue_id join taskq.kind k on k.id = l.kind_id
where q.name = $1 and k.name = $2 and l.grp = $3 and l.ord = $4
