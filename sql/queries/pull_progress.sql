-- pull_progress: how far runs are, whoever runs them, fenced by their leases.
-- $1 id uuid[]           each once
-- $2 lease_id int8[]
-- $3 percent int2[]
-- $4 note text[]
-- tables: lease, done, tried, progress
insert into taskq.progress (id, bucket, lease_id, percent, note)
select u.id, l.bucket, u.lease_id, u.percent, u.note
from unnest($1, $2, $3, $4) u(id, lease_id, percent, note)
cross join lateral (
	select l.bucket from taskq.lease l
	where l.lo <= u.id and l.lo >= taskq.at(u.id, 0) and l.hi >= u.id and l.lease_id = u.lease_id
	and coalesce(l.until > clock_timestamp(), true)
	limit 1
) l
where not exists (select from taskq.done d where d.id = u.id)
and not exists (select from taskq.tried r where r.id = u.id and r.lease_id = u.lease_id)
order by u.id
on conflict (id, bucket) do update
set lease_id = excluded.lease_id, percent = excluded.percent, note = excluded.note, at = now()
