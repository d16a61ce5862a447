-- submit_expiry: what was stored just now, or (submit_unique) by an earlier try with the same id, and is of no use after a time.  After submit or
-- submit_unique in the same transaction; a batch without such tasks has no such statement.
-- $1 id uuid[]
-- $2 at timestamptz[]    null: see in
-- $3 in int8[]           microseconds from its acceptance
-- result: id uuid
-- tables: task, expiry
insert into taskq.expiry (id, bucket, at, lane)
select t.id, t.bucket, coalesce(u.at, t.created_at + u."in" * interval '1 microsecond'), t.lane
from unnest($1, $2, $3) u(id, at, "in")
cross join lateral (select t.* from taskq.task t where t.id = u.id limit 1) t
on conflict do nothing
returning id
