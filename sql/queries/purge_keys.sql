-- purge_keys: one small batch of keys that have expired and whose task is final; a key never goes before its task.  The keeper's
-- session may read the BRIN index by a bitmap.
-- $1 limit int4
-- result: digest uuid
-- tables: idem, done, dead
delete from taskq.idem i using (
	select x.digest, x.bucket
	from (select x.* from taskq.idem x where x.expires_at < now() offset 0) x
	cross join lateral (
		select from (
			select from taskq.done d where d.id = x.task_id
			union all
			select from taskq.dead d where d.id = x.task_id and d.resolution is null
		) f
		limit 1
	) f
	limit $1
) g
where i.digest = g.digest and i.bucket = g.bucket
returning i.digest
