-- pause_list: what is paused now.
-- $1 most int4
-- result: what int2, name text, why text, by text, at timestamptz
-- tables: pause
select p.what, p.name, p.why, p.by, p.at from taskq.pause p order by p.what, p.name limit $1
