-- dead_import: letters of elsewhere become letters here: a task, its attempts, an open letter that is to be filed.  An id that is here as a task or
-- a letter is passed over, and so is one that came before in the same batch.  Where its day has no partition the task gets a fresh id, and a
-- key remembers under which it came, so that the same import does nothing a second time.  One row of the audit for all.
-- $1 id uuid[]
-- $2 fresh uuid[]        the id that it gets where its own has no place
-- $3 day text[]          of the id: YYYYMMDD
-- $4 digest uuid[]       key of the id
-- $5 kbucket int2[]      bucket of that key
-- $6 home int2[]         bucket of the id
-- $7 letter text[]       JSON: what the letter says, as columns
-- $8 options bytea[]
-- $9 payload bytea[]
-- $10 bucket int2        of the fresh ids
-- $11 ttl int8           microseconds that a key lives
-- $12 by text
-- $13 why text
-- $14 target text        JSON
-- result: place int8 (from 1), id uuid   a row for each that was imported
-- tables: idem, task, tried, dead, lane, queue, kind, audit
with u as materialized (
	select u.*, row_number() over (partition by u.id order by u.place) copy
	from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) with ordinality
		u(id, fresh, day, digest, kbucket, home, letter, options, payload, place)
),
w as materialized (
	select u.*, to_regclass('taskq.task_' || u.day) is not null fits
	from u
	left join lateral (select t.id from taskq.task t where t.id = u.id limit 1) t on true
	left join lateral (select d.id from taskq.dead d where d.id = u.id limit 1) d on true
	where u.copy = 1 and t.id is null and d.id is null
),
k as (
	insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at)
	select w.digest, w.kbucket, sha256(uuid_send(w.id)), w.fresh, 1, 1, now() + $11 * interval '1 microsecond'
	from w where not w.fits order by w.digest
	on conflict do nothing
	returning task_id
),
n as materialized (
	select w.place, w.options, w.payload, case when w.fits then w.id else w.fresh end id, case when w.fits then w.home else $10 end bucket,
		l.id lane, x.prio, x.run, x.attempts, x.crashes, x.max_attempts, x.reason, x.class, x.code, x.message, x.exit, x.created_at,
		least(x.died_at, now()) died_at, x.run_at, x.tail, x.history
	from w
	cross join lateral jsonb_to_record(w.letter::jsonb) x(queue text, kind text, grp text, ord text, prio int2, run int2, attempts int2,
		crashes int2, max_attempts int2, reason text, class int2, code text, message text, exit int4, created_at timestamptz,
		died_at timestamptz, run_at timestamptz, tail text, history jsonb)
	cross join lateral (select q.id from taskq.queue q where q.name = x.queue offset 0) q
	cross join lateral (select y.id from taskq.kind y where y.name = x.kind offset 0) y
	cross join lateral (
		select l.id from taskq.lane l where l.queue_id = q.id and l.kind_id = y.id and l.grp = x.grp and l.ord = x.ord offset 0
	) l
	where w.fits or w.fresh in (select k.task_id from k)
),
t as (
	insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, run_at, options, payload)
	select n.id, n.bucket, n.lane, n.prio, n.max_attempts, n.created_at, n.run_at, n.options, n.payload from n order by n.id
	on conflict do nothing
	returning id
),
h as (
	insert into taskq.tried (id, lease_id, bucket, why, run, worker, started_at, at, class, code, message, exit, tail)
	select n.id, 1 - h.place, n.bucket, h.why, h.run, 0, h.started_at, h.at, h.class, h.code, h.message, h.exit, h.tail
	from n
	cross join lateral (
		select y.*, row_number() over (order by y.at desc, y.run desc) place
		from jsonb_to_recordset(n.history) y(run int2, why int2, started_at timestamptz, at timestamptz, class int2, code text, message text,
			exit int4, tail text)
	) h
	where n.id in (select t.id from t)
	on conflict do nothing
),
d as (
	insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, exit,
		created_at, died_at, options, payload, tail, history)
	select n.id, 0, n.bucket, n.lane, n.prio, n.run, n.attempts, n.crashes, n.max_attempts, n.reason, n.class, n.code, n.message, n.exit,
		n.created_at, n.died_at, n.options, n.payload, n.tail, n.history
	from n
	where n.id in (select t.id from t)
	returning id
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'import', $12, $13, $14::jsonb, count(*) from d having count(*) > 0
)
select n.place, n.id from n where n.id in (select d.id from d) order by n.place
