-- lane_make: interns names.  Run once for each new name of a lane and process, before the batch that needs it; never on the hot path.
-- The rows may come from somebody else at the same time: run lane_read after it, in a statement of its own.
-- $1 queue text
-- $2 kind text
-- tables: queue, kind
with q as (insert into taskq.queue (name) values ($1) on conflict do nothing),
k as (insert into taskq.kind (name) values ($2) on conflict do nothing)
select
