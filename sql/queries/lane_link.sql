-- lane_link: second statement of the interning: both names are there now.
-- $1 queue text
-- $2 kind text
-- $3 grp text
-- $4 ord text
-- tables: queue, kind, lane
insert into taskq.lane (queue_id, kind_id, grp, ord)
select q.id, k.id, $3, $4 from taskq.queue q, taskq.kind k where q.name = $1 and k.name = $2
on conflict do nothing
