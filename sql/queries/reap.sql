-- reap: gives back all leases of a worker whose row is gone: what is neither done nor tried under that lease is ready again.
-- Those that it had started were lost with it, which is not an attempt.  From the second loss on each task stands alone, so that one which
-- kills its worker takes no innocent ones along.
-- $1 inc int4
-- $2 rid int8
-- $3 started uuid[]      null: not known, then all count as started
-- result: lane int4, n int8
-- tables: worker, lease, task, done, tried, ready
with g as materialized (
	delete from taskq.lease l
	where l.worker = $1 and not exists (select from taskq.worker w where w.inc = $1)
	returning l.*
),
f as materialized (
	select g.*, t.id, t.started, taskq.pos(t.id) - row_number() over (partition by g.lo, g.lease_id, t.started order by t.id) island
	from g
	cross join lateral (
		select t.id, ($3::uuid[] is null or t.id = any($3))::int started
		from taskq.task t where t.id >= g.lo and t.id <= g.hi and t.lane = g.lane offset 0
	) t
	where not exists (select from taskq.done d where d.id = t.id)
	and not exists (select from taskq.tried r where r.id = t.id and r.lease_id = g.lease_id)
),
r as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost, amended)
	select f.lane, f.prio, (array_agg(f.id order by f.id))[1], $2 + row_number() over (), f.bucket, (array_agg(f.id order by f.id))[1],
		(array_agg(f.id order by f.id desc))[1], count(*), f.run + f.started, f.attempts, f.crashes, f.lost + f.started, f.amended
	from f
	group by f.lane, f.prio, f.bucket, f.run, f.started, f.attempts, f.crashes, f.lost, f.amended, f.lo, f.lease_id, f.island,
		case when f.lost + f.started >= 2 then f.id end
	returning lane, n
)
select r.lane, sum(r.n) from r group by r.lane
