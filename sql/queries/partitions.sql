-- partitions: makes the partitions of the coming days, and says how many whole days are ready ahead.
-- $1 days int4
-- result: made int4
select taskq.partitions_make(((now() at time zone 'UTC')::date), $1)
