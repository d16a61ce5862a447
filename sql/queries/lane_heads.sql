-- lane_heads: every lane, and the first ready row of it, locked or not: candidates and low-water marks in one plain read.
-- result: lane int4, queue text, kind text, grp text, ord text, paused bool, prio int2 (null: nothing ready), start uuid
-- tables: lane, queue, kind, pause, ready
select l.id, q.name, k.name, l.grp, l.ord,
	exists (select from taskq.pause p where p.what = 1 and p.name = q.name)
		or exists (select from taskq.pause p where p.what in (2, 3) and p.name = k.name), h.prio, h.start
from taskq.lane l
join taskq.queue q on q.id = l.queue_id
join taskq.kind k on k.id = l.kind_id
left join lateral (
	select r.prio, r.start from taskq.ready r where r.lane = l.id order by r.prio, r.start limit 1
) h on true
