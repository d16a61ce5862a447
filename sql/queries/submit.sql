-- submit: one group commit.  Keys first (sorted, so that two batches never wait for each other crosswise), then the tasks whose
-- keys were new, then what makes them run; what is later than now also needs submit_later.  A key that does not come back belongs to an
-- earlier submission: idem_read tells.  A range covers the ids of keys that were known, too: so no id of a try that may have committed is
-- ever sent again, lest it be stored where a range, or the lease made from it, covers it already.
-- $1 digest uuid[]
-- $2 kbucket int2[]         bucket of the key
-- $3 fp bytea[]
-- $4 id uuid[]
-- $5 surface int2[]
-- $6 lane int4[]
-- $7 prio int2[]
-- $8 max_attempts int2[]
-- $9 run_at timestamptz[]   null: see delay; may be shorter than the others: null for the rest
-- $10 delay int8[]          microseconds from now; null: at once; may be shorter
-- $11 options bytea[]
-- $12 payload bytea[]
-- $13 version int2          renderer of the answer
-- $14 ttl int8              microseconds a key lives
-- $15 bucket int2           home of the whole batch
-- $16 rlane int4[]          ready ranges: lane, prio, first and last id; they cover no task that goes to waiting
-- $17 rprio int2[]
-- $18 rlo uuid[]
-- $19 rhi uuid[]
-- $20 patience text         lock_timeout of this transaction: for a key that somebody else has written and not committed
-- result: created_at timestamptz, stored int4, id uuid
-- tells how many were stored, in one row when that is all or none, else in a row for each
-- tables: idem, task, ready
with i as (
	insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at)
	select u.digest, u.kbucket, u.fp, u.id, u.surface, $13, now() + $14 * interval '1 microsecond'
	from unnest($1, $2, $3, $4, $5) u(digest, kbucket, fp, id, surface)
	where (select set_config('lock_timeout', $20, true)) is not null
	order by u.digest
	on conflict do nothing
	returning task_id
),
t as (
	insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, run_at, options, payload)
	select u.id, $15, u.lane, u.prio, u.max_attempts, now(),
		coalesce(u.run_at, now() + u.delay * interval '1 microsecond'), u.options, u.payload
	from unnest($4, $6, $7, $8, $9, $10, $11, $12) u(id, lane, prio, max_attempts, run_at, delay, options, payload)
	where (u.id in (select i.task_id from i)) is true -- a hashed look-up, not a join
),
r as (
	insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
	select g.lane, g.prio, g.lo, $15, g.lo, g.hi, c.n
	from unnest($16, $17, $18, $19) g(lane, prio, lo, hi)
	cross join lateral (select count(*)::int n from i where i.task_id >= g.lo and i.task_id <= g.hi) c
	where c.n > 0
)
select now() created_at, c.n stored, i.task_id id
from (select count(*)::int n from i) c
left join i on c.n < cardinality($4)
