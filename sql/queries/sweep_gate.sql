-- sweep_gate: whoever makes a sweep is alone with it until the end of the transaction, so that of two that overlap the second sees the first.
-- result: alone int4
select 1 from (select pg_advisory_xact_lock(hashtext('taskq: a new sweep')) offset 0) x
