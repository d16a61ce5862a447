-- settled: which of these tasks are final now.
-- $1 id uuid[]
-- result: n int8 (position in $1)
-- tables: done, dead
select i.n
from unnest($1) with ordinality i(id, n)
cross join lateral (
	select from (
		select from taskq.done d where d.id = i.id
		union all
		select from taskq.dead x where x.id = i.id and x.resolution is null
	) f
	limit 1
) f
