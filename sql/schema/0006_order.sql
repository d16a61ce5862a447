-- 0006 order: whose place a worker has, so that only what is certainly dead is taken back at a start.

alter table taskq.worker add column home uuid;
comment on column taskq.worker.home is 'the boot of its machine and the lock file of its daemon: who holds that lock knows that the others of this home are dead; null: not known';
