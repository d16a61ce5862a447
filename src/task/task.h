/* task.h - the domain: what a task is, its states, its limits.  Pure functions; includes base only. */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/id.h"

/* --- limits -------------------------------------------------------------------------------------------------------- */
#define TASK_TYPE_MAX \
	64 /* bytes of a task type: [A-Za-z0-9_.:-]+ on /v1; any printable UTF-8 on the compatible surface */
#define TASK_QUEUE_MAX 64
#define TASK_KEY_MAX 255      /* bytes of an idempotency key */
#define TASK_ATTEMPTS_MAX 100 /* upper bound of max_attempts on /v1; 10 on the compatible surface */
#define TASK_PRIORITY_MIN (-100)
#define TASK_PRIORITY_MAX 100     /* greater runs sooner; stored as prio = -priority */
#define TASK_LABELS_MAX 16        /* labels of a task */
#define TASK_LABEL_MAX 64         /* bytes of a label's name, and of its value */
#define TASK_SCHEMA_MAX 64        /* bytes of schema_version */
#define TASK_TRACE_MAX 128        /* bytes of trace_id */
#define TASK_GROUP_MAX 128        /* bytes of group */
#define TASK_DELAY_MAX 31536000   /* seconds of delay: 365 days */
#define TASK_EXPIRES_MAX 31536000 /* seconds of expires_in: 365 days */
#define TASK_UNIQUE_MAX 255       /* bytes of a unique name */
#define TASK_WINDOW_MAX 2678400   /* seconds that a unique name may be held: 31 days */
#define TASK_ERROR_MAX 2000       /* bytes of last_error that are kept */
#define TASK_TAIL_MAX 4096        /* bytes of the end of stderr that are kept with a failed run */
#define TASK_NOTE_MAX 500         /* bytes of a note beside the progress of a run */
#define TASK_DEPTH_MAX 64         /* nesting of JSON */
#define TASK_RUN_MAX 32000

/* --- states: states.def, task_state.c -------------------------------------------------------------------------------- */

/* Where a task is.  The database never stores this word: it follows from the rows (done, dead, lease, waiting, ready). */
enum task_state {
	TASK_NEW,
	TASK_READY,
	TASK_WAITING,
	TASK_LEASED,
	TASK_SUCCEEDED,
	TASK_FAILED,
	TASK_CANCELLED,
	TASK_DEAD,
	TASK_STATES
};
/* done.status in the database; CHECKed there. */
enum task_done { TASK_DONE_SUCCEEDED = 1, TASK_DONE_FAILED = 2, TASK_DONE_CANCELLED = 3 };

/* Why a move happens: the rows of states.def. */
enum task_event {
#define TRANSITION_EVENT(name, text) TASK_EV_##name,
#define TRANSITION(from, event, to)
#include "task/states.def"
#undef TRANSITION_EVENT
#undef TRANSITION
	TASK_EVENTS
};

const char *task_state_name(enum task_state s); /* "leased" */
const char *task_event_name(enum task_event e);
/* The word of the API: pending (ready or waiting), processing, succeeded, failed, dead_letter, cancelled. */
const char *task_status_word(enum task_state s);
bool task_state_is_final(enum task_state s) MUSTCHECK; /* it moves on by nobody's hand but a client's */
bool task_status_parse(struct span word, enum task_state *s_r) MUSTCHECK; /* pending gives TASK_READY */
/* TASK_STATES when the move is illegal. */
enum task_state task_state_next(enum task_state from, enum task_event why);

/* --- failure classes: task_class.c ------------------------------------------------------------------------------------ */

enum task_class {
	TASK_CLASS_NONE,
	TASK_TRANSIENT,
	TASK_PERSISTENT,
	TASK_NON_RETRYABLE,
	TASK_AUTH,
	TASK_RATE_LIMITED,
	TASK_CRASH,
	TASK_CLASSES
};
const char *task_class_name(enum task_class c); /* "TRANSIENT"; null for NONE */
bool task_class_parse(struct span word, enum task_class *c_r) MUSTCHECK;

/* What became of one run; filled by run/, written by store/. */
struct task_failure {
	enum task_class class;
	char code[64];                    /* "HANDLER_FAILED", "TIMEOUT", "NO_HANDLER" ...; [A-Z0-9_]+ */
	char message[TASK_ERROR_MAX + 1]; /* UTF-8, for last_error */
	int exit;                         /* wait status, or TASK_EXIT_HTTP + HTTP status; -1 none */
	struct span
	    tail; /* UTF-8, at most TASK_TAIL_MAX: end of what it wrote to stderr, or of the body of its answer */
};
#define TASK_EXIT_HTTP 0x10000 /* beyond every wait status */
/* Code and message of a success whose result is longer than may be. */
void task_result_too_large(struct task_failure *f, int64_t most);
/* Class and code of an exec handler's end by the table of the design: 0 is success and not asked here; 64, 65, 66, 78
 * NON_RETRYABLE; 77 AUTH; every other code TRANSIENT, HANDLER_FAILED; a signal CRASH. */
/* The message is a plain one ("exited with status 3") for callers that have nothing better.  EX_USAGE and its like name the code
 * of the special exits, SIGKILL and its like that of a signal. */
void task_class_of_exit(int wait_status, struct task_failure *f_r);
/* The same for an HTTP status that is no success: 408, 409, 423, 425 and 5xx TRANSIENT; 429 RATE_LIMITED; 401, 403 AUTH; every other one,
 * an unfollowed 3xx too, NON_RETRYABLE.  The code is HTTP_ and the number. */
void task_class_of_status(int status, struct task_failure *f_r);
/* It has a meaning of its own, not only that of "every other" exit or of its hundred. */
bool task_class_exit_is_special(int exit);

/* --- dead letters: task_dead.c, task_fingerprint.c ---------------------------------------------------------------------- */

/* Why a task is dead, stored with its letter: RETRY_EXHAUSTED, NON_RETRYABLE, NO_HANDLER, EXPIRED, QUARANTINED, INVALID_PAYLOAD, UNKNOWN_CLASS,
 * UNKNOWN_CODE.  Never rename one. */
bool task_dead_reason_known(struct span word) MUSTCHECK;
/* Of a failure that is not to be repeated: the word that its code is, else NON_RETRYABLE. */
const char *task_dead_reason(struct span code) MUSTCHECK;
extern const char *const task_dead_reasons[]; /* null at the end */

/* Failures that are alike have the same: of the class, the code, and the message without numbers, ids, quoted text and the like.  It is
 * stored and asked for, so it never changes. */
struct id task_fingerprint(enum task_class class, struct span code, struct span message);
void task_message_normalise(struct buf *b, struct span message); /* what it sees of a message */

/* --- back-off: task_retry.c ---------------------------------------------------------------------------------------------- */

struct task_backoff {
	int64_t base;      /* us; default 2 s */
	double factor;     /* 3 */
	int64_t cap;       /* 120 s */
	double jitter_lo;  /* 0.10: the delay grows by 10 to 30 per cent, never shrinks */
	double jitter_hi;  /* 0.30 */
	double slower;     /* after PERSISTENT the delay is so many times longer */
	int64_t asked_max; /* us; the longest delay that a handler may ask for */
};
/* Delay before the run after `attempts` charged attempts (1, 2, ...); `dice` in [0, 1). */
int64_t task_backoff_delay(const struct task_backoff *b, int attempts, double dice);

/* --- ids and ranges: task_id.c ---------------------------------------------------------------------------------------------
 * UUIDv7: ms 48 | ver 4 | bucket 12 | var 2 | writer 30 | seq 16 | pos 16.  Neighbours of one batch differ in pos only, so a
 * range lo..hi never covers foreign tasks. */

#define TASK_BUCKETS 1024

struct task_id_maker {
	uint32_t writer; /* 30 bits, from the database, never reused */
	uint16_t bucket; /* home bucket of this maker */
	uint16_t seq;
	int64_t last_ms;   /* never goes back */
	int64_t db_offset; /* us: database clock minus clock_wall(), learned at connect */
};
void task_id_maker_init(struct task_id_maker *m, uint32_t writer, uint16_t bucket, int64_t db_offset);
/* Begins a batch; ids of it are task_id_at(first, 0 .. n-1).  False when the clock went back more than ten seconds: then the
 * caller needs a new writer. */
bool task_id_batch(struct task_id_maker *m, struct id *first_r) MUSTCHECK;
void task_id_not_before(struct task_id_maker *m, int64_t ms); /* its next batch begins in that millisecond or later */
struct id task_id_at(
    const struct id *first, uint32_t pos); /* `pos` counts from the batch, whichever id of it is given */
uint32_t task_id_pos(const struct id *id);
uint16_t task_id_bucket(const struct id *id);
uint32_t task_id_writer(const struct id *id);
int64_t task_id_time(const struct id *id);                       /* us since the epoch */
struct id task_id_least(int64_t us);                             /* no id of that time or later is less */
bool task_id_same_batch(const struct id *a, const struct id *b); /* equal in the first 112 bits */
/* The bucket of an idempotency key: fmix64(fnv1a64(tenant, NUL, key)) & 1023. */
uint16_t task_key_bucket(struct span tenant, struct span key);

/* --- idempotency keys and fingerprints: task_idem.c --------------------------------------------------------------------- */

/* Parses the header's value: bare (0x20-0x7e, no space at the ends) or an RFC 8941 string (parameters are ignored); 1-255 bytes
 * after unquoting.  Returns null or what is wrong.  key_r needs TASK_KEY_MAX + 1 bytes. */
const char *task_key_parse(struct span header, char *key_r, size_t *len_r) MUSTCHECK;
/* The same rules for a key that needed no quotes, being a JSON string: 1-255 bytes 0x20-0x7e. */
const char *task_key_check(struct span key) MUSTCHECK;
#define TASK_KEY_MEMBER "idempotency_key" /* of an item of a bulk request */
/* First 16 bytes of SHA-256(tenant, NUL, key): the primary key of the key's row. */
struct id task_key_digest(struct span tenant, struct span key);

/* --- a submitted task, before it is stored ---------------------------------------------------------------------------------- */

enum task_surface { TASK_SURFACE_V1 = 1, TASK_SURFACE_COMPAT = 2 };

/* How long a task holds its unique name: uniq.hold in the database, CHECKed there. */
enum task_hold { TASK_HOLD_NONE, TASK_HOLD_QUEUED, TASK_HOLD_LIVE, TASK_HOLD_WINDOW };

/* Of all tasks of a tenant that want the same name one has it at a time.  task_unique.c */
struct task_unique {
	struct span name; /* empty: none */
	enum task_hold
	    hold; /* QUEUED: until it starts; LIVE: until it is final; WINDOW: for so long, whatever becomes of it */
	int64_t window; /* us; 0 unless WINDOW */
};

struct task_label {
	struct span name;
	struct span value;
};

/* What the client asked for, defaults filled; spans point into the request body, strings that were escaped into the arena. */
struct task_request {
	struct span task_type;
	struct span queue;   /* "default" */
	struct span payload; /* JSON text exactly as sent; "{}" when absent */
	int max_attempts;    /* 5 on /v1, 3 on the compatible surface: constants of the surface, never configuration */
	int priority;        /* 0 */
	int64_t run_at;      /* us since the epoch; 0: now */
	int64_t delay;      /* us from acceptance; 0: none.  Never with run_at.  Who stores the task adds the clock; the
	                           * fingerprint must not */
	int64_t expires_at; /* us since the epoch: of no use when it has not started by then; 0: never */
	int64_t expires_in; /* the same, us from acceptance; 0: none.  Never with expires_at */
	struct span schema_version;                /* empty: none */
	struct span trace_id;                      /* empty: none */
	struct span group;                         /* empty: none */
	struct span ordering_key;                  /* empty: in any order */
	struct task_label labels[TASK_LABELS_MAX]; /* sorted by name */
	int nlabels;
	struct task_unique unique;
	uint8_t fingerprint[DIGEST_LEN];
};

/* --- a task as it is stored and read ------------------------------------------------------------------------------------- */

/* Spans belong to the arena or result the row was read into. */
struct task_row {
	struct id id;
	int32_t lane;
	struct span queue;
	struct span task_type;
	struct span group;
	struct span ordering_key;
	int priority;                   /* of the API: greater is sooner */
	int max_attempts;               /* amended value where a retry by hand changed it */
	int64_t created_at;             /* database clock, us since the epoch */
	int64_t run_at;                 /* 0: at once */
	int64_t expires_at, expires_in; /* as they were asked for; see task_expires_at() */
	struct span payload;
	struct span schema_version;
	struct span trace_id;
	struct task_label labels[TASK_LABELS_MAX];
	int nlabels;
	/* what follows from the moving rows; not part of the kept answer */
	enum task_state state;
	int run;      /* starts so far */
	int attempts; /* runs charged against max_attempts, the one in progress included */
	int crashes;
	int64_t updated_at;
	int64_t finished_at; /* 0: not yet */
	struct span result;  /* JSON text; empty: null */
	struct span last_error;
	struct span error_code;
	struct span error_class;
	int percent; /* how far a running task is, as it said last */
	struct span note;
	int64_t said_at; /* 0: it said nothing */
};

/* What a row takes over from the request; the rest of it stays as it is.  task_codec.c */
void task_row_of_request(const struct task_request *r, struct task_row *row);

/* When a task that has not started is of no use any more, us since the epoch; 0: never.  task_codec.c */
int64_t task_expires_at(const struct task_row *row);
/* It was not started in time: what started once, whatever became of that, does not expire. */
bool task_is_expired(const struct task_row *row, int64_t now);

/* The JSON of a task: task_render.c.  `as_submitted` leaves the moving part at its first value, so that the answer to a
 * submission is a pure function of the stored row: replays render it again, byte for byte.  A renderer that has been
 * released is never edited; a change is a new version beside it. */
#define TASK_RENDER_VERSION 1
void task_render(struct buf *b, const struct task_row *row, enum task_surface surface, int version, bool as_submitted);

/* Options of a task that no statement looks into, packed with msgpack: schema_version, trace_id, labels, expiry.  A task without any
 * packs to no bytes at all.  task_codec.c */
void task_options_pack(struct buf *b, const struct task_request *r);
/* False when the bytes are not ours; spans point into `packed`. */
bool task_options_unpack(struct span packed, struct task_row *row) MUSTCHECK;

/* --- the name of a lease outside: task_lease.c ----------------------------------------------------------------------------- */

/* What a handler shows to prove that it still holds its task: 48 lower-case hexadecimal digits, the id of the task and that of the lease. */
#define TASK_LEASE_TEXT 49
void task_lease_format(const struct id *task, int64_t lease_id, char text[TASK_LEASE_TEXT]);
bool task_lease_parse(struct span text, struct id *task_r, int64_t *lease_id_r) MUSTCHECK;

/* The envelope that every handler gets (design: one shape everywhere), as JSON text. */
struct task_envelope {
	const struct task_row *row;
	int attempt; /* 1, 2, ... */
	int64_t lease_id;
	int64_t deadline; /* us since the epoch */
};
void task_envelope_json(struct buf *b, const struct task_envelope *e);

#endif
