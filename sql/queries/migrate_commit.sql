-- migrate_commit: ends it.
commit
