-- retry_dead: a dead task runs again.  Its letter is resolved in the same statement, and what changes stands in amend.  The letter is
-- the one that was seen: a try that was thought lost and comes late does not revive a later one.
-- $1 id uuid
-- $2 extra int4          added to max_attempts
-- $3 reset bool          attempts start again at zero
-- $4 rid int8
-- $5 run int4            of the letter
-- $6 by text             who did it; empty: was not told
-- $7 why text
-- $8 kind text
-- $9 schema_version text
-- result: lane int4
-- tables: dead, cause_delta, amend, ready, audit, block
with x as (
	update taskq.dead set resolution = 1, resolved_at = now(), by = nullif($6, ''), why = nullif($7, '')
	where id = $1 and run = $5 and resolution is null
	and not exists (select from taskq.block b where b.kind = $8 and b.schema_version in ('', $9))
	returning *
),
k as (
	insert into taskq.cause_delta (cause, n) select x.cause, -1 from x where x.cause is not null
),
a as (
	insert into taskq.amend (id, bucket, version, max_attempts)
	select x.id, x.bucket, 1, least(x.max_attempts + $2, 32000) from x
	on conflict (id, bucket) do update set max_attempts = excluded.max_attempts
),
u as (
	insert into taskq.audit (act, by, why, target, n) select 'retry', $6, $7, jsonb_build_object('task', x.id), 1 from x
)
insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, amended)
select x.lane, x.prio, x.id, $4, x.bucket, x.id, x.id, 1, x.run, case when $3 then 0 else x.attempts end, 0, true from x
returning lane
