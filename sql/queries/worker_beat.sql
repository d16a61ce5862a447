-- worker_beat: touches the worker's own row only; leases are never extended one by one.  No row came back: I was declared dead.
-- And tasks under the leases it knows of that somebody else ended: those are not looked up by their owner, for beside a transaction that
-- was forgotten it would meet all that it ever had.  And the time: a worker looks at the server in no other way.
-- $1 inc int4
-- $2 seq int8           of the last step that is known: it may be more by now, never less
-- $3 lo uuid[]          of the leases
-- $4 hi uuid[]
-- result: inc int4, id uuid (null: none), clock timestamptz
-- tables: worker, done
with w as (
	update taskq.worker set seen = now() where inc = $1 and seq >= $2 returning inc
)
select w.inc, c.id, clock_timestamp()
from w
left join (
	select d.id
	from unnest($3, $4) l(lo, hi)
	cross join lateral (
		select d.id from taskq.done d where d.id >= l.lo and d.id <= l.hi and d.status = 3 offset 0
	) d
) c on true
