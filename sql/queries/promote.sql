-- promote: due tasks become ready.  Neighbours of one batch with the same history share a range, never across a batch; an
-- amended task stands alone.  A row that was cancelled meanwhile (it has a done row) is dropped.
-- $1 rid int8            makes the new rows unique
-- result: lane int4, n int8
-- tables: waiting, done, ready
with w as (
	delete from taskq.waiting
	where id in (select id from taskq.waiting where due_at <= now() order by due_at limit 500 for update skip locked)
	returning *
),
g as (
	select w.*, taskq.pos(w.id) - row_number() over (
			partition by w.lane, w.prio, w.run, w.attempts, w.crashes, w.lost, w.amended, taskq.batch(w.id) order by w.id) island
	from w
	where not exists (select from taskq.done d where d.id = w.id)
),
r as (
	insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost, amended)
	select g.lane, g.prio, (array_agg(g.id order by g.id))[1], $1, g.bucket, (array_agg(g.id order by g.id))[1],
		(array_agg(g.id order by g.id desc))[1], count(*), g.run, g.attempts, g.crashes, g.lost, g.amended
	from g
	group by g.lane, g.prio, g.bucket, g.run, g.attempts, g.crashes, g.lost, g.amended, taskq.batch(g.id), g.island,
		case when g.amended then g.id end
	returning lane, n
)
select r.lane, sum(r.n) from r group by r.lane
