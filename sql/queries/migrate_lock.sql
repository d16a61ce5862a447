-- migrate_lock: one node at a time; held to the end of the transaction.  A vacuum of a keeper would keep the migration waiting, and
-- everybody behind it: it is ended, and comes again.
select pg_advisory_xact_lock(hashtext('taskq.migrate')), (
	select count(pg_cancel_backend(a.pid)) from pg_stat_activity a
	where a.datname = current_database() and a.usename = current_user and a.state = 'active' and a.query like '/* taskq vacuum\_%'
) ended
