-- 0008 worker: the row of a worker is found by its step.
--
-- It is written with every claim, and while somebody's snapshot is open no version of it goes: found by inc alone each claim would walk over all
-- of them.  Its inc is the number of a writer, which is given once; worker_new sees to one row for it.

alter table taskq.worker drop constraint worker_pkey, add primary key (inc, seq);
