-- pause_add: something is not started from now on.  The first who says so stays, with his reason; pause_read tells who that is.
-- $1 what int2           1 a queue, 2 a task type, 3 a handler
-- $2 name text
-- $3 why text
-- $4 by text
-- result: name text      a row: it was not paused before
-- tables: pause
insert into taskq.pause (what, name, why, by)
values ($1, $2, $3, $4)
on conflict do nothing
returning name
