-- 0004 running: leases that clients hold, queues with exact limits, pauses, progress, tasks that must start in time.

-- leases of clients, and of tasks that are counted -------------------------------------------------------------------------

alter table taskq.lease
	add column until timestamptz,
	add column counted boolean not null default false,
	drop constraint lease_range,
	add constraint lease_range check (lo <= hi and substr(uuid_send(lo), 1, 14) = substr(uuid_send(hi), 1, 14)
		and (until is null or (worker = 0 and lo = hi)) and (lo = hi or not counted));
comment on column taskq.lease.until is 'a lease that a client holds over HTTP (worker 0) ends then; null: it lives with its worker';
comment on column taskq.lease.counted is 'of a lane with exact limits: one task, counted by whoever wants to claim more';
create index lease_until on taskq.lease (until) where until is not null;
create index lease_counted on taskq.lease (lane) where counted;

-- lanes in order, and the gates of queues with exact limits -----------------------------------------------------------------

alter table taskq.lane
	add column ord text not null default '',
	drop constraint lane_queue_id_kind_id_grp_key,
	add constraint lane_name unique (queue_id, kind_id, grp, ord);
comment on column taskq.lane.ord is 'ordering key: tasks of the lane run one at a time, in the order of their ids; empty: any order';

create table taskq.gate (
	queue_id integer not null references taskq.queue,
	grp text not null default '',
	tat timestamptz,
	primary key (queue_id, grp)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table taskq.gate is 'the row of a queue (grp empty) is locked by whoever claims from its counted lanes, so that counting is exact; those of groups keep their rates';
comment on column taskq.gate.tat is 'theoretical arrival time of a rate limit: the next start is on time from then on';

-- Starts that a rate allows at a moment, and microseconds until it allows the next: one each `every` microseconds, `burst` at once after a rest.
create function taskq.starts(tat timestamptz, t timestamptz, every bigint, burst integer) returns bigint language sql immutable parallel safe
as $$select greatest(burst - ceil(greatest(coalesce(extract(epoch from tat - t), 0) * 1000000, 0) / every), 0)::bigint$$;
create function taskq.until(tat timestamptz, t timestamptz, every bigint, burst integer) returns bigint language sql immutable parallel safe
as $$select greatest(ceil(coalesce(extract(epoch from tat - t), 0) * 1000000) - (burst - 1) * every, 0)::bigint$$;

alter table taskq.waiting
	add column counted boolean not null default false,
	drop constraint waiting_why,
	add constraint waiting_why check (why in (1, 2, 3));
comment on column taskq.waiting.why is '1 delay: submitted for later, 2 retry, 3 put off without an attempt';
create index waiting_counted on taskq.waiting (lane, id) where counted;

alter table taskq.tried
	drop constraint tried_why,
	add constraint tried_why check (why in (1, 2, 3, 4, 5));
comment on column taskq.tried.why is '1 retry, 2 dead, 3 retried by hand while the lease lived, 4 failed, 5 put off without an attempt';

-- who has a handler for what -----------------------------------------------------------------------------------------------

create table taskq.serves (
	inc integer not null,
	name text not null,
	primary key (inc, name)
);
comment on table taskq.serves is 'task types that a worker has handlers for; lives with its row';
create index serves_name on taskq.serves (name);

-- what somebody said about running -------------------------------------------------------------------------------------------

create table taskq.pause (
	what smallint not null,
	name text not null,
	why text not null default '',
	by text not null default '',
	at timestamptz not null default now(),
	primary key (what, name),
	constraint pause_what check (what in (1, 2, 3))
);
comment on table taskq.pause is 'what is not started now: 1 a queue, 2 a task type, 3 a handler';
alter table taskq.queue drop column paused;
alter table taskq.kind drop column paused;

create table taskq.progress (
	id uuid not null,
	bucket smallint not null,
	lease_id bigint not null,
	percent smallint not null check (percent between 0 and 100),
	note text not null default '',
	at timestamptz not null default now(),
	primary key (id, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table taskq.progress is 'what a run said of itself last; of no meaning when its lease is gone';

create table taskq.expiry (
	id uuid not null,
	bucket smallint not null,
	at timestamptz not null,
	lane integer not null,
	primary key (id, bucket)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
comment on table taskq.expiry is 'tasks that are of no use after a time: who has not started by then is dead, EXPIRED';
create index expiry_at on taskq.expiry (at);
