-- list_done: the same of tasks that are done.
-- $1 before uuid         only older ones than this id
-- $2 examine int4
-- $3 from uuid           no older ones than this id
-- $4 lane int4[]         null: any lane
-- $5 limit int4
-- $6 status int2[]       of done
-- result: id uuid, nth int8, fits bool
-- tables: done
select y.id, y.nth, y.fits
from (
	select d.id, d.nth, d.status = any ($6) and ($4 is null or d.lane = any ($4)) fits
	from (
		select n.id, n.lane, n.status, row_number() over (order by n.id desc) nth
		from taskq.done n where n.id < $1 and n.id >= $3 order by n.id desc limit $2
	) d
	order by d.id desc offset 0
) y
where y.fits or y.nth = $2
order by y.id desc
limit $5
