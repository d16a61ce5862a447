-- attempts: how the runs of a task ended, newest first.  A run whose process was lost left no row.
-- $1 id uuid
-- $2 most int4
-- result: id uuid (the task is there), run int2 (null: no run has ended), why int2 (of tried; 11 succeeded, 13 cancelled), worker int4,
--         started_at timestamptz, at timestamptz, class int2, code text, message text, exit int4, tail text, node text
-- tables: task, tried, done, worker
select t.id, x.run, x.why, x.worker, x.started_at, x.at, x.class, x.code, x.message, x.exit, x.tail, w.node
from taskq.task t
left join lateral (
	select y.* from (
		select r.run, r.why, r.worker, r.started_at, r.at, r.class, r.code, r.message, r.exit, r.tail
		from taskq.tried r where r.id = t.id and r.why <> 3
		union all
		select d.run, d.status + 10, 0, null, d.finished_at, null, null, null, null, null
		from taskq.done d where d.id = t.id and d.status in (1, 3)
	) y
	order by y.at desc, y.run desc limit $2
) x on true
left join lateral (select w.node from taskq.worker w where w.inc = x.worker order by w.seq desc limit 1) w on true
where t.id = $1
