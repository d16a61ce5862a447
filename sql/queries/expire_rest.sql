-- expire_rest: what is due still after expire_ready and expire_waiting.  A task that somebody holds and has perhaps not started, or that
-- somebody is moving now, is looked at again after a while: its worker does not start it any more, but may give it back.  All others have
-- started once or are over: nothing is left to expire.
-- $1 most int4
-- $2 again int8          microseconds
-- result: held bool, n int8
-- tables: expiry, lease, tried, done, task, ready, waiting
with e as materialized (
	select x.id, x.bucket from taskq.expiry x where x.at <= now() order by x.at limit $1 for update skip locked
),
f as materialized (
	select e.id, e.bucket,
		exists (
			select from taskq.lease l
			where l.lo <= e.id and l.lo >= taskq.at(e.id, 0) and l.hi >= e.id and l.run = 0
			and not exists (select from taskq.tried r where r.id = e.id and r.lease_id = l.lease_id)
			and not exists (select from taskq.done d where d.id = e.id)
		)
		or exists (select from taskq.waiting w where w.id = e.id and w.run = 0)
		or coalesce((
			select y.run = 0 from taskq.task t
			cross join lateral (
				select y.run from taskq.ready y
				where y.lane = t.lane and y.prio = t.prio and y.start >= taskq.at(e.id, 0) and y.start <= e.id
				and y.lo <= e.id and y.hi >= e.id
				order by y.start desc limit 1
			) y
			where t.id = e.id limit 1
		), false) held
	from e
),
d as (
	delete from taskq.expiry x using f where x.id = f.id and x.bucket = f.bucket and not f.held
),
u as (
	update taskq.expiry x set at = now() + $2 * interval '1 microsecond' from f where x.id = f.id and x.bucket = f.bucket and f.held
)
select f.held, count(*) from f group by f.held
