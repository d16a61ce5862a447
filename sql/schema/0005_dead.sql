-- 0005 dead letters: what they died of, whose they are, what is done with many of them, and who did it.

-- causes -------------------------------------------------------------------------------------------------------------------

create table taskq.cause (
	id integer generated always as identity primary key,
	queue_id integer not null references taskq.queue,
	kind_id integer not null references taskq.kind,
	reason text not null,
	class smallint not null,
	code text not null,
	fingerprint uuid not null,
	schema_version text not null,
	sample text not null,
	first_at timestamptz not null,
	last_at timestamptz not null,
	filed bigint not null default 0,
	open bigint not null default 0,
	hour_at timestamptz,
	hour bigint not null default 0,
	hour_before bigint not null default 0,
	changed_at timestamptz not null default now(),
	seen_by text,
	seen_at timestamptz,
	note text,
	due_at timestamptz,
	escalated_at timestamptz,
	escalate_at timestamptz,
	escalate_tries smallint not null default 0,
	constraint cause_name unique (queue_id, kind_id, reason, class, code, fingerprint, schema_version)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table taskq.cause is 'dead letters that are alike: a few rows for any number of letters';
comment on column taskq.cause.class is '0: none was told';
comment on column taskq.cause.fingerprint is 'of class, code and the message without what differs from letter to letter';
comment on column taskq.cause.open is 'letters without a resolution; with the rows of cause_delta that were not folded in yet';
comment on column taskq.cause.hour is 'letters that died within the hour that began at hour_at, as they were filed; hour_before: in the one before it';
comment on column taskq.cause.changed_at is 'a letter was filed, or resolutions were folded in';
comment on column taskq.cause.seen_by is 'who acknowledged it; it is taken back when its last letter is resolved';
comment on column taskq.cause.due_at is 'said with the acknowledgement; else it follows from the oldest letter and the time its owner has';
comment on column taskq.cause.escalated_at is 'when its being overdue was last told; a due time after that is another one, and told again';
comment on column taskq.cause.escalate_at is 'somebody tells it now: nobody else does before then';

create table taskq.cause_delta (
	id bigint generated always as identity primary key,
	cause integer not null,
	n integer not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table taskq.cause_delta is 'appended by whoever resolves letters, folded into cause by the keeper: nobody waits for the row of a cause';

create index cause_delta_cause on taskq.cause_delta (cause);

create table taskq.owner (
	id integer generated always as identity primary key,
	queue text not null default '',
	kind text not null default '',
	fingerprint uuid not null default '00000000-0000-0000-0000-000000000000',
	owner text not null,
	sla bigint not null check (sla > 0),
	constraint owner_of unique (queue, kind, fingerprint)
);
comment on table taskq.owner is 'whose dead letters those of a queue, a task type or a fingerprint are: the row that says most wins; empty, and zero: any';
comment on column taskq.owner.sla is 'us from the death of a letter until something has to have been done about it';
-- Of those that fit the fingerprint says most, then the task type, then the queue; a row without any is for all.
create function taskq.owner_of(queue text, kind text, fingerprint uuid) returns table (owner text, sla bigint) language sql stable as $$
	select o.owner, o.sla from taskq.owner o
	where o.queue in (owner_of.queue, '') and o.kind in (owner_of.kind, '')
	and o.fingerprint in (owner_of.fingerprint, '00000000-0000-0000-0000-000000000000')
	order by o.fingerprint <> '00000000-0000-0000-0000-000000000000' desc, o.kind <> '' desc, o.queue <> '' desc
	limit 1
$$;

-- letters ------------------------------------------------------------------------------------------------------------------------

alter table taskq.dead
	add column cause integer,
	add column trace_id text,
	add column labels jsonb,
	add column tail text,
	add column history jsonb,
	add column sweep bigint,
	add column why text,
	add column by text,
	drop constraint dead_resolution,
	add constraint dead_resolution check (resolution in (1, 2, 3)),
	add constraint dead_schema check (cause is null or history is not null);
comment on column taskq.dead.cause is 'null: just written, the keeper has not filed it yet';
comment on column taskq.dead.resolution is 'null: open; 1 replayed, 2 discarded, 3 fixed by hand';
comment on column taskq.dead.tail is 'end of what the handler wrote to stderr, or of the body of its answer';
comment on column taskq.dead.history is 'every attempt, as it was when the letter was filed: tried rows do not live as long; of an imported letter as it came';
comment on column taskq.dead.sweep is 'that resolved it; null: a single act of somebody';
create index dead_unfiled on taskq.dead (died_at) where cause is null;
create index dead_cause on taskq.dead (cause, died_at, id) where resolution is null;

alter table taskq.tried add column tail text;

-- passes over many letters ---------------------------------------------------------------------------------------------------------

create table taskq.sweep (
	id bigint generated always as identity primary key,
	token text not null constraint sweep_token unique,
	fp bytea not null,
	act smallint not null,
	state smallint not null default 1,
	filter jsonb not null,
	asked text not null,
	rate bigint not null default 0 check (rate >= 0),
	slow bigint not null default 0 check (slow >= 0),
	concurrency integer not null default 0 check (concurrency >= 0),
	canary integer not null default 0 check (canary >= 0),
	stop_share smallint,
	stop_least integer not null default 0,
	most bigint,
	payload bytea,
	by text not null,
	why text not null,
	at timestamptz not null default now(),
	total bigint not null default 0,
	due_at timestamptz not null default now(),
	begun_at timestamptz,
	tat timestamptz,
	seen_cause integer not null default 0,
	seen_at timestamptz not null default '-infinity',
	seen_id uuid not null default '00000000-0000-0000-0000-000000000000',
	walked boolean not null default false,
	looked uuid not null default '00000000-0000-0000-0000-000000000000',
	in_flight integer not null default 0 check (in_flight >= 0),
	moved bigint not null default 0,
	blocked bigint not null default 0,
	succeeded bigint not null default 0,
	failed bigint not null default 0,
	cancelled bigint not null default 0,
	held text,
	ended_at timestamptz,
	ended_why text,
	constraint sweep_act check (act in (1, 2, 3)),
	constraint sweep_state check (state in (1, 2, 3, 4, 5)),
	constraint sweep_ended check ((state in (3, 4, 5)) = (ended_at is not null)),
	constraint sweep_counts check (moved >= 0 and (act <> 1 or moved = in_flight + succeeded + failed + cancelled))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table taskq.sweep is 'a replay, a discard or a fix of many letters, with everything needed to go on after any crash; it takes those that were dead when it was made';
comment on column taskq.sweep.token is 'who made it may ask again, and finds it';
comment on column taskq.sweep.fp is 'of what was asked';
comment on column taskq.sweep.asked is 'the filter in the words of who asked: JSON';
comment on column taskq.sweep.act is '1 replay, 2 discard, 3 fixed by hand';
comment on column taskq.sweep.state is '1 runs, 2 paused, 3 done, 4 cancelled, 5 stopped by itself';
comment on column taskq.sweep.rate is 'thousandths of a letter per second; 0: none';
comment on column taskq.sweep.slow is 'us until the whole rate';
comment on column taskq.sweep.stop_share is 'per cent of failures among what ended, beyond which it stops, when stop_least have ended';
comment on column taskq.sweep.total is 'letters at its beginning, about';
comment on column taskq.sweep.due_at is 'when somebody should look at it next';
comment on column taskq.sweep.begun_at is 'since then its rate grows';
comment on column taskq.sweep.tat is 'its rate is paid up to here';
comment on column taskq.sweep.seen_cause is 'with seen_at and seen_id: the walk over causes and their letters is behind this one';
comment on column taskq.sweep.walked is 'nothing is left to move';
comment on column taskq.sweep.looked is 'the walk over swept is behind this one';
comment on column taskq.sweep.held is 'what keeps it from going faster just now';
create index sweep_due on taskq.sweep (due_at) where state = 1 or in_flight > 0;
create index sweep_live on taskq.sweep (id) where state in (1, 2);

create table taskq.swept (
	sweep bigint not null,
	id uuid not null,
	bucket smallint not null,
	run smallint not null,
	primary key (sweep, id, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table taskq.swept is 'letters that a replay made tasks again, until it is known what became of them';
comment on column taskq.swept.run is 'of the letter: a later one is another death';

create table taskq.block (
	kind text not null,
	schema_version text not null default '',
	why text not null,
	by text not null,
	at timestamptz not null default now(),
	primary key (kind, schema_version)
);
comment on table taskq.block is 'what must not be replayed: a task type, or one schema version of it (empty: all)';

-- who did what ----------------------------------------------------------------------------------------------------------------------

create table taskq.audit (
	id bigint generated always as identity primary key,
	at timestamptz not null default now(),
	act text not null,
	by text not null,
	why text not null,
	target jsonb not null,
	n bigint not null
);
comment on table taskq.audit is 'one row per act of an operator: only appended to';
create function taskq.audit_append_only() returns trigger language plpgsql as $$
begin
	raise exception 'taskq.audit is only appended to' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_append_only before update or delete or truncate on taskq.audit
	for each statement execute function taskq.audit_append_only();
