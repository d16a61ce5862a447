-- list: which tasks are in a page, newest first.  Looks at no more than `examine` of them; the last that it looks at is told, fits or not.
-- $1 before uuid         only older ones than this id
-- $2 examine int4
-- $3 from uuid           no older ones than this id: partitions outside of the two bounds are not opened
-- $4 lane int4[]         null: any lane
-- $5 limit int4
-- result: id uuid, nth int8, fits bool
-- tables: task
select y.id, y.nth, y.fits
from (
	select t.id, t.nth, $4 is null or t.lane = any ($4) fits
	from (
		select n.id, n.lane, row_number() over (order by n.id desc) nth
		from taskq.task n where n.id < $1 and n.id >= $3 order by n.id desc limit $2
	) t
	order by t.id desc offset 0
) y
where y.fits or y.nth = $2
order by y.id desc
limit $5
