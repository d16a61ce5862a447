/* store.h - Postgres, as verbs: structs in, structs out, never a PGresult.
 *
 * One struct store per process, made after fork.  Every verb answers by a callback on a later turn of the loop, exactly once, also
 * at store_close(); but what a callback asks while the store closes is never answered.  Rows given to a callback are borrowed until it
 * returns.  Times are microseconds; instants are the database's.
 *
 * Statuses: OK; REFUSED, a rule said no; FAILED, certainly nothing happened; UNSURE, the line was lost after send and the store
 * could not find out before the caller's deadline (it keeps trying where it must: a worker's step is repeated until known).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "conf/conf.h"
#include "sys/loop.h"
#include "sys/ration.h"
#include "sys/turn.h"
#include "sys/wake.h"
#include "task/task.h"

struct store;
struct store_held;
struct store_outcome;

/* What becomes of a task whose client said that it failed, or nothing until its lease ended (`report` null); decided by whoever knows
 * the handlers.  `report` is a JSON object with error_class, error_code, message, retry_after.  What the outcome points to is of the arena.  True: the handler is to be
 * paused, for it was not let in. */
typedef bool store_judge_fn(void *arg, const struct conf *conf, struct arena *a, const struct store_held *h,
    struct span report, struct store_outcome *o_r);

enum store_status { STORE_OK, STORE_REFUSED, STORE_FAILED, STORE_UNSURE };

struct store_options {
	struct loop *loop;
	const struct conf *conf;
	struct wake *wake;      /* rung after commits; may be null in tests */
	struct ration *ration;  /* told how deep queues are, by store_depth() */
	struct turn *turn;      /* after which id the next one comes; may be null in tests */
	const char *node;       /* name of this node */
	struct id boot, home;   /* this start of the supervisor; where it holds its lock, zero: not known */
	int64_t boot_at;        /* clock_now() of the start */
	int submit_connections, read_connections; /* 0 where the role needs none */
	bool worker, keeper;   /* a connection for store_step(); one for the duties */
	store_judge_fn *judge; /* null where nobody says fail and nothing is taken back */
	void *judge_arg;
};

struct store *store_open(const struct store_options *o) MUSTCHECK;
/* Everything unanswered is answered FAILED or UNSURE first; not from a callback of the store. */
void store_close(struct store **s);
void store_rest(struct store *s); /* frees what is kept for a rush; renews what had much to carry */

/* What /readyz says: null when ready, else what is missing ("cannot use postgres: ...", "schema is version 3, this program needs
 * 4", "postgres runs with fsync = off", "partitions are ready for 3 days ahead, expected 7"). */
const char *store_not_ready(const struct store *s);
int64_t store_db_now(const struct store *s); /* estimate of the database's clock */

/* --- which cluster: store_hello.c ------------------------------------------------------------------------------------------ */

bool store_conninfo_good(const char *conninfo) MUSTCHECK; /* libpq can read it */

/* One life of a cluster: another one after a promotion or a restore, when what was committed last may be gone. */
struct store_epoch {
	int64_t system; /* identifier of the cluster; 0: we are not permitted to know */
	int64_t timeline;
	int64_t started_at;            /* the server: files may have been put back while it was down */
	uint8_t cache_key[DIGEST_LEN]; /* signs answers that are kept outside the database */
};
/* Null while no connection for submissions is up, and where the server does not tell. */
const struct store_epoch *store_epoch(const struct store *s);
/* In the callback of a verb: of the connection that has answered, which may be another one than of those that answer from now on. */
const struct store_epoch *store_epoch_answered(const struct store *s);

/* --- submit: store_submit.c ---------------------------------------------------------------------------------------------- */

enum store_verdict {
	STORE_ACCEPTED,
	STORE_REPLAYED,
	STORE_MISMATCH,
	STORE_BUSY,       /* key in flight elsewhere, or its unique name */
	STORE_NOT_UNIQUE, /* another task holds the name: nothing is stored, the key is as it was */
	STORE_UNSTORABLE, /* the database refuses this very task, and would again: nothing is stored */
	STORE_UNKNOWN     /* store_known() only: no such key */
};

struct store_submitted {
	enum store_status status;
	enum store_verdict verdict; /* when OK */
	struct task_row row;        /* ACCEPTED, REPLAYED: as submitted.  MISMATCH: id and created_at of the first;
	                             * NOT_UNIQUE: id of the holder */
	enum task_surface surface;  /* of the first submission */
	int version;                /* renderer of the first answer */
	int64_t expires_at;
	enum task_hold hold; /* NOT_UNIQUE: how the holder has the name */
	int64_t held_until;  /* NOT_UNIQUE: of a window; else 0 */
	const char *why;     /* FAILED, UNSURE: for the log */
};
typedef void store_submit_fn(void *arg, const struct store_submitted *s);

struct store_submission {
	const struct task_request *request; /* borrowed until the callback */
	enum task_surface surface;
	struct span tenant;
	struct span key;  /* empty: none (never a replay) */
	const struct id *digest; /* of tenant and key, from who has it already; null: taken here */
	int64_t deadline; /* clock_now() */
};
/* Joins the next batch; one that wants a unique name goes by itself. */
void store_submit(struct store *s, const struct store_submission *in, store_submit_fn *fn, void *arg);

/* The same question without storing anything: REPLAYED, MISMATCH or UNKNOWN; or FAILED.  What `in` points to need not live on. */
void store_known(struct store *s, const struct store_submission *in, store_submit_fn *fn, void *arg);

/* --- read: store_read.c ----------------------------------------------------------------------------------------------------- */

typedef void store_row_fn(void *arg, enum store_status status, const struct task_row *row); /* null row: not found */
void store_get(struct store *s, const struct id *id, store_row_fn *fn, void *arg);

/* Which of these tasks are final now; one statement.  The ids are borrowed until the callback; `settled` has an element for each, in
 * their order, when OK. */
typedef void store_settled_fn(void *arg, enum store_status status, const bool *settled);
void store_settled(struct store *s, const struct id *ids, int n, store_settled_fn *fn, void *arg);

struct store_filter {
	int state;             /* enum task_state, or -1 */
	int or_state;          /* or this one; 0 (TASK_NEW, which nothing stored is): none */
	struct span task_type; /* empty: any */
	struct span queue;
	struct span tenant;
	struct span key;  /* the task of this idempotency key */
	struct id before; /* zero: from the newest; else older than this id */
	int limit;        /* 1..1000 */
	int offset;       /* compatible surface only */
};
struct store_page {
	enum store_status status;
	const struct task_row *rows;
	int nrows;
	int skipped;    /* of the offset; all of it unless the page is short */
	bool more;      /* a next page may hold something; a short page with more is legal */
	struct id next; /* where it begins: the `before` of the next call */
	struct buf *made; /* what `fn` made of it, for those who asked the same and get the same page; empty for the first of them */
};
typedef void store_list_fn(void *arg, const struct store_page *page);
void store_list(struct store *s, const struct store_filter *f, store_list_fn *fn, void *arg);

/* --- results: store_result.c ------------------------------------------------------------------------------------------------------ */

/* What the queue says of them: most bytes, and for how long after the end they are shown (us; 0: they are not stored). */
int64_t store_result_max(const struct conf *c, struct span queue);
int64_t store_result_life(const struct conf *c, struct span queue);

/* --- pauses: store_pause.c ------------------------------------------------------------------------------------------------------ */

/* A row of Postgres, so for all nodes.  On this node every worker looks as soon as the pause is committed and starts nothing of what is
 * paused before it has looked; the others see it with their next look. */
enum store_paused { STORE_PAUSED_QUEUE = 1, STORE_PAUSED_TYPE, STORE_PAUSED_HANDLER };
#define STORE_PAUSED_WHATS 4
struct store_pause {
	enum store_paused what;
	struct span name;
	struct span why, by; /* as was said; may be empty */
	int64_t at;          /* since then; 0 in a question */
};
const char *store_paused_word(enum store_paused what); /* "queue", "type", "handler" */

/* changed: by this call, as far as can be known.  store_pause(): the pause that stands, which is the earlier one when there was one.
 * store_resume(): the pause that ended, null: there was none; `p` names what, and who ends it.  What `p` points to need not live on. */
typedef void store_pause_fn(void *arg, enum store_status status, bool changed, const struct store_pause *p);
void store_pause(struct store *s, const struct store_pause *p, store_pause_fn *fn, void *arg);
void store_resume(struct store *s, const struct store_pause *p, store_pause_fn *fn, void *arg);

/* All of them, by what and name; at most STORE_PAUSES. */
#define STORE_PAUSES 1000
typedef void store_pauses_fn(void *arg, enum store_status status, const struct store_pause *pauses, int n);
void store_pauses(struct store *s, store_pauses_fn *fn, void *arg);

/* --- queues: store_queues.c --------------------------------------------------------------------------------------------------------- */

struct store_queue {
	struct span name;
	int64_t ready, waiting, processing; /* claimed by a worker or a client */
	int64_t oldest_at;                  /* of what is ready: since when; 0: nothing is */
	int64_t due_at;                     /* the next of what waits; 0: nothing does */
	bool least;                         /* a bound was met: there may be more, and older */
	bool paused;
	struct store_pause pause; /* when paused */
	int64_t now;
};
/* By name; at most STORE_QUEUES, and as many that are paused and have no task yet.  It costs about the same however much is in them. */
#define STORE_QUEUES 1000
typedef void store_queues_fn(void *arg, enum store_status status, const struct store_queue *queues, int n);
void store_queues(struct store *s, store_queues_fn *fn, void *arg);

/* --- work: store_worker.c -------------------------------------------------------------------------------------------------------
 *
 * A worker process has one identity (inc), one connection, and takes one step at a time: outcomes, give-backs and the next claim travel
 * in one commit.  The store repeats a step that was cut until it knows; when the worker was declared dead meanwhile it says so by
 * `lost` and takes a new identity: the caller stops its handlers and forgets its tasks. */

struct store_lease {
	struct id lo, hi; /* the range */
	int64_t lease_id;
};

struct store_claimed { /* one task of a claimed lease */
	struct store_lease lease;
	struct task_row row;        /* payload included; borrowed until the callback returns */
	int run, attempts, crashes; /* before this start: attempts charged so far */
	int turn;                   /* that took it; -1: not known any more */
};

enum store_outcome_kind { STORE_SUCCEEDED, STORE_RETRY, STORE_BURY, STORE_DISCARD, STORE_PUT_OFF };
struct store_outcome {
	struct id id;
	struct store_lease lease;
	enum store_outcome_kind kind;
	struct span result;                 /* SUCCEEDED: JSON text or empty */
	const struct task_failure *failure; /* else; a PUT_OFF writes none */
	const char *reason;                 /* BURY: RETRY_EXHAUSTED, NON_RETRYABLE, NO_HANDLER ... */
	int64_t delay;                      /* RETRY, PUT_OFF: from the commit on, us */
	bool charge;                        /* the run counts against max_attempts */
	bool crash;                         /* the run counts as a crash */
	int64_t started_at;                 /* database clock */
};
/* An outcome that was accepted goes into the figures of its queue and task type; ran: us.  store_outcome.c */
void store_outcome_count(enum store_outcome_kind kind, struct span queue, struct span task_type, int64_t ran);
/* Tasks of a lease that were not started, or stopped at drain: back to ready.  `from`..`hi` of the lease minus what is done or
 * tried. */
struct store_giveback {
	struct store_lease lease;
	struct id from; /* == lo: the whole rest of the lease, which is then gone */
	bool started;   /* they were started and stopped: run + 1 */
};

/* What holds the tasks of a queue back, on all nodes together; 0: no limit.  Intervals are us from one start to the next. */
struct store_limits {
	int concurrency, group_concurrency; /* live leases: of the queue, of each group */
	int64_t interval, group_interval;
	int burst, group_burst; /* starts that may come at once */
};

/* Lanes of one queue with exact limits, or in order: their tasks come one by one, no more than there is room for. */
struct store_exact {
	struct span queue;
	struct store_limits limits;
};
/* Rows of a lane: prio <= row < below, by (prio, id).  Of those of prio itself a look saw the first at `mark`; zero: none was seen.
 * No two probes of a step overlap. */
struct store_probe {
	int32_t lane;
	int turn; /* index of its turn */
	int prio, below;
	struct id mark;
};
#define STORE_RANGE 100 /* tasks: a row of what submissions made ready is not wider */
#define STORE_PRIO_FIRST (-32768)
#define STORE_PRIO_END 32768

/* One commit, or none.  The claim does not see what the same step gives back.  A lease has at most one give-back in a step. */
struct store_step {
	const struct store_outcome *outcomes;
	int noutcomes;
	const struct store_giveback *givebacks;
	int ngivebacks;
	const struct store_probe *probes; /* where the claim looks: turn by turn, those of one best first */
	int nprobes;
	const int *turns; /* the claim is made of turns, in this order: at most so many tasks in each */
	int nturns;       /* 0: no claim */
	/* Null: lanes without limits.  Else the claim sees what the same step ends or gives back; it has one turn, and of a lane in order
	 * its first probe asks for all. */
	const struct store_exact *exact;
};
struct store_stepped {
	enum store_status status; /* OK, or FAILED at store_close() */
	bool lost;                /* identity lost: every task of this worker is somebody else's now */
	const bool *accepted;     /* per outcome: true written, false stale */
	const struct store_claimed *tasks;
	int ntasks;
	const bool *full; /* per turn: its probes may hold more than was taken */
	/* of an exact claim: */
	bool busy;           /* somebody else is counting: ask again soon */
	int room;            /* that the limits of the queue left, of what was asked for */
	int64_t next;        /* us until the rate of the queue allows the next start; 0: now */
	int64_t group_next;  /* the same of the first group that is held by its rate; 0: none is */
	const int32_t *held; /* lanes that have something left */
	int nheld;
};
typedef void store_step_fn(void *arg, const struct store_stepped *s);
/* The arrays are borrowed until the callback. */
void store_step(struct store *s, const struct store_step *step, store_step_fn *fn, void *arg);
int64_t store_worker_inc(const struct store *s); /* 0: not registered yet */

/* Touches worker.seen, and tells which of my running tasks were cancelled. */
struct store_beat {
	enum store_status status;
	bool lost;
	const struct id *cancelled;
	int ncancelled;
};
typedef void store_beat_fn(void *arg, const struct store_beat *b);
void store_beat(struct store *s, store_beat_fn *fn, void *arg);

/* How far running tasks are: what they said last, each task once.  It is no outcome: nobody waits for it, and what is not of the lease any
 * more is passed over.  The array is not needed after the call. */
struct store_progress {
	struct id id;
	int64_t lease_id;
	int percent;      /* 0..100 */
	struct span note; /* UTF-8, at most TASK_NOTE_MAX bytes; may be empty */
};
typedef void store_progress_fn(void *arg, enum store_status status);
void store_progress(struct store *s, const struct store_progress *p, int n, store_progress_fn *fn, void *arg);

/* Where something is ready: the heads of lanes above `after`, one for each lane and priority, and what is known of `known` lanes that have
 * none.  A plain read, so each head is a low-water mark too.  There may be more than one look shows: it covers the lanes above
 * `after` up to `last`, each with all its heads.  The names are kept for the claims, those of the lanes in `known` in any case. */
#define STORE_LOOK_MOST 512 /* heads in one look; more than a lane can have */
struct store_lane {
	int32_t lane;
	struct span queue, task_type, group;
	struct span ordering_key; /* empty: its tasks run in any order */
	bool paused;
	bool served; /* a worker of any node has a handler for it */
	bool ready;  /* a ready row was seen; else it is one of the known */
	int prio;    /* of its head */
	struct id head;
};
struct store_look {
	enum store_status status;
	const struct store_lane *lanes; /* by (lane, prio) */
	int nlanes;
	int32_t last; /* INT32_MAX: there was no more */
};
typedef void store_look_fn(void *arg, const struct store_look *look);
void store_look(struct store *s, int32_t after, const int32_t *known, int nknown, store_look_fn *fn, void *arg);

/* --- leases of clients: store_pull.c ----------------------------------------------------------------------------------------------- */

/* A task of a handler of kind lease is given to a client as a lease of its own, without a worker, that ends by itself unless it is
 * extended.  First a look at the heads of the queue, those of lanes behind `after` first; `last` tells the last one when there are more. */
void store_pull_look(struct store *s, struct span queue, int32_t after, store_look_fn *fn, void *arg);

struct store_pull {
	struct span queue;
	const struct store_probe *probes; /* as in a step */
	const struct store_lane *heads;   /* of each probe */
	const int *turns;
	int nprobes, nturns;
	const struct store_limits *exact; /* null: lanes without limits; else as in a step, with one turn */
	int64_t ttl;   /* us; 0: that of the handler.  Never more than its lease_max and its timeout */
	int64_t bytes; /* of payloads that are wanted at once, or of one; 0: any */
};
struct store_pulled_time {
	int64_t at, until; /* begin and end; database clock */
};
struct store_pulled {
	enum store_status status;
	const struct store_claimed *tasks;
	const struct store_pulled_time *times; /* of each lease */
	const struct store_claimed *over;      /* leased beyond `bytes`, without their payloads: to be given back */
	int ntasks, nover;
	const bool *full;         /* per turn: its probes may hold more than was taken */
	bool busy;                /* an exact claim: somebody else is counting, ask again soon */
	int64_t next, group_next; /* the same: as in a step */
};
typedef void store_pull_fn(void *arg, const struct store_pulled *p);
/* What `in` points to need not live on.  A claim whose answer was lost is UNSURE and not repeated: its leases end by themselves. */
void store_pull(struct store *s, const struct store_pull *in, store_pull_fn *fn, void *arg);

/* Queues and task types that have something for clients now, once each. */
struct store_pull_ready {
	struct span queue, task_type;
};
typedef void store_pull_ready_fn(void *arg, enum store_status status, struct store_pull_ready *ready, int n);
void store_pull_ready(struct store *s, store_pull_ready_fn *fn, void *arg);

/* --- what the holders of leases say: store_hold.c ---------------------------------------------------------------------------------- */

enum store_word {
	STORE_WORD_HEARTBEAT, /* also of a task that a worker of ours runs: then there is nothing to extend */
	STORE_WORD_COMPLETE,
	STORE_WORD_FAIL,
	STORE_WORD_RELEASE, /* back to ready; or to wait */
	STORE_WORD_RETURN,  /* the same of a lease that its holder has never seen: the run did not begin */
	STORE_WORD_REFUSE,  /* it is not to be run at all: dead, for `refusal` */
	STORE_WORD_NONE     /* its time is over: a crash, or as a run that took too long */
};
struct store_saying {
	struct id id;
	int64_t lease_id;
	int64_t ttl;                        /* HEARTBEAT: from now on, us; 0: that of the handler */
	int percent;                        /* HEARTBEAT: -1: it does not say */
	struct span note;                   /* beside it */
	struct span result;                 /* COMPLETE: JSON text or empty */
	struct span report;                 /* FAIL: JSON object */
	int64_t delay;                      /* RELEASE: us */
	const struct task_failure *refusal; /* REFUSE */
	bool charge;                        /* REFUSE: it counts as an attempt */
};

/* A lease as it was when its holder spoke. */
struct store_held {
	struct id id;
	int64_t lease_id;
	struct span queue, task_type;
	int run, attempts, crashes; /* before this run */
	int max_attempts;
	int64_t at;   /* when it was claimed, database clock */
	int64_t now;  /* the same clock */
	bool client;  /* a client holds it, not a worker of ours */
	bool counted; /* of a lane with exact limits */
	int32_t lane;
};
enum store_heard {
	STORE_HEARD,           /* written; a repetition of what was written before counts as that */
	STORE_HEARD_CANCELLED, /* the task was cancelled meanwhile */
	STORE_HEARD_GONE,      /* the lease has ended, or there never was one of that name */
	STORE_HEARD_OURS       /* of a task that a worker of ours runs: no such word is taken for it */
};
struct store_reply {
	enum store_heard heard;
	struct store_held held;                /* when the lease was there; else queue and task_type are empty */
	int64_t until;                         /* HEARTBEAT: when the lease ends; 0: with its worker */
	enum store_outcome_kind kind;          /* FAIL: what became of the task */
	const struct task_failure *not_let_in; /* FAIL: why the handler is to be paused; null: it is not */
};
typedef void store_say_fn(void *arg, enum store_status status, const struct store_reply *replies, int n);
/* One word for all, one commit.  Each lease is named once.  What the sayings point to is borrowed until the callback, which has a reply
 * for each when OK. */
void store_say(
    struct store *s, enum store_word word, const struct store_saying *in, int n, store_say_fn *fn, void *arg);

/* --- duties of the keeper: store_keep.c ------------------------------------------------------------------------------------------ */

/* next: us until the next is due, -1 unknown */
typedef void store_count_fn(void *arg, enum store_status status, int64_t count, int64_t next);
/* Due waiting rows become ready, at most 500 at once: next is 0 when more are due. */
void store_promote(struct store *s, store_count_fn *fn, void *arg);
/* A dead local worker: its row goes, then its leases.  Only the tasks that it had started are charged with the loss; n < 0: not known,
 * then all are.  count: tasks that are ready again. */
void store_release_worker(struct store *s, int64_t inc, const struct id *started, int n, store_count_fn *fn, void *arg);
/* Workers of this node from earlier starts. */
void store_release_boot(struct store *s, store_count_fn *fn, void *arg);
/* Tasks that were not started in time, at most 200 at once, are dead, also in what is paused.  count: such tasks; next: as for promotion. */
void store_expire(struct store *s, store_count_fn *fn, void *arg);
/* Silent workers and leases that belong to nobody. */
void store_reap(struct store *s, store_count_fn *fn, void *arg);
/* Leases of clients that have ended: store_hold.c. */
void store_lapse(struct store *s, store_count_fn *fn, void *arg);
/* Measures the queues and tells the ration of this node.  next: measuring costs no more than a twentieth of the time. */
void store_depth(struct store *s, store_count_fn *fn, void *arg);
/* Makes the partitions of the coming days.  count: made now. */
void store_partitions(struct store *s, store_count_fn *fn, void *arg);
/* Expired keys of finished tasks, one small batch.  count: deleted; ask again while it is not small. */
void store_purge_keys(struct store *s, store_count_fn *fn, void *arg);
/* What runs said of themselves and is of no meaning any more, one stretch of a walk over all.  count: deleted. */
void store_purge_progress(struct store *s, store_count_fn *fn, void *arg);
/* What is paused, to where all processes of this node can read it: wake_paused().  count: pauses. */
/* Unique names that nobody holds any more, one stretch of a walk over all.  count: deleted. */
void store_purge_names(struct store *s, store_count_fn *fn, void *arg);

/* --- schema: store_migrate.c; synchronous, for taskqd --migrate only ---------------------------------------------------------------- */

/* 0, or a sysexits code after logging why (69 no database, 78 schema from the future). */
int store_migrate(const struct conf *c) MUSTCHECK;

#endif
