-- sweep_lock: a sweep that is due, for one step.  Who has it is alone with it; what somebody else has is left alone, as if it were not due.  The statements
-- of the step follow, with snapshots newer than the lock: they ask for the setting, which ends with the transaction.
-- result: sweep text     no row: none is due
-- tables: sweep
select set_config('taskq.sweep', s.id::text, true)
from (
	select s.id from taskq.sweep s
	where (s.state = 1 or s.in_flight > 0) and s.due_at <= now()
	order by s.due_at
	limit 1
	for update skip locked
) s
