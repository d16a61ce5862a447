-- submit: one group commit.  Keys first (sorted, so that two batches never wait for each other crosswise), then the tasks whose
-- keys were new, then what makes them run.  A key that does not come back belongs to an earlier submission: idem_read tells.
-- $1 digest uuid[]          null: no key
-- $2 kbucket int2[]         bucket of the key
-- $3 fp bytea[]
-- $4 id uuid[]
-- $5 lane int4[]
-- $6 prio int2[]
-- $7 max_attempts int2[]
-- $8 run_at timestamptz[]   null: see delay
-- $9 delay int8[]           microseconds from now; null: at once
-- $10 later uuid            tasks from this id on go to waiting, not to ready; null: none does
-- $11 options bytea[]
-- $12 payload bytea[]
-- $13 surface int2[]
-- $14 version int2          renderer of the answer
-- $15 ttl int8              microseconds a key lives
-- $16 bucket int2           home of the whole batch
-- $17 rlane int4[]          ready ranges: lane, prio, first and last id; they cover no task that goes to waiting
-- $18 rprio int2[]
-- $19 rlo uuid[]
-- $20 rhi uuid[]
-- $21 patience text        lock_timeout of this transaction: for a key that somebody else has written and not committed
-- result: id uuid, run_at timestamptz, created_at timestamptz   a row per stored task
-- tables: idem, task, waiting, ready, lane
with patience as materialized (
	select set_config('lock_timeout', $21, true)
),
input as materialized (
	select u.* from patience cross join unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $11, $12, $13)
		u(digest, kbucket, fp, id, lane, prio, max_attempts, run_at, delay, options, payload, surface)
),
i as (
	insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at)
	select u.digest, u.kbucket, u.fp, u.id, u.surface, $14, now() + $15 * interval '1 microsecond'
	from input u where u.digest is not null order by u.digest
	on conflict do nothing
	returning task_id
),
t as (
	insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, run_at, options, payload)
	select u.id, $16, u.lane, u.prio, u.max_attempts, now(),
		coalesce(u.run_at, now() + u.delay * interval '1 microsecond'), u.options, u.payload
	from input u
	where u.digest is null or u.id in (select i.task_id from i)
	returning id, lane, prio, run_at, created_at
),
w as (
	insert into taskq.waiting (id, bucket, due_at, lane, prio, why, counted)
	select t.id, $16, t.run_at, t.lane, t.prio, 1, coalesce((select l.ord <> '' from taskq.lane l where l.id = t.lane), false)
	from t
	where t.id >= $10
),
r as (
	insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
	select g.lane, g.prio, g.lo, $16, g.lo, g.hi, c.n
	from unnest($17, $18, $19, $20) g(lane, prio, lo, hi)
	cross join lateral (select count(*)::int n from t where t.id >= g.lo and t.id <= g.hi) c
	where c.n > 0
)
select t.id, t.run_at, t.created_at from t
