-- list_end: the last id that a list with the same bounds looked at; no row: there was nothing more to look at.
-- $1 before uuid
-- $2 examine int4
-- $3 from uuid
-- result: id uuid
-- tables: task
select n.id from taskq.task n where n.id < $1 and n.id >= $3 order by n.id desc offset $2 - 1 limit 1
