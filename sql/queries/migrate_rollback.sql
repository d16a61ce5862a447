-- migrate_rollback: gives up a migration.
rollback
