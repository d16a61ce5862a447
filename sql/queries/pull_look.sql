-- pull_look: leases by their names outside, as they stand: before somebody acts on what their holder says.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- result: n int8 (position in $1), held bool, client bool (it is a lease of a client), counted bool, lane int4, queue text, kind text, run int2, attempts int2,
--         crashes int2, lost int2, max_attempts int2, at timestamptz, until timestamptz, done int2 (status; null: it is not), mine bool
--         (done under this lease), tried int2 (why; null: it was not), code text (of the end by tried)
-- tables: lease, lane, queue, kind, task, amend, done, tried
select i.n, l.lane is not null, l.worker = 0, l.counted, l.lane, w.queue, w.kind, l.run, l.attempts, l.crashes, l.lost, coalesce(a.max_attempts, t.max_attempts),
	l.at, l.until, d.status, d.lease_id = i.lease_id, r.why, r.code
from unnest($1, $2) with ordinality i(id, lease_id, n)
left join lateral (
	select l.* from taskq.lease l
	where l.lo <= i.id and l.lo >= taskq.at(i.id, 0) and l.hi >= i.id and l.lease_id = i.lease_id
	order by l.lo desc limit 1
) l on true
left join lateral (
	select q.name queue, k.name kind
	from taskq.lane n join taskq.queue q on q.id = n.queue_id join taskq.kind k on k.id = n.kind_id
	where n.id = l.lane limit 1
) w on true
left join lateral (select t.max_attempts from taskq.task t where t.id = i.id limit 1) t on true
left join lateral (select a.max_attempts from taskq.amend a where a.id = i.id limit 1) a on true
left join lateral (select d.status, d.lease_id from taskq.done d where d.id = i.id limit 1) d on true
left join lateral (select r.why, r.code from taskq.tried r where r.id = i.id and r.lease_id = i.lease_id limit 1) r on true
order by i.n
