-- unique_lock: the row of a unique name, made or locked, so that those who want the name come one after the other.  What was there
-- stays; a new row is a window that is over.  submit_unique follows in the same transaction, with a newer snapshot.
-- $1 name uuid
-- $2 nbucket int2
-- $3 id uuid             proposed
-- $4 patience text       lock_timeout of this transaction
-- tables: uniq
insert into taskq.uniq (digest, bucket, id, hold, until)
select $1, $2, $3, 3, '-infinity' where (select set_config('lock_timeout', $4, true)) is not null
on conflict (digest, bucket) do update set id = excluded.id where false
