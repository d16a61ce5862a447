-- depth: how many tasks of each queue wait to run, ready or delayed.  Reads what it counts: whoever asks rests long in between.
-- $1 most int8              nobody asks for more: of a lane at most so many ready rows are read
-- result: queue text, waits int8
-- tables: ready, waiting, lane, queue
select q.name, sum(c.n)::int8
from (
	select l.id, r.n::int8
	from taskq.lane l
	cross join lateral (select x.n from taskq.ready x where x.lane = l.id limit $1) r
	union all
	select w.lane, count(*) from taskq.waiting w where w.due_at > '-infinity' group by w.lane
) c(lane, n)
join taskq.lane l on l.id = c.lane
join taskq.queue q on q.id = l.queue_id
group by q.name
