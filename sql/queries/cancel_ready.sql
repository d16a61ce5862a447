-- cancel_ready: takes the task out of its range, which is split around it.
-- $1 id uuid
-- $2 lane int4
-- $3 prio int2
-- $4 rid int8            makes the upper half unique
-- $5 by text             as of cancel_waiting
-- $6 why text
-- result: id uuid
-- tables: ready, done, audit
with r as materialized (
	select * from taskq.ready
	where lane = $2 and prio = $3 and start >= taskq.at($1, 0) and start <= $1 and lo <= $1 and hi >= $1
	order by start desc limit 1
	for update
),
d as (
	delete from taskq.ready y using r
	where y.lane = r.lane and y.prio = r.prio and y.start = r.start and y.rid = r.rid and y.bucket = r.bucket and r.lo = $1
),
u as (
	update taskq.ready y set hi = taskq.at($1, taskq.pos($1) - 1), n = greatest(r.n - 1 - (taskq.pos(r.hi) - taskq.pos($1)), 0)
	from r
	where y.lane = r.lane and y.prio = r.prio and y.start = r.start and y.rid = r.rid and y.bucket = r.bucket and r.lo < $1
),
i as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost, amended, since)
	select r.lane, r.prio, taskq.at($1, taskq.pos($1) + 1), $4, r.bucket, taskq.at($1, taskq.pos($1) + 1), r.hi,
		taskq.pos(r.hi) - taskq.pos($1), r.run, r.attempts, r.crashes, r.lost, r.amended, r.since
	from r where r.hi > $1
),
n as (
	insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at)
	select $1, r.bucket, r.lane, 3, r.run, r.attempts, r.crashes, now() from r
	returning id
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'cancel', $5, $6, jsonb_build_object('task', n.id), 1 from n
)
select n.id from n
