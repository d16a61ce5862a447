-- dead_queues: for the gauges: open letters of each queue and the oldest of them; and how many were not filed yet, up to a bound.
-- $1 most int4           of queues; those with most letters
-- $2 bound int4
-- result: queue text (null: none), open int8, oldest_at timestamptz, unfiled int8
-- tables: cause, cause_delta, dead, queue
select z.name, z.open, z.oldest_at, u.n
from (select count(*) n from (select from taskq.dead d where d.cause is null limit $2) y) u
left join (
	select q.name, sum(c.open + coalesce(x.n, 0))::int8 open, min(o.died_at) oldest_at
	from taskq.cause c
	cross join lateral (select q.name from taskq.queue q where q.id = c.queue_id offset 0) q
	left join lateral (select sum(x.n) n from taskq.cause_delta x where x.cause = c.id) x on true
	left join lateral (
		select d.died_at from taskq.dead d where d.cause = c.id and d.resolution is null order by d.died_at limit 1
	) o on true
	where c.id > 0 and c.open > 0
	group by q.name
	order by 2 desc, 1 limit $1
) z on true
