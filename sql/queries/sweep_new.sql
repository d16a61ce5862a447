-- sweep_new: a sweep begins.  After sweep_gate in the same transaction.  Not when its token has one already, nor when another one that is
-- not over may mean one of the same letters: two filters are apart when a value that a letter has once differs, when no letter can have
-- died at a time of both, or when they name ids and share none.
-- $1 token text
-- $2 fp bytea
-- $3 act int2
-- $4 filter text
-- $5 rate int8
-- $6 slow int8
-- $7 concurrency int4
-- $8 canary int4
-- $9 stop_share int2
-- $10 stop_least int4
-- $11 most int8
-- $12 payload bytea
-- $13 by text
-- $14 why text
-- $15 total int8
-- $16 asked text        the filter in the words of who asked: JSON
-- $17 idle bool         no letter is meant, as was seen before: it is not made
-- result: made int8 (null: not made; when all are, no letter was meant), known int8 (has the token), same bool (and asked for the same), other int8 (overlaps), act int2 (of that)
-- tables: sweep, audit
with f as materialized (
	select $4::jsonb g
),
t as materialized (
	select s.id, s.fp = $2 same from taskq.sweep s where s.token = $1
),
o as materialized (
	select s.id, s.act
	from f, taskq.sweep s
	where s.state in (1, 2) and not exists (select from t)
	and not exists (
		select from unnest(array['queue', 'task_type', 'reason', 'class', 'code', 'fingerprint', 'cause', 'schema_version']) n(name)
		where s.filter->>n.name <> f.g->>n.name
	)
	and not exists (
		select from jsonb_each_text(s.filter->'label') x join jsonb_each_text(f.g->'label') y on x.key = y.key where x.value <> y.value
	)
	and not coalesce((f.g->>'died_after')::timestamptz > s.at, false)
	and not coalesce((f.g->>'died_after')::timestamptz >= (s.filter->>'died_before')::timestamptz, false)
	and not coalesce((s.filter->>'died_after')::timestamptz >= (f.g->>'died_before')::timestamptz, false)
	and not (s.filter ? 'ids' and f.g ? 'ids' and not exists (
		select from jsonb_array_elements_text(s.filter->'ids') x(id) where f.g->'ids' ? x.id
	))
	order by s.id
	limit 1
),
i as (
	insert into taskq.sweep (token, fp, act, filter, rate, slow, concurrency, canary, stop_share, stop_least, most, payload, by, why, total, asked)
	select $1, $2, $3, f.g, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
	from f where not $17 and not exists (select from t) and not exists (select from o)
	returning id
),
a as (
	insert into taskq.audit (act, by, why, target, n)
	select case $3 when 1 then 'replay' when 2 then 'discard' else 'fix' end, $13, $14, jsonb_build_object('sweep', i.id, 'filter', $16::jsonb), $15
	from i
)
select (select i.id from i) made, t.id known, t.same, o.id other, o.act
from f left join t on true left join o on true
