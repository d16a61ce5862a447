-- expire_ready: first of three statements of one transaction: what was not started in time and is ready still is dead.  Each range
-- is locked, and as it is then it is split around those that leave it.  The death counts as a run, not as an attempt, as if a worker had
-- refused it: so it does not expire again when it is run by hand.
-- $1 most int4           of one look
-- $2 rid int8            makes the pieces unique, and stands for the lease that these deaths do not have; never the same twice
-- result: id uuid
-- tables: expiry, task, ready, tried, dead, amend
with e as materialized (
	select x.id from taskq.expiry x where x.at <= now() order by x.at limit $1 for update skip locked
),
k as materialized (
	select distinct y.lane, y.prio, y.start, y.rid, y.bucket
	from e
	cross join lateral (select t.lane, t.prio from taskq.task t where t.id = e.id limit 1) t
	cross join lateral (
		select y.* from taskq.ready y
		where y.lane = t.lane and y.prio = t.prio and y.start >= taskq.at(e.id, 0) and y.start <= e.id
		and y.lo <= e.id and y.hi >= e.id and y.run = 0
		order by y.start desc limit 1
	) y
),
r as materialized (
	select y.* from k
	cross join lateral (
		select y.* from taskq.ready y
		where y.lane = k.lane and y.prio = k.prio and y.start = k.start and y.rid = k.rid and y.bucket = k.bucket and y.run = 0
		for update skip locked
	) y
),
h as materialized (
	select e.id, r.lane, r.prio, r.start, r.rid, r.bucket, r.attempts, r.crashes
	from e join r on r.lo <= e.id and r.hi >= e.id
),
d as (
	delete from taskq.ready y using (select distinct h.lane, h.prio, h.start, h.rid, h.bucket from h) g
	where y.lane = g.lane and y.prio = g.prio and y.start = g.start and y.rid = g.rid and y.bucket = g.bucket
),
s as (
	select r.*, t.id, (select count(*) from h where h.id < t.id and h.id >= r.lo) piece
	from r
	cross join lateral (select t.id from taskq.task t where t.id >= r.lo and t.id <= r.hi and t.lane = r.lane offset 0) t
	where exists (select from h where h.id >= r.lo and h.id <= r.hi)
	and not exists (select from h where h.id = t.id)
),
p as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost, amended, since)
	select s.lane, s.prio, (array_agg(s.id order by s.id))[1], $2, s.bucket, (array_agg(s.id order by s.id))[1],
		(array_agg(s.id order by s.id desc))[1], count(*), s.run, s.attempts, s.crashes, s.lost, s.amended, s.since
	from s
	group by s.lane, s.prio, s.start, s.rid, s.bucket, s.run, s.attempts, s.crashes, s.lost, s.amended, s.since, s.piece
),
-- same: what expired is dead
z as (
	delete from taskq.expiry x using h where x.id = h.id
),
i as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, class, code, message)
	select h.id, $2, h.bucket, 2, 1, 0, 3, 'EXPIRED', 'not started in time' from h
)
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message,
	created_at, options, payload)
select h.id, $2, h.bucket, h.lane, h.prio, 1, h.attempts, h.crashes, coalesce(a.max_attempts, t.max_attempts), 'EXPIRED', 3,
	'EXPIRED', 'not started in time', t.created_at, t.options, coalesce(a.payload, t.payload)
from h
cross join lateral (select t.* from taskq.task t where t.id = h.id limit 1) t
left join lateral (select a.* from taskq.amend a where a.id = h.id limit 1) a on true
returning id
-- end
