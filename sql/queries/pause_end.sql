-- pause_end: it is started again.
-- $1 what int2
-- $2 name text
-- $3 why text            of him who resumes it
-- $4 by text
-- result: what int2, name text, why text, by text, at timestamptz    the pause that ended; no row: there was none
-- tables: pause, audit
with p as (
	delete from taskq.pause p where p.what = $1 and p.name = $2
	returning p.what, p.name, p.why, p.by, p.at
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select 'resume', $4, $3, jsonb_build_object((array['queue', 'type', 'handler'])[$1], p.name), 1 from p
)
select p.what, p.name, p.why, p.by, p.at from p
