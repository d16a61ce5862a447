-- sweep_next: microseconds until the next step of a sweep is due; negative: overdue, no row: there is none.
-- result: next int8
-- tables: sweep
select (extract(epoch from s.due_at - clock_timestamp()) * 1000000)::int8 from taskq.sweep s
where s.state = 1 or s.in_flight > 0
order by s.due_at limit 1
