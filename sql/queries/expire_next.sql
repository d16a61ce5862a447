-- expire_next: microseconds until the next task expires; negative: overdue, no row: none will.
-- result: next int8
-- tables: expiry
select (extract(epoch from x.at - now()) * 1000000)::int8 from taskq.expiry x order by x.at limit 1
