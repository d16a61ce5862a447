-- 0003 checks: the same rules, said in one or two constraints a table and without functions of our own.
--
-- A constraint is read and prepared anew by every statement that inserts, and a function in SQL is parsed each time: for a commit of a
-- few tasks that was a fifth of its cost.

alter table taskq.ready
	drop constraint ready_one_batch, drop constraint ready_order, drop constraint ready_amended_alone,
	drop constraint ready_run_check, drop constraint ready_attempts_check, drop constraint ready_crashes_check,
	drop constraint ready_lost_check,
	add constraint ready_range check (start <= lo and lo <= hi and (lo = hi or not amended)
		and substr(uuid_send(start), 1, 14) = substr(uuid_send(hi), 1, 14)),
	add constraint ready_counts check (least(run, attempts, crashes, lost) >= 0);

alter table taskq.lease
	drop constraint lease_one_batch, drop constraint lease_order,
	drop constraint lease_run_check, drop constraint lease_attempts_check, drop constraint lease_crashes_check,
	drop constraint lease_lost_check,
	add constraint lease_range check (lo <= hi and substr(uuid_send(lo), 1, 14) = substr(uuid_send(hi), 1, 14)),
	add constraint lease_counts check (least(run, attempts, crashes, lost) >= 0);

alter table taskq.waiting
	drop constraint waiting_run_check, drop constraint waiting_attempts_check, drop constraint waiting_crashes_check,
	drop constraint waiting_lost_check,
	add constraint waiting_counts check (least(run, attempts, crashes, lost) >= 0);
