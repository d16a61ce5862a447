-- pause_end: it is started again.
-- $1 what int2
-- $2 name text
-- result: what int2, name text, why text, by text, at timestamptz    the pause that ended; no row: there was none
-- tables: pause
delete from taskq.pause p where p.what = $1 and p.name = $2
returning p.what, p.name, p.why, p.by, p.at
