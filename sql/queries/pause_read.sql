-- pause_read: one pause, as it stands.
-- $1 what int2
-- $2 name text
-- result: what int2, name text, why text, by text, at timestamptz
-- tables: pause
select p.what, p.name, p.why, p.by, p.at from taskq.pause p where p.what = $1 and p.name = $2
