-- list_live: the same of tasks that are neither done nor dead: those that are leased, or those that are not.
-- $1 before uuid         only older ones than this id
-- $2 examine int4
-- $3 from uuid           no older ones than this id
-- $4 lane int4[]         null: any lane
-- $5 limit int4
-- $6 leased bool         tasks of batches without a lease that are newer than all that have one are not looked at then
-- result: id uuid, nth int8, fits bool
-- tables: task, done, dead, lease, tried
select y.id, y.nth, y.fits
from (
	select t.id, t.nth, t.lane and d.id is null and x.id is null and (s.lease_id is not null) = $6 fits
	from (
		select n.id, n.nth, $4 is null or n.lane = any ($4) lane
		from (
			select n.id, n.lane, row_number() over (order by n.id desc) nth
			from taskq.task n
			where n.id < $1 and n.id >= $3 and n.id <= case when $6
				then coalesce((select taskq.at(s.lo, 65535) from taskq.lease s where s.lo < $1 order by s.lo desc limit 1), $3) else $1 end
			order by n.id desc limit $2
		) n
		where $4 is null or n.lane = any ($4) or n.nth = $2
	) t
	left join lateral (
		select d.id from taskq.done d where d.id = t.id and d.id < $1 and d.id >= $3 limit 1
	) d on true
	left join lateral (
		select x.id from taskq.dead x where d.id is null and x.id = t.id and x.resolution is null limit 1
	) x on true
	left join lateral (
		select s.lease_id from taskq.lease s
		where d.id is null and x.id is null and s.lo <= t.id and s.lo >= taskq.at(t.id, 0) and s.hi >= t.id
		and not exists (select from taskq.tried r where r.id = t.id and r.id < $1 and r.id >= $3 and r.lease_id = s.lease_id)
		order by s.lo desc limit 1
	) s on true
	order by t.id desc offset 0
) y
where y.fits or y.nth = $2
order by y.id desc
limit $5
