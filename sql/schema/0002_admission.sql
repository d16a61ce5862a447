-- 0002 admission: what is known of the installation as a whole, and tasks of which there may be one at a time.

create table taskq.meta (
	name text primary key,
	value bytea not null
);
comment on table taskq.meta is 'facts of this installation; cache_key signs the answers that are kept outside the database';
insert into taskq.meta (name, value)
values ('cache_key', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

create table taskq.uniq (
	digest uuid not null,
	bucket smallint not null,
	id uuid not null,
	span smallint not null,
	until timestamptz,
	primary key (digest, bucket),
	constraint uniq_span check (span in (1, 2, 3)),
	constraint uniq_until check ((span = 3) = (until is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
comment on table taskq.uniq is 'one row per unique key: the task that holds it; a holder whose span is over is replaced';
comment on column taskq.uniq.span is '1 until it starts, 2 until it is final, 3 until a time';
