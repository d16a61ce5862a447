-- vacuum_progress: what autovacuum should have done and did not, see upkeep.  Alone in its request; gives way to whoever holds the table.
-- tables: progress
vacuum (skip_locked, index_cleanup auto, truncate false) taskq.progress
