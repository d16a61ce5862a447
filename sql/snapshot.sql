-- snapshot.sql: the schema that the migrations make; t/1310-snapshot.t compares and, with UPDATE=1, writes it.

CREATE SCHEMA taskq;

CREATE FUNCTION taskq.at(uuid, integer) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$select encode(set_byte(set_byte(uuid_send($1), 14, $2 / 256), 15, $2 % 256), 'hex')::uuid$_$;

CREATE FUNCTION taskq.audit_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
	raise exception 'taskq.audit is only appended to' using errcode = 'insufficient_privilege';
end $$;

CREATE FUNCTION taskq.batch(uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$select substr(uuid_send($1), 1, 14)$_$;

CREATE FUNCTION taskq.floor(timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$select (lpad(to_hex(floor(extract(epoch from $1) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid$_$;

CREATE FUNCTION taskq.owner_of(queue text, kind text, fingerprint uuid) RETURNS TABLE(owner text, sla bigint)
    LANGUAGE sql STABLE
    AS $$
	select o.owner, o.sla from taskq.owner o
	where o.queue in (owner_of.queue, '') and o.kind in (owner_of.kind, '')
	and o.fingerprint in (owner_of.fingerprint, '00000000-0000-0000-0000-000000000000')
	order by o.fingerprint <> '00000000-0000-0000-0000-000000000000' desc, o.kind <> '' desc, o.queue <> '' desc
	limit 1
$$;

CREATE FUNCTION taskq.partitions_make(day date, days integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION taskq.pos(uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$select get_byte(uuid_send($1), 14) * 256 + get_byte(uuid_send($1), 15)$_$;

CREATE FUNCTION taskq.starts(tat timestamp with time zone, t timestamp with time zone, every bigint, burst integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select greatest(burst - ceil(greatest(coalesce(extract(epoch from tat - t), 0) * 1000000, 0) / every), 0)::bigint$$;

CREATE FUNCTION taskq.until(tat timestamp with time zone, t timestamp with time zone, every bigint, burst integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select greatest(ceil(coalesce(extract(epoch from tat - t), 0) * 1000000) - (burst - 1) * every, 0)::bigint$$;

CREATE TABLE taskq.amend (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    version smallint NOT NULL,
    max_attempts smallint,
    payload bytea
);

COMMENT ON TABLE taskq.amend IS 'what a retry by hand changes: stands beside the task, never in it';

CREATE TABLE taskq.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    act text NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    target jsonb NOT NULL,
    n bigint NOT NULL
);

COMMENT ON TABLE taskq.audit IS 'one row per act of an operator: only appended to';

ALTER TABLE taskq.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.block (
    kind text NOT NULL,
    schema_version text DEFAULT ''::text NOT NULL,
    why text NOT NULL,
    by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE taskq.block IS 'what must not be replayed: a task type, or one schema version of it (empty: all)';

CREATE TABLE taskq.cause (
    id integer NOT NULL,
    queue_id integer NOT NULL,
    kind_id integer NOT NULL,
    reason text NOT NULL,
    class smallint NOT NULL,
    code text NOT NULL,
    fingerprint uuid NOT NULL,
    schema_version text NOT NULL,
    sample text NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    filed bigint DEFAULT 0 NOT NULL,
    open bigint DEFAULT 0 NOT NULL,
    hour_at timestamp with time zone,
    hour bigint DEFAULT 0 NOT NULL,
    hour_before bigint DEFAULT 0 NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_by text,
    seen_at timestamp with time zone,
    note text,
    due_at timestamp with time zone,
    escalated_at timestamp with time zone,
    escalate_at timestamp with time zone,
    escalate_tries smallint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE taskq.cause IS 'dead letters that are alike: a few rows for any number of letters';

COMMENT ON COLUMN taskq.cause.class IS '0: none was told';

COMMENT ON COLUMN taskq.cause.fingerprint IS 'of class, code and the message without what differs from letter to letter';

COMMENT ON COLUMN taskq.cause.open IS 'letters without a resolution; with the rows of cause_delta that were not folded in yet';

COMMENT ON COLUMN taskq.cause.hour IS 'letters that died within the hour that began at hour_at, as they were filed; hour_before: in the one before it';

COMMENT ON COLUMN taskq.cause.changed_at IS 'a letter was filed, or resolutions were folded in';

COMMENT ON COLUMN taskq.cause.seen_by IS 'who acknowledged it; it is taken back when its last letter is resolved';

COMMENT ON COLUMN taskq.cause.due_at IS 'said with the acknowledgement; else it follows from the oldest letter and the time its owner has';

COMMENT ON COLUMN taskq.cause.escalated_at IS 'when its being overdue was last told; a due time after that is another one, and told again';

COMMENT ON COLUMN taskq.cause.escalate_at IS 'somebody tells it now: nobody else does before then';

CREATE TABLE taskq.cause_delta (
    id bigint NOT NULL,
    cause integer NOT NULL,
    n integer NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

COMMENT ON TABLE taskq.cause_delta IS 'appended by whoever resolves letters, folded into cause by the keeper: nobody waits for the row of a cause';

ALTER TABLE taskq.cause_delta ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.cause_delta_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE taskq.cause ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.cause_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.dead (
    id uuid NOT NULL,
    lease_id bigint NOT NULL,
    bucket smallint NOT NULL,
    lane integer NOT NULL,
    prio smallint NOT NULL,
    run smallint NOT NULL,
    attempts smallint NOT NULL,
    crashes smallint NOT NULL,
    max_attempts smallint NOT NULL,
    reason text NOT NULL,
    class smallint,
    code text,
    message text,
    exit integer,
    created_at timestamp with time zone NOT NULL,
    died_at timestamp with time zone DEFAULT now() NOT NULL,
    options bytea,
    payload bytea NOT NULL,
    resolution smallint,
    resolved_at timestamp with time zone,
    cause integer,
    trace_id text,
    labels jsonb,
    tail text,
    history jsonb,
    sweep bigint,
    why text,
    by text,
    CONSTRAINT dead_resolution CHECK ((resolution = ANY (ARRAY[1, 2, 3]))),
    CONSTRAINT dead_resolved CHECK (((resolution IS NULL) = (resolved_at IS NULL))),
    CONSTRAINT dead_schema CHECK (((cause IS NULL) OR (history IS NOT NULL)))
);

COMMENT ON COLUMN taskq.dead.resolution IS 'null: open; 1 replayed, 2 discarded, 3 fixed by hand';

COMMENT ON COLUMN taskq.dead.cause IS 'null: just written, the keeper has not filed it yet';

COMMENT ON COLUMN taskq.dead.tail IS 'end of what the handler wrote to stderr, or of the body of its answer';

COMMENT ON COLUMN taskq.dead.history IS 'every attempt, as it was when the letter was filed: tried rows do not live as long; of an imported letter as it came';

COMMENT ON COLUMN taskq.dead.sweep IS 'that resolved it; null: a single act of somebody';

CREATE TABLE taskq.done (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    lease_id bigint,
    lane integer NOT NULL,
    status smallint NOT NULL,
    run smallint NOT NULL,
    attempts smallint NOT NULL,
    crashes smallint NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    result bytea,
    CONSTRAINT done_fenced CHECK (((status = 3) OR (lease_id IS NOT NULL))),
    CONSTRAINT done_status CHECK ((status = ANY (ARRAY[1, 2, 3])))
)
PARTITION BY RANGE (id);

COMMENT ON COLUMN taskq.done.status IS '1 succeeded, 2 failed, 3 cancelled';

CREATE TABLE taskq.expiry (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    at timestamp with time zone NOT NULL,
    lane integer NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');

COMMENT ON TABLE taskq.expiry IS 'tasks that are of no use after a time: who has not started by then is dead, EXPIRED';

CREATE TABLE taskq.gate (
    queue_id integer NOT NULL,
    grp text DEFAULT ''::text NOT NULL,
    tat timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE taskq.gate IS 'the row of a queue (grp empty) is locked by whoever claims from its counted lanes, so that counting is exact; those of groups keep their rates';

COMMENT ON COLUMN taskq.gate.tat IS 'theoretical arrival time of a rate limit: the next start is on time from then on';

CREATE TABLE taskq.idem (
    digest uuid NOT NULL,
    bucket smallint NOT NULL,
    fp bytea NOT NULL,
    task_id uuid NOT NULL,
    surface smallint NOT NULL,
    version smallint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE taskq.idem IS 'one row per idempotency key; the kept answer follows from surface, version and the task row';

CREATE TABLE taskq.kind (
    id integer NOT NULL,
    name text NOT NULL
);

ALTER TABLE taskq.kind ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.kind_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.lane (
    id integer NOT NULL,
    queue_id integer NOT NULL,
    kind_id integer NOT NULL,
    grp text DEFAULT ''::text NOT NULL,
    ord text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE taskq.lane IS 'queue, task type and group together: what a range belongs to, because a range cannot skip its middle';

COMMENT ON COLUMN taskq.lane.ord IS 'ordering key: tasks of the lane run one at a time, in the order of their ids; empty: any order';

ALTER TABLE taskq.lane ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.lane_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.lease (
    lo uuid NOT NULL,
    lease_id bigint NOT NULL,
    bucket smallint NOT NULL,
    hi uuid NOT NULL,
    lane integer NOT NULL,
    prio smallint NOT NULL,
    worker integer NOT NULL,
    run smallint NOT NULL,
    attempts smallint NOT NULL,
    crashes smallint NOT NULL,
    lost smallint NOT NULL,
    amended boolean NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone,
    counted boolean DEFAULT false NOT NULL,
    CONSTRAINT lease_range CHECK (((lo <= hi) AND (substr(uuid_send(lo), 1, 14) = substr(uuid_send(hi), 1, 14)) AND ((until IS NULL) OR ((worker = 0) AND (lo = hi))) AND ((lo = hi) OR (NOT counted))))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0');

COMMENT ON COLUMN taskq.lease.until IS 'a lease that a client holds over HTTP (worker 0) ends then; null: it lives with its worker';

COMMENT ON COLUMN taskq.lease.counted IS 'of a lane with exact limits: one task, counted by whoever wants to claim more';

CREATE TABLE taskq.meta (
    name text NOT NULL,
    value bytea NOT NULL
);

COMMENT ON TABLE taskq.meta IS 'facts of this installation; cache_key signs the answers that are kept outside the database';

CREATE TABLE taskq.migration (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE taskq.owner (
    id integer NOT NULL,
    queue text DEFAULT ''::text NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    fingerprint uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    owner text NOT NULL,
    sla bigint NOT NULL,
    CONSTRAINT owner_sla_check CHECK ((sla > 0))
);

COMMENT ON TABLE taskq.owner IS 'whose dead letters those of a queue, a task type or a fingerprint are: the row that says most wins; empty, and zero: any';

COMMENT ON COLUMN taskq.owner.sla IS 'us from the death of a letter until something has to have been done about it';

ALTER TABLE taskq.owner ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.owner_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.pause (
    what smallint NOT NULL,
    name text NOT NULL,
    why text DEFAULT ''::text NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT pause_what CHECK ((what = ANY (ARRAY[1, 2, 3])))
);

COMMENT ON TABLE taskq.pause IS 'what is not started now: 1 a queue, 2 a task type, 3 a handler';

CREATE TABLE taskq.progress (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    lease_id bigint NOT NULL,
    percent smallint NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT progress_percent_check CHECK (((percent >= 0) AND (percent <= 100)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

COMMENT ON TABLE taskq.progress IS 'what a run said of itself last; of no meaning when its lease is gone';

CREATE TABLE taskq.queue (
    id integer NOT NULL,
    name text NOT NULL
);

ALTER TABLE taskq.queue ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.queue_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.ready (
    lane integer NOT NULL,
    prio smallint NOT NULL,
    start uuid NOT NULL,
    rid bigint DEFAULT 0 NOT NULL,
    bucket smallint NOT NULL,
    lo uuid NOT NULL,
    hi uuid NOT NULL,
    n integer NOT NULL,
    run smallint DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    crashes smallint DEFAULT 0 NOT NULL,
    lost smallint DEFAULT 0 NOT NULL,
    amended boolean DEFAULT false NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ready_range CHECK (((start <= lo) AND (lo <= hi) AND ((lo = hi) OR (NOT amended)) AND (substr(uuid_send(start), 1, 14) = substr(uuid_send(hi), 1, 14))))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0');

COMMENT ON COLUMN taskq.ready.start IS 'where the range began: the key; lo moves up as tasks are claimed, and is in no index';

CREATE TABLE taskq.serves (
    inc integer NOT NULL,
    name text NOT NULL
);

COMMENT ON TABLE taskq.serves IS 'task types that a worker has handlers for; lives with its row';

CREATE TABLE taskq.sweep (
    id bigint NOT NULL,
    token text NOT NULL,
    fp bytea NOT NULL,
    act smallint NOT NULL,
    state smallint DEFAULT 1 NOT NULL,
    filter jsonb NOT NULL,
    asked text NOT NULL,
    rate bigint DEFAULT 0 NOT NULL,
    slow bigint DEFAULT 0 NOT NULL,
    concurrency integer DEFAULT 0 NOT NULL,
    canary integer DEFAULT 0 NOT NULL,
    stop_share smallint,
    stop_least integer DEFAULT 0 NOT NULL,
    most bigint,
    payload bytea,
    by text NOT NULL,
    why text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    total bigint DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    begun_at timestamp with time zone,
    tat timestamp with time zone,
    seen_cause integer DEFAULT 0 NOT NULL,
    seen_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    seen_id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    walked boolean DEFAULT false NOT NULL,
    looked uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    in_flight integer DEFAULT 0 NOT NULL,
    moved bigint DEFAULT 0 NOT NULL,
    blocked bigint DEFAULT 0 NOT NULL,
    succeeded bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    held text,
    ended_at timestamp with time zone,
    ended_why text,
    CONSTRAINT sweep_act CHECK ((act = ANY (ARRAY[1, 2, 3]))),
    CONSTRAINT sweep_canary_check CHECK ((canary >= 0)),
    CONSTRAINT sweep_concurrency_check CHECK ((concurrency >= 0)),
    CONSTRAINT sweep_counts CHECK (((moved >= 0) AND ((act <> 1) OR (moved = (((in_flight + succeeded) + failed) + cancelled))))),
    CONSTRAINT sweep_ended CHECK (((state = ANY (ARRAY[3, 4, 5])) = (ended_at IS NOT NULL))),
    CONSTRAINT sweep_in_flight_check CHECK ((in_flight >= 0)),
    CONSTRAINT sweep_rate_check CHECK ((rate >= 0)),
    CONSTRAINT sweep_slow_check CHECK ((slow >= 0)),
    CONSTRAINT sweep_state CHECK ((state = ANY (ARRAY[1, 2, 3, 4, 5])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE taskq.sweep IS 'a replay, a discard or a fix of many letters, with everything needed to go on after any crash; it takes those that were dead when it was made';

COMMENT ON COLUMN taskq.sweep.token IS 'who made it may ask again, and finds it';

COMMENT ON COLUMN taskq.sweep.fp IS 'of what was asked';

COMMENT ON COLUMN taskq.sweep.act IS '1 replay, 2 discard, 3 fixed by hand';

COMMENT ON COLUMN taskq.sweep.state IS '1 runs, 2 paused, 3 done, 4 cancelled, 5 stopped by itself';

COMMENT ON COLUMN taskq.sweep.asked IS 'the filter in the words of who asked: JSON';

COMMENT ON COLUMN taskq.sweep.rate IS 'thousandths of a letter per second; 0: none';

COMMENT ON COLUMN taskq.sweep.slow IS 'us until the whole rate';

COMMENT ON COLUMN taskq.sweep.stop_share IS 'per cent of failures among what ended, beyond which it stops, when stop_least have ended';

COMMENT ON COLUMN taskq.sweep.total IS 'letters at its beginning, about';

COMMENT ON COLUMN taskq.sweep.due_at IS 'when somebody should look at it next';

COMMENT ON COLUMN taskq.sweep.begun_at IS 'since then its rate grows';

COMMENT ON COLUMN taskq.sweep.tat IS 'its rate is paid up to here';

COMMENT ON COLUMN taskq.sweep.seen_cause IS 'with seen_at and seen_id: the walk over causes and their letters is behind this one';

COMMENT ON COLUMN taskq.sweep.walked IS 'nothing is left to move';

COMMENT ON COLUMN taskq.sweep.looked IS 'the walk over swept is behind this one';

COMMENT ON COLUMN taskq.sweep.held IS 'what keeps it from going faster just now';

ALTER TABLE taskq.sweep ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskq.sweep_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE taskq.swept (
    sweep bigint NOT NULL,
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    run smallint NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

COMMENT ON TABLE taskq.swept IS 'letters that a replay made tasks again, until it is known what became of them';

COMMENT ON COLUMN taskq.swept.run IS 'of the letter: a later one is another death';

CREATE TABLE taskq.task (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    lane integer NOT NULL,
    prio smallint NOT NULL,
    max_attempts smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    run_at timestamp with time zone,
    options bytea,
    payload bytea NOT NULL
)
PARTITION BY RANGE (id);

CREATE TABLE taskq.tried (
    id uuid NOT NULL,
    lease_id bigint NOT NULL,
    bucket smallint NOT NULL,
    why smallint NOT NULL,
    run smallint NOT NULL,
    worker integer NOT NULL,
    started_at timestamp with time zone,
    at timestamp with time zone DEFAULT now() NOT NULL,
    class smallint,
    code text,
    message text,
    exit integer,
    tail text,
    CONSTRAINT tried_why CHECK ((why = ANY (ARRAY[1, 2, 3, 4, 5])))
)
PARTITION BY RANGE (id);

COMMENT ON TABLE taskq.tried IS 'one row per exit of a task from a lease without success';

COMMENT ON COLUMN taskq.tried.why IS '1 retry, 2 dead, 3 retried by hand while the lease lived, 4 failed, 5 put off without an attempt';

CREATE TABLE taskq.uniq (
    digest uuid NOT NULL,
    bucket smallint NOT NULL,
    id uuid NOT NULL,
    hold smallint NOT NULL,
    until timestamp with time zone,
    CONSTRAINT uniq_hold CHECK ((hold = ANY (ARRAY[1, 2, 3]))),
    CONSTRAINT uniq_until CHECK (((hold = 3) = (until IS NOT NULL)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');

COMMENT ON TABLE taskq.uniq IS 'one row per unique name: the task that took it last; whether it still holds it follows from where that task is';

COMMENT ON COLUMN taskq.uniq.hold IS '1 until it starts, 2 until it is final, 3 until a time';

CREATE TABLE taskq.waiting (
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    due_at timestamp with time zone NOT NULL,
    lane integer NOT NULL,
    prio smallint NOT NULL,
    run smallint DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    crashes smallint DEFAULT 0 NOT NULL,
    lost smallint DEFAULT 0 NOT NULL,
    amended boolean DEFAULT false NOT NULL,
    why smallint NOT NULL,
    counted boolean DEFAULT false NOT NULL,
    CONSTRAINT waiting_why CHECK ((why = ANY (ARRAY[1, 2, 3])))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');

COMMENT ON COLUMN taskq.waiting.why IS '1 delay: submitted for later, 2 retry, 3 put off without an attempt';

CREATE TABLE taskq.worker (
    inc integer NOT NULL,
    node text NOT NULL,
    boot uuid NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen timestamp with time zone DEFAULT now() NOT NULL,
    home uuid
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE taskq.worker IS 'one row per life of a worker process; its leases live and die with it';

COMMENT ON COLUMN taskq.worker.home IS 'the boot of its machine and the lock file of its daemon: who holds that lock knows that the others of this home are dead; null: not known';

CREATE SEQUENCE taskq.writer
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 1073741823
    CACHE 1;

COMMENT ON SEQUENCE taskq.writer IS 'identity of a process life: part of its task ids and lease ids, never reused';

ALTER TABLE ONLY taskq.amend
    ADD CONSTRAINT amend_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.block
    ADD CONSTRAINT block_pkey PRIMARY KEY (kind, schema_version);

ALTER TABLE ONLY taskq.cause_delta
    ADD CONSTRAINT cause_delta_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.cause
    ADD CONSTRAINT cause_name UNIQUE (queue_id, kind_id, reason, class, code, fingerprint, schema_version);

ALTER TABLE ONLY taskq.cause
    ADD CONSTRAINT cause_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.dead
    ADD CONSTRAINT dead_pkey PRIMARY KEY (id, lease_id, bucket);

ALTER TABLE ONLY taskq.done
    ADD CONSTRAINT done_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.expiry
    ADD CONSTRAINT expiry_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.gate
    ADD CONSTRAINT gate_pkey PRIMARY KEY (queue_id, grp);

ALTER TABLE ONLY taskq.idem
    ADD CONSTRAINT idem_pkey PRIMARY KEY (digest, bucket);

ALTER TABLE ONLY taskq.kind
    ADD CONSTRAINT kind_name_key UNIQUE (name);

ALTER TABLE ONLY taskq.kind
    ADD CONSTRAINT kind_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.lane
    ADD CONSTRAINT lane_name UNIQUE (queue_id, kind_id, grp, ord);

ALTER TABLE ONLY taskq.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (lo, lease_id, bucket);

ALTER TABLE ONLY taskq.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);

ALTER TABLE ONLY taskq.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY taskq.owner
    ADD CONSTRAINT owner_of UNIQUE (queue, kind, fingerprint);

ALTER TABLE ONLY taskq.owner
    ADD CONSTRAINT owner_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.pause
    ADD CONSTRAINT pause_pkey PRIMARY KEY (what, name);

ALTER TABLE ONLY taskq.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.queue
    ADD CONSTRAINT queue_name_key UNIQUE (name);

ALTER TABLE ONLY taskq.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.ready
    ADD CONSTRAINT ready_pkey PRIMARY KEY (lane, prio, start, rid, bucket);

ALTER TABLE ONLY taskq.serves
    ADD CONSTRAINT serves_pkey PRIMARY KEY (inc, name);

ALTER TABLE ONLY taskq.sweep
    ADD CONSTRAINT sweep_pkey PRIMARY KEY (id);

ALTER TABLE ONLY taskq.sweep
    ADD CONSTRAINT sweep_token UNIQUE (token);

ALTER TABLE ONLY taskq.swept
    ADD CONSTRAINT swept_pkey PRIMARY KEY (sweep, id, bucket);

ALTER TABLE ONLY taskq.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.tried
    ADD CONSTRAINT tried_pkey PRIMARY KEY (id, lease_id, bucket);

ALTER TABLE ONLY taskq.uniq
    ADD CONSTRAINT uniq_pkey PRIMARY KEY (digest, bucket);

ALTER TABLE ONLY taskq.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (id, bucket);

ALTER TABLE ONLY taskq.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (inc, seq);

CREATE INDEX cause_delta_cause ON taskq.cause_delta USING btree (cause);

CREATE INDEX dead_cause ON taskq.dead USING btree (cause, died_at, id) WHERE (resolution IS NULL);

CREATE UNIQUE INDEX dead_open ON taskq.dead USING btree (id, bucket) WHERE (resolution IS NULL);

CREATE INDEX dead_unfiled ON taskq.dead USING btree (died_at) WHERE (cause IS NULL);

CREATE INDEX expiry_at ON taskq.expiry USING btree (at);

CREATE INDEX lease_counted ON taskq.lease USING btree (lane) WHERE counted;

CREATE INDEX lease_until ON taskq.lease USING btree (until) WHERE (until IS NOT NULL);

CREATE INDEX lease_worker ON taskq.lease USING btree (worker);

CREATE INDEX serves_name ON taskq.serves USING btree (name);

CREATE INDEX sweep_due ON taskq.sweep USING btree (due_at) WHERE ((state = 1) OR (in_flight > 0));

CREATE INDEX sweep_live ON taskq.sweep USING btree (id) WHERE (state = ANY (ARRAY[1, 2]));

CREATE INDEX waiting_counted ON taskq.waiting USING btree (lane, id) WHERE counted;

CREATE INDEX waiting_due ON taskq.waiting USING btree (due_at);

CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON taskq.audit FOR EACH STATEMENT EXECUTE FUNCTION taskq.audit_append_only();

ALTER TABLE ONLY taskq.cause
    ADD CONSTRAINT cause_kind_id_fkey FOREIGN KEY (kind_id) REFERENCES taskq.kind(id);

ALTER TABLE ONLY taskq.cause
    ADD CONSTRAINT cause_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES taskq.queue(id);

ALTER TABLE ONLY taskq.gate
    ADD CONSTRAINT gate_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES taskq.queue(id);

ALTER TABLE ONLY taskq.lane
    ADD CONSTRAINT lane_kind_id_fkey FOREIGN KEY (kind_id) REFERENCES taskq.kind(id);

ALTER TABLE ONLY taskq.lane
    ADD CONSTRAINT lane_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES taskq.queue(id);

