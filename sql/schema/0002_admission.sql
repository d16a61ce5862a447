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
	hold smallint not null,
	until timestamptz,
	primary key (digest, bucket),
	constraint uniq_hold check (hold in (1, 2, 3)),
	constraint uniq_until check ((hold = 3) = (until is not null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
comment on table taskq.uniq is 'one row per unique name: the task that took it last; whether it still holds it follows from where that task is';
comment on column taskq.uniq.hold is '1 until it starts, 2 until it is final, 3 until a time';
