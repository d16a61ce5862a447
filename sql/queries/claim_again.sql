-- claim_again: what a claim of mine got that committed while its answer was lost.  Columns as of claim,
-- and the lease's id.
-- $1 inc int4
-- $2 lease_id int8[]     of every try
-- result: lo uuid, hi uuid, lane int4, run int2, attempts int2, crashes int2, lost int2, since timestamptz, id uuid, prio int2,
--         max_attempts int2, created_at timestamptz, run_at timestamptz, options bytea, payload bytea, error_class int2, error_code text,
--         lease_id int8
-- tables: lease, task, done, amend, tried
select s.lo, s.hi, s.lane, s.run, s.attempts, s.crashes, s.lost, s.at, t.id, s.prio, coalesce(a.max_attempts, t.max_attempts),
	t.created_at, t.run_at, t.options, coalesce(a.payload, t.payload), e.class, e.code, s.lease_id
from taskq.lease s
left join lateral (
	select t.* from taskq.task t where t.id >= s.lo and t.id <= s.hi and t.lane = s.lane and not exists (select from taskq.done d where d.id = t.id) offset 0
) t on true
left join lateral (
	select a.max_attempts, a.payload from taskq.amend a where a.id = case when s.amended then t.id end limit 1
) a on true
left join lateral (
	select x.class, x.code from taskq.tried x where x.id = case when s.run > 0 then t.id end order by x.at desc limit 1
) e on true
where s.worker = $1 and s.lease_id = any ($2)
