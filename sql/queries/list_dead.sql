-- list_dead: the same of tasks that are dead letters.
-- $1 before uuid         only older ones than this id
-- $2 examine int4
-- $3 from uuid           no older ones than this id
-- $4 lane int4[]         null: any lane
-- $5 limit int4
-- result: id uuid, nth int8, fits bool
-- tables: dead
select y.id, y.nth, y.fits
from (
	select x.id, x.nth, $4 is null or x.lane = any ($4) fits
	from (
		select n.id, n.lane, row_number() over (order by n.id desc) nth
		from taskq.dead n where n.id < $1 and n.id >= $3 and n.resolution is null order by n.id desc limit $2
	) x
	order by x.id desc offset 0
) y
where y.fits or y.nth = $2
order by y.id desc
limit $5
