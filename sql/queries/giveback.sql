-- giveback: the rest of leases from an id on becomes ready again, minus what is done and minus the tried of this very lease.  A
-- lease that is given back whole is deleted.  Runs after lease_lock, in the same transaction.
-- $1 lo uuid[]
-- $2 lease_id int8[]
-- $3 start uuid[]        from this id on; = lo: the whole lease
-- $4 started int2[]      1: a run of it was started and stopped
-- $5 rid int8            makes the new rows unique
-- result: lane int4, n int8 (ready again, by lane)
-- tables: lease, task, done, tried, ready
with g as materialized (
	select l.*, f.start, f.started from unnest($1, $2, $3, $4) f(lo, lease_id, start, started)
	join taskq.lease l on l.lo = f.lo and l.lease_id = f.lease_id
	where f.start >= l.lo and f.start <= l.hi
),
d as (
	delete from taskq.lease l using g where l.lo = g.lo and l.lease_id = g.lease_id and g.start = g.lo
),
u as (
	update taskq.lease l set hi = taskq.at(g.start, taskq.pos(g.start) - 1)
	from g where l.lo = g.lo and l.lease_id = g.lease_id and g.start > g.lo
),
f as materialized (
	select g.*, t.id, taskq.pos(t.id) - row_number() over (partition by g.lo, g.lease_id order by t.id) island
	from g
	cross join lateral (
		select t.id from taskq.task t where t.id >= g.start and t.id <= g.hi and t.lane = g.lane offset 0
	) t
	where not exists (select from taskq.done d where d.id = t.id)
	and not exists (select from taskq.tried r where r.id = t.id and r.lease_id = g.lease_id)
),
r as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost, amended)
	select f.lane, f.prio, (array_agg(f.id order by f.id))[1], $5, f.bucket, (array_agg(f.id order by f.id))[1],
		(array_agg(f.id order by f.id desc))[1], count(*), f.run + f.started, f.attempts, f.crashes, f.lost, f.amended
	from f
	group by f.lane, f.prio, f.bucket, f.run, f.started, f.attempts, f.crashes, f.lost, f.amended, f.lo, f.lease_id, f.island
	returning lane, n
)
select r.lane, sum(r.n) from r group by r.lane
