-- sweep_settle: what became of tasks that the locked sweep brought back, a stretch of a walk over them.  A later letter is a failure,
-- whatever was done with that since.
-- $1 most int4
-- tables: sweep, swept, done, dead
with s as materialized (
	select s.id, s.looked from taskq.sweep s
	where s.id = nullif(current_setting('taskq.sweep', true), '')::int8 and s.in_flight > 0
),
w as materialized (
	select w.* from s
	cross join lateral (
		select w.*, w.ctid tid from taskq.swept w where w.sweep = s.id and w.id > s.looked order by w.id limit $1
	) w
),
o as materialized (
	select w.id, w.tid, case when l.run is not null then 2 else d.status end outcome
	from w
	left join lateral (select l.run from taskq.dead l where l.id = w.id and l.run > w.run limit 1) l on true
	left join lateral (select d.status from taskq.done d where d.id = w.id limit 1) d on true
),
g as (
	-- whoever has the sweep is alone with these rows, so that they are where they were; a join might begin with all of them
	delete from taskq.swept w where w.ctid = any (array(select o.tid from o where o.outcome is not null))
)
update taskq.sweep s set
	succeeded = s.succeeded + n.succeeded, failed = s.failed + n.failed, cancelled = s.cancelled + n.cancelled,
	in_flight = s.in_flight - n.succeeded - n.failed - n.cancelled,
	looked = case when n.seen < $1 then '00000000-0000-0000-0000-000000000000' else n.last end
from (
	select count(*) filter (where o.outcome = 1) succeeded, count(*) filter (where o.outcome = 2) failed,
		count(*) filter (where o.outcome = 3) cancelled, count(*) seen, (array_agg(o.id order by o.id desc))[1] last
	from o
) n
where s.id = (select s.id from s)
