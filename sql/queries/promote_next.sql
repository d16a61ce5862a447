-- promote_next: microseconds until the next task is due; null: nothing waits.
-- result: next int8
-- tables: waiting
select (extract(epoch from w.due_at - now()) * 1000000)::int8 from taskq.waiting w order by w.due_at limit 1
