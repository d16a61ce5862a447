-- cause_make: the causes of letters that are about to be filed are there.  Of a queue and a task type there are at most so many: the letters
-- of all further ones have one cause for each reason.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- $3 bucket int2[]
-- $4 reason text[]
-- $5 fingerprint uuid[]
-- $6 version text[]      of the schema; empty: none
-- $7 most int4
-- tables: dead, lane, cause
with u as materialized (
	select l.queue_id, l.kind_id, u.reason, coalesce(d.class, 0::smallint) class, coalesce(d.code, '') code, u.fingerprint, u.version,
		min(d.died_at) first_at, (array_agg(coalesce(d.message, '') order by d.died_at))[1] sample
	from unnest($1, $2, $3, $4, $5, $6) u(id, lease_id, bucket, reason, fingerprint, version)
	cross join lateral (
		select d.* from taskq.dead d where d.id = u.id and d.lease_id = u.lease_id and d.bucket = u.bucket and d.cause is null offset 0
	) d
	cross join lateral (select l.* from taskq.lane l where l.id = d.lane offset 0) l
	group by 1, 2, 3, 4, 5, 6, 7
),
n as (
	select u.*, row_number() over (partition by u.queue_id, u.kind_id order by u.first_at, u.fingerprint) place
	from u
	where not exists (
		select from taskq.cause c
		where c.queue_id = u.queue_id and c.kind_id = u.kind_id and c.reason = u.reason and c.class = u.class and c.code = u.code
		and c.fingerprint = u.fingerprint and c.schema_version = u.version
	)
),
k as (
	select n.*, n.place + (
		select count(*) from (
			select c.id from taskq.cause c where c.queue_id = n.queue_id and c.kind_id = n.kind_id limit $7
		) y
	) <= $7 fits
	from n
)
insert into taskq.cause (queue_id, kind_id, reason, class, code, fingerprint, schema_version, sample, first_at, last_at)
select k.queue_id, k.kind_id, k.reason, k.class, k.code, k.fingerprint, k.version, k.sample, k.first_at, k.first_at from k where k.fits
union all
select k.queue_id, k.kind_id, k.reason, 0, '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '', 'many different failures', min(k.first_at),
	min(k.first_at)
from k where not k.fits group by k.queue_id, k.kind_id, k.reason
order by 1, 2, 3, 4, 5, 6, 7
on conflict do nothing
