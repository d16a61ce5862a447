-- purge_keys: one small batch of keys that have expired and whose task is final; a key never goes before its task.
-- $1 limit int4
-- result: digest uuid
-- tables: idem, done, dead
delete from taskq.idem i using (
	select x.digest, x.bucket from taskq.idem x
	where x.expires_at < now()
	and (exists (select from taskq.done d where d.id = x.task_id)
		or exists (select from taskq.dead d where d.id = x.task_id and d.resolution is null))
	limit $1
	for update skip locked
) g
where i.digest = g.digest and i.bucket = g.bucket
returning i.digest
