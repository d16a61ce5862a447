-- dead_attempts: the attempts of the letter that dead_get shows, newest first.  After it in the same transaction.
-- $1 id uuid
-- $2 most int4
-- result: run int2, why int2 (of tried), worker int4, started_at timestamptz, at timestamptz, class int2, code text, message text,
--         exit int4, tail text, node text
-- tables: dead, tried, worker
select x.run, x.why, x.worker, x.started_at, x.at, x.class, x.code, x.message, x.exit, x.tail, x.node
from (
	select d.* from taskq.dead d where d.id = $1 order by d.resolution is null desc, d.died_at desc limit 1
) d
cross join lateral (
	select h.run, h.why, h.worker, h.node, h.started_at, h.at, h.class, h.code, h.message, h.exit, h.tail
	from jsonb_to_recordset(d.history) h(run int2, why int2, worker int4, node text, started_at timestamptz, at timestamptz, class int2,
		code text, message text, exit int4, tail text)
	union all
	select r.run, r.why, r.worker, w.node, r.started_at, r.at, r.class, r.code, r.message, r.exit, r.tail
	from taskq.tried r left join lateral (select w.node from taskq.worker w where w.inc = r.worker order by w.seq desc limit 1) w on true
	where d.history is null and r.id = d.id and r.why <> 3
) x
order by x.at desc, x.run desc limit $2
