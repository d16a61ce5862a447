-- 0009 walls: what every insertion reads and prepares anew is only what keeps ranges, ends and leases right.
--
-- The other constraints repeated what the program checks before it sends, and cost a small commit a twentieth.

alter table taskq.idem drop constraint idem_fp_check;
alter table taskq.ready drop constraint ready_counts;
alter table taskq.lease drop constraint lease_counts;
alter table taskq.waiting drop constraint waiting_counts;
alter table taskq.task drop constraint task_max_attempts_check;
