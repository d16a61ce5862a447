-- 0001 the spine: names, tasks, ranges, outcomes.
--
-- A task row is written once.  What moves is the range: rows of neighbouring ids in ready, lease and waiting.  Every hot
-- table carries bucket as the last column of its key, so that the same text runs on a sharded database.
-- Statuses and classes are small numbers; src/task/task.h and src/task/states.def name them.

create sequence taskq.writer as integer minvalue 1 maxvalue 1073741823 no cycle;
comment on sequence taskq.writer is 'identity of a process life: part of its task ids and lease ids, never reused';

-- Position of an id in its batch (its last 16 bits), the id at another position of the batch, the batch itself.
create function taskq.pos(uuid) returns integer language sql immutable strict parallel safe
as $$select get_byte(uuid_send($1), 14) * 256 + get_byte(uuid_send($1), 15)$$;
create function taskq.at(uuid, integer) returns uuid language sql immutable strict parallel safe
as $$select encode(set_byte(set_byte(uuid_send($1), 14, $2 / 256), 15, $2 % 256), 'hex')::uuid$$;
create function taskq.batch(uuid) returns bytea language sql immutable strict parallel safe
as $$select substr(uuid_send($1), 1, 14)$$;
-- The least id of a millisecond.
create function taskq.floor(timestamptz) returns uuid language sql immutable strict parallel safe
as $$select (lpad(to_hex(floor(extract(epoch from $1) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid$$;

-- names -------------------------------------------------------------------------------------------------------------

create table taskq.queue (
	id integer generated always as identity primary key,
	name text not null unique,
	paused boolean not null default false
);
create table taskq.kind (
	id integer generated always as identity primary key,
	name text not null unique,
	paused boolean not null default false
);
create table taskq.lane (
	id integer generated always as identity primary key,
	queue_id integer not null references taskq.queue,
	kind_id integer not null references taskq.kind,
	grp text not null default '',
	unique (queue_id, kind_id, grp)
);
comment on table taskq.lane is 'queue, task type and group together: what a range belongs to, because a range cannot skip its middle';

-- tasks, written once --------------------------------------------------------------------------------------------------

create table taskq.idem (
	digest uuid not null,
	bucket smallint not null,
	fp bytea not null check (octet_length(fp) = 32),
	task_id uuid not null,
	surface smallint not null,
	version smallint not null,
	expires_at timestamptz not null,
	primary key (digest, bucket)
);
comment on table taskq.idem is 'one row per idempotency key; the kept answer follows from surface, version and the task row';
create index idem_expires on taskq.idem using brin (expires_at);

create table taskq.task (
	id uuid not null,
	bucket smallint not null,
	lane integer not null,
	prio smallint not null,
	max_attempts smallint not null check (max_attempts >= 1),
	created_at timestamptz not null,
	run_at timestamptz,
	options bytea,
	payload bytea not null,
	primary key (id, bucket)
) partition by range (id);

-- ranges, which move ---------------------------------------------------------------------------------------------------

create table taskq.ready (
	lane integer not null,
	prio smallint not null,
	start uuid not null,
	rid bigint not null default 0,
	bucket smallint not null,
	lo uuid not null,
	hi uuid not null,
	n integer not null,
	run smallint not null default 0 check (run >= 0),
	attempts smallint not null default 0 check (attempts >= 0),
	crashes smallint not null default 0 check (crashes >= 0),
	lost smallint not null default 0 check (lost >= 0),
	amended boolean not null default false,
	since timestamptz not null default now(),
	primary key (lane, prio, start, rid, bucket),
	constraint ready_one_batch check (taskq.batch(lo) = taskq.batch(hi) and taskq.batch(start) = taskq.batch(lo)),
	constraint ready_order check (start <= lo and lo <= hi),
	constraint ready_amended_alone check (not amended or lo = hi)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);
comment on column taskq.ready.start is 'where the range began: the key; lo moves up as tasks are claimed, and is in no index';

create table taskq.worker (
	inc integer primary key,
	node text not null,
	boot uuid not null,
	seq bigint not null default 0,
	started_at timestamptz not null default now(),
	seen timestamptz not null default now()
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table taskq.worker is 'one row per life of a worker process; its leases live and die with it';

create table taskq.lease (
	lo uuid not null,
	lease_id bigint not null,
	bucket smallint not null,
	hi uuid not null,
	lane integer not null,
	prio smallint not null,
	worker integer not null,
	run smallint not null check (run >= 0),
	attempts smallint not null check (attempts >= 0),
	crashes smallint not null check (crashes >= 0),
	lost smallint not null check (lost >= 0),
	amended boolean not null,
	at timestamptz not null default now(),
	primary key (lo, lease_id, bucket),
	constraint lease_one_batch check (taskq.batch(lo) = taskq.batch(hi)),
	constraint lease_order check (lo <= hi)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);
create index lease_worker on taskq.lease (worker);

create table taskq.waiting (
	id uuid not null,
	bucket smallint not null,
	due_at timestamptz not null,
	lane integer not null,
	prio smallint not null,
	run smallint not null default 0 check (run >= 0),
	attempts smallint not null default 0 check (attempts >= 0),
	crashes smallint not null default 0 check (crashes >= 0),
	lost smallint not null default 0 check (lost >= 0),
	amended boolean not null default false,
	why smallint not null,
	primary key (id, bucket),
	constraint waiting_why check (why in (1, 2))
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
comment on column taskq.waiting.why is '1 delay: submitted for later, 2 retry';
create index waiting_due on taskq.waiting (due_at);

-- outcomes ---------------------------------------------------------------------------------------------------------------

create table taskq.done (
	id uuid not null,
	bucket smallint not null,
	lease_id bigint,
	lane integer not null,
	status smallint not null,
	run smallint not null,
	attempts smallint not null,
	crashes smallint not null,
	finished_at timestamptz not null,
	result bytea,
	primary key (id, bucket),
	constraint done_status check (status in (1, 2, 3)),
	constraint done_fenced check (status = 3 or lease_id is not null)
) partition by range (id);
comment on column taskq.done.status is '1 succeeded, 2 failed, 3 cancelled';

create table taskq.tried (
	id uuid not null,
	lease_id bigint not null,
	bucket smallint not null,
	why smallint not null,
	run smallint not null,
	worker integer not null,
	started_at timestamptz,
	at timestamptz not null default now(),
	class smallint,
	code text,
	message text,
	exit integer,
	primary key (id, lease_id, bucket),
	constraint tried_why check (why in (1, 2, 3, 4))
) partition by range (id);
comment on table taskq.tried is 'one row per exit of a task from a lease without success';
comment on column taskq.tried.why is '1 retry, 2 dead, 3 retried by hand while the lease lived, 4 failed';

create table taskq.dead (
	id uuid not null,
	lease_id bigint not null,
	bucket smallint not null,
	lane integer not null,
	prio smallint not null,
	run smallint not null,
	attempts smallint not null,
	crashes smallint not null,
	max_attempts smallint not null,
	reason text not null,
	class smallint,
	code text,
	message text,
	exit integer,
	created_at timestamptz not null,
	died_at timestamptz not null default now(),
	options bytea,
	payload bytea not null,
	resolution smallint,
	resolved_at timestamptz,
	primary key (id, lease_id, bucket),
	constraint dead_resolution check (resolution in (1)),
	constraint dead_resolved check ((resolution is null) = (resolved_at is null))
);
comment on column taskq.dead.resolution is 'null: open; 1 retried by hand';
create unique index dead_open on taskq.dead (id, bucket) where resolution is null;

create table taskq.amend (
	id uuid not null,
	bucket smallint not null,
	version smallint not null,
	max_attempts smallint,
	payload bytea,
	primary key (id, bucket)
);
comment on table taskq.amend is 'what a retry by hand changes: stands beside the task, never in it';

-- partitions: a day each -------------------------------------------------------------------------------------------------

create function taskq.partitions_make(day date, days integer) returns integer language plpgsql as $$
declare
	parent text;
	part text;
	lo uuid;
	hi uuid;
	made integer := 0;
begin
	-- one maker at a time, also when two nodes start at once
	perform pg_advisory_xact_lock(hashtext('taskq.partitions_make'));
	for i in 0 .. days - 1 loop
		lo := taskq.floor((day + i)::timestamp at time zone 'UTC');
		hi := taskq.floor((day + i + 1)::timestamp at time zone 'UTC');
		foreach parent in array array['task', 'done', 'tried'] loop
			part := parent || '_' || to_char(day + i, 'YYYYMMDD');
			continue when to_regclass('taskq.' || part) is not null;
			execute format('create table taskq.%I (like taskq.%I including all)', part, parent);
			execute format('alter table taskq.%I add constraint bounds check (id >= %L and id < %L)', part, lo, hi);
			execute format('alter table taskq.%I attach partition taskq.%I for values from (%L) to (%L)', parent, part, lo, hi);
			execute format('alter table taskq.%I drop constraint bounds', part);
			made := made + 1;
		end loop;
	end loop;
	return made;
end $$;
select taskq.partitions_make(((now() at time zone 'UTC')::date - 1), 10);
