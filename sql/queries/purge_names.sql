-- purge_names: one stretch of a walk over the unique names: those that nobody holds any more go.  A
-- name that somebody is taking now stays: its row is locked, or has another id when the lock is there.
-- $1 after uuid
-- $2 rows int4           to look at
-- result: last uuid (null: nothing is left), seen int8, gone int8
-- tables: uniq, task, done, dead, tried, waiting, ready
with c as materialized (
	select u.* from taskq.uniq u where u.digest > $1 order by u.digest limit $2
),
o as materialized (
	select u.digest, u.bucket, u.id
	from c u
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
	where not k.held
),
l as materialized (
	select l.* from o cross join lateral (
		select u.digest, u.bucket from taskq.uniq u
		where u.digest = o.digest and u.bucket = o.bucket and u.id = o.id
		for update skip locked
	) l
),
d as (
	delete from taskq.uniq u using l where u.digest = l.digest and u.bucket = l.bucket returning u.digest
)
select (select c.digest from c order by c.digest desc limit 1) last, (select count(*) from c) seen, (select count(*) from d) gone
