-- migrate_begin: each migration is one transaction.
begin isolation level read committed
