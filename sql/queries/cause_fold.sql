-- cause_fold: what was taken out of causes goes into their rows.
-- $1 most int4
-- result: resolved int8
-- tables: cause_delta, cause
with y as materialized (
	select x.id from taskq.cause_delta x where x.id > 0 order by x.id limit $1 for update skip locked
),
d as (
	delete from taskq.cause_delta x using y where x.id = y.id returning x.cause, x.n
),
k as materialized (
	select d.cause, sum(d.n) n from d group by d.cause
),
g as materialized (
	select c.id from k
	cross join lateral (select c.id from taskq.cause c where c.id = k.cause offset 0) y
	join taskq.cause c on c.id = y.id
	order by c.id for update of c
)
update taskq.cause c set open = c.open + k.n, changed_at = now()
from k join g on g.id = k.cause where c.id = k.cause
returning -k.n::int8
