-- cancel_waiting: first of four statements of one transaction; at most one of them finds the task.
-- $1 id uuid
-- result: id uuid
-- tables: waiting, done
with w as (
	delete from taskq.waiting where id = $1 returning *
)
insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at)
select w.id, w.bucket, w.lane, 3, w.run, w.attempts, w.crashes, now() from w
on conflict do nothing
returning id
