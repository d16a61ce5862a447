-- worker_look: after a cut: no row means I was declared dead; seq tells whether my last step committed.
-- $1 inc int4
-- $2 seq int8           as it was before that step
-- result: seq int8
-- tables: worker
select seq from taskq.worker where inc = $1 and seq >= $2
