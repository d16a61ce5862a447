-- sweep_list: sweeps, the newest first; or one.
-- $1 id int8             0: all
-- $2 before int8
-- $3 most int4
-- result: id int8, act int2, state int2, asked text, rate int8, slow int8, concurrency int4, canary int4, stop_share int2 (null: none),
--         stop_least int4, most int8 (null: all), edited bool, by text, why text, at timestamptz, total int8, in_flight int4, moved int8, blocked int8, succeeded int8,
--         failed int8, cancelled int8, held text, walked bool, ended_at timestamptz, ended_why text
-- tables: sweep
select s.id, s.act, s.state, s.asked, s.rate, s.slow, s.concurrency, s.canary, s.stop_share, s.stop_least, s.most, s.payload is not null,
	s.by, s.why, s.at, s.total, s.in_flight, s.moved, s.blocked, s.succeeded, s.failed, s.cancelled, s.held, s.walked, s.ended_at, s.ended_why
from taskq.sweep s
where s.id < $2 and s.id >= $1 and ($1 = 0 or s.id = $1)
order by s.id desc
limit $3
