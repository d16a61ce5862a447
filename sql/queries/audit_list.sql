-- audit_list: acts, the newest first.  It looks at a bounded number of them whatever is asked for: `seen` of the last row is where the next
-- page begins, also when that last row is not one that was asked for (act is null then).
-- $1 before int8         ids below this one
-- $2 act text            null: any
-- $3 by text             null: anybody
-- $4 since timestamptz   null: from the beginning
-- $5 rows int4           most rows
-- $6 looks int4          most to look at
-- result: id int8, at timestamptz, act text (null: the end of the look), by text, why text, target text, n int8
-- tables: audit
with x as materialized (
	select a.* from taskq.audit a where a.id < $1 order by a.id desc limit $6
),
y as materialized (
	select x.* from x
	where ($2::text is null or x.act = $2) and ($3::text is null or x.by = $3) and ($4::timestamptz is null or x.at >= $4)
	order by x.id desc limit $5
),
z as (
	select x.id, x.at from x order by x.id limit 1
)
select y.id, y.at, y.act, y.by, y.why, y.target::text, y.n from y
union all
select z.id, z.at, null, null, null, null, null from z
where (select count(*) from y) < $5 and (select count(*) from x) = $6
and ($4::timestamptz is null or z.at >= $4 - interval '1 hour')
order by 1 desc, 3 nulls last
