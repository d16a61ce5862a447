-- worker_namesake: when a worker was last seen that has the name of this node, another home, and was there before this start.
-- $1 node text
-- $2 home uuid           null: not known
-- $3 boot uuid
-- $4 age int8            microseconds since this start
-- result: seen timestamptz   null: there is none
-- tables: worker
select max(w.seen) seen from taskq.worker w
where w.node = $1 and w.home is distinct from $2 and w.boot <> $3 and w.started_at < now() - $4 * interval '1 microsecond'
