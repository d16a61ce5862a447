-- submit_unique: one task that wants a unique name.  After unique_lock in the same transaction.  While the name is held nothing is
-- stored and the holder comes back; else key, name and task are stored as submit does it, unless the key is known already.
-- A holder that was final once has let go for good: a retry by hand finds no way back (dead and tried remember).
-- $1 name uuid
-- $2 nbucket int2
-- $3 hold int2           enum task_hold
-- $4 window int8         microseconds; null unless hold is 3
-- $5 digest uuid         of the key
-- $6 kbucket int2
-- $7 fp bytea
-- $8 id uuid
-- $9 lane int4
-- $10 prio int2
-- $11 max_attempts int2
-- $12 run_at timestamptz
-- $13 delay int8
-- $14 later bool
-- $15 options bytea
-- $16 payload bytea
-- $17 surface int2
-- $18 version int2
-- $19 ttl int8
-- $20 bucket int2
-- result: id uuid, hold int2, until timestamptz       the holder; no row: the name was free
-- tables: uniq, task, done, dead, tried, waiting, ready, idem, lane
with h as materialized (
	select u.id, u.hold, u.until
	from taskq.uniq u
	-- same: what has become of the holder
	left join lateral (
		select t.id, t.lane, t.prio from taskq.task t
		where t.id = u.id
		and not exists (select from taskq.done d where d.id = u.id)
		and not exists (select from taskq.dead x where x.id = u.id)
		and not exists (select from taskq.tried f where f.id = u.id and f.why in (2, 4))
		limit 1
	) t on true
	left join lateral (
		select w.id from taskq.waiting w where w.id = t.id and w.run = 0 limit 1
	) w on true
	left join lateral (
		select r.run from taskq.ready r
		where r.lane = t.lane and r.prio = t.prio and r.start >= taskq.at(t.id, 0) and r.start <= t.id
		and r.lo <= t.id and r.hi >= t.id
		order by r.start desc limit 1
	) r on true
	cross join lateral (
		select case u.hold when 3 then u.until > now() when 2 then t.id is not null else w.id is not null or coalesce(r.run = 0, false) end held
	) k
	-- end
	where u.digest = $1 and u.bucket = $2 and k.held
),
i as (
	insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at)
	select $5, $6, $7, $8, $17, $18, now() + $19 * interval '1 microsecond'
	where not exists (select from h)
	on conflict do nothing
	returning task_id
),
n as (
	update taskq.uniq u set id = i.task_id, hold = $3, until = now() + $4 * interval '1 microsecond'
	from i where u.digest = $1 and u.bucket = $2
),
t as (
	insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, run_at, options, payload)
	select i.task_id, $20, $9, $10, $11, now(), coalesce($12, now() + $13 * interval '1 microsecond'), $15, $16 from i
),
w as (
	insert into taskq.waiting (id, bucket, due_at, lane, prio, why, counted)
	select i.task_id, $20, coalesce($12, now() + $13 * interval '1 microsecond'), $9, $10, 1,
		coalesce((select l.ord <> '' from taskq.lane l where l.id = $9), false)
	from i where $14
),
r as (
	insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
	select $9, $10, i.task_id, $20, i.task_id, i.task_id, 1 from i where not $14
)
select h.id, h.hold, h.until from h
