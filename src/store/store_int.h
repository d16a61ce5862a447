/* store_int.h - what the verbs of this room share; store_line.h is what they stand on.
 */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "store/store_gather.h"
#include "store/store_line.h"
#include "store/store_order.h"
#include "store/store_watch.h"

/* --- names: store_lane.c ------------------------------------------------------------------------------------------------------- */

/* A lane is (queue, task type, group, ordering key), interned in the database; this process keeps those it met. */
struct lane_cache;
typedef void lane_cache_fn(void *arg); /* some name is known now, or could not be learned */

struct lane_cache *lane_cache_new(struct store *s, struct store_pool *pool, lane_cache_fn *fn, void *arg) MUSTCHECK;
void lane_cache_free(struct lane_cache **c); /* after its pool */
/* The lane; 0: asked for, look again when told; -1: it could not be learned, the reason in *why_r (once: the next look asks again). */
int32_t lane_cache_find(struct lane_cache *c, const struct task_request *r, const char **why_r) MUSTCHECK;

/* --- submission: store_submit.c collects, store_batch.c sends ------------------------------------------------------------------- */

/* One submission on its way.  `fn` is null once it was answered; a batch may still carry it then. */
struct item {
	struct list node;  /* where it waits: fresh, collected, or among the followers of another */
	struct list all;   /* among those not answered, for deadlines */
	struct list twins; /* head: submissions of the same key that came into the same batch */
	struct store_submission in;
	store_submit_fn *fn;
	void *arg;
	struct id digest;
	uint16_t bucket; /* of the key */
	uint8_t fp[DIGEST_LEN];
	int32_t lane;
	unsigned arrival;
	struct id id;       /* proposed */
	struct id *earlier; /* those of tries that may have been stored */
	int nearlier;
	bool later; /* to waiting, not to ready */
	bool sent;
	bool stored;             /* by the statement that was answered just now */
	bool doubt;              /* an earlier try of its key may have committed */
	struct order_seat *seat; /* taken, while it is in a batch; null: in no order */
	struct turn *turn;       /* learns its id before its caller does; null: it is in no order */
	int rounds;              /* how often it joined a batch */
};

struct submitter {
	unsigned magic;
	struct store *store;
	struct store_pool *pool;
	struct lane_cache *lanes;
	struct task_id_maker maker;
	int32_t maker_writer; /* whose maker it is */
	struct list fresh;    /* lane not known yet */
	struct list collected;
	int ncollected;
	struct gather gather;
	struct list uniques; /* wait for a transaction of their own */
	int uniques_sent;
	bool unique_went; /* the last turn was theirs */
	int patients;     /* batches of one that wait for their key */
	struct list all;
	unsigned arrivals;
	unsigned filling; /* number of the batch that is being filled */
	struct order_seat seats[ORDER_SEATS];
	bool order_waits; /* what has an order gets no id in this millisecond */
	struct loop_timer *timer;
	bool kicked;
	int64_t next_sweep;
};

struct submitter *submitter_new(struct store *s, struct store_pool *pool) MUSTCHECK;
void submitter_free(struct submitter **u);
void submitter_kick(struct submitter *u);
void item_answer(struct item *it, struct store_submitted *a);
void item_answer_all(struct item *it, const struct store_submitted *answer); /* its twins the same, whatever they say */
void item_fail(struct item *it, enum store_status status, const char *why);  /* its twins too */
void item_again(struct submitter *u, struct item *it); /* joins a later batch: nothing of it was stored */
void item_free(struct item *it);
void item_spares_free(void);                            /* what is kept for the next ones */
void item_wake(struct store *s, const struct item *it); /* it was stored: who runs it is told */

#define PATIENCE_MANY (50 * CLOCK_MS) /* for a lock, where others wait behind */
#define BATCH_ITEMS 1000
#define BATCH_BYTES_MAX (4 << 20)
#define RANGE_WIDTH STORE_RANGE

/* Takes what fits from the collected and sends it.  False: no ids can be made now. */
bool batch_begin(struct submitter *u) MUSTCHECK;

#define BATCH_MAGIC 0x5c0aba7cU

struct batch {
	unsigned magic;
	struct submitter *owner;
	struct item **items; /* sorted; ids ascend */
	int n;
	int64_t patience; /* us: for a key that somebody else holds; 0: lock_timeout */
	int64_t left_at;  /* clock_now(); 0: one half of another */
	int tasks;        /* when it left */
};

void batch_free(struct batch *b);
void batch_fail(struct batch *b, enum store_status status, const char *why); /* answers all and frees */
struct request *batch_request(struct batch *b, request_fn *fn) MUSTCHECK;    /* with the last deadline of its items */
/* store_bind.c: what stores the batch, and what else its tasks need beside that. */
void batch_bind(struct request *r, const struct batch *b);
/* How long the transaction of the statement waits for a lock: us; 0: lock_timeout. */
void bind_patience(struct stmt *t, const struct store *s, int64_t patience);

/* store_verdict.c */
void verdict_accepted(struct submitter *u, struct item *it, int64_t created_at);
void verdict_known(struct submitter *u, struct item *it, const PGresult *idem_read, int row); /* what its key led to */
void verdict_ask(struct batch *b); /* whose are the keys of the items that are left? */
/* A row of idem_read as the answer to a submission of this fingerprint; returns that of the first, borrowed from the result. */
struct span verdict_read(const PGresult *res, int row, const uint8_t mine[DIGEST_LEN], struct store_submitted *a);
void verdict_gone(struct submitter *u, struct item *it);           /* nothing was stored for it: again, or given up */
void verdict_unstorable(struct item *it, const struct request *r); /* ends it */

/* --- keys alone: store_known.c ---------------------------------------------------------------------------------------------------- */

struct asker;
struct asker *asker_new(struct store *s) MUSTCHECK;
void asker_close(struct asker *k); /* before its pool: what waits is answered */
void asker_free(struct asker **k); /* after it */

/* --- tasks read back, many in one statement: store_flight.c --------------------------------------------------------------------------- */

/* The result of a statement in which several asked; it lives until the last of those who keep it lets it go. */
struct looked;
struct looked *looked_keep(struct looked *l) MUSTCHECK;
void looked_drop(struct looked **l);

struct question;
bool question_waits(const struct question *q) MUSTCHECK; /* nothing was read for it yet */

#define LOOK_MOST 64 /* tasks in one question */
/* `n` rows in their order, with the zero id where there is no such task; what they point into is `from`, to be kept by whoever needs it
 * after `fn`.  FAILED: no rows. */
typedef void look_fn(void *arg, enum store_status status, const struct task_row *rows, int n, struct looked *from);

/* By their ids: store_get.c.  At least one was looked at; large tasks may end a look before all were: ask again for the others. */
void store_look_up(struct store *s, const struct id *ids, int n, look_fn *fn, void *arg);

/* By where they are, newest first: store_stretch.c.  A task that is too large to be read on the way has its id and state TASK_NEW: look
 * it up.  The question lives until `fn`, which is called later; null, and no `fn`: the store closes. */
struct stretch_wish {
	struct id before; /* only older ones, and ... */
	struct id floor;  /* ... none older than this one */
	int most;
	int64_t asked_at; /* clock_now() */
};
const struct question *store_look_below(
    struct store *s, const struct stretch_wish *w, look_fn *fn, void *arg) MUSTCHECK;

struct flights;
struct flight_kind;
extern const struct flight_kind get_kind, stretch_kind;
struct flights *flights_new(struct store *s, const struct flight_kind *kind) MUSTCHECK;
void flights_close(struct flights *k); /* as of the asker */
void flights_free(struct flights **k);

struct lister;
struct lister *lister_new(struct store *s) MUSTCHECK;
void lister_close(struct lister *k); /* as of the asker */
void lister_free(struct lister **k);

/* --- unique names: store_unique.c ------------------------------------------------------------------------------------------------ */

bool unique_wanted(const struct item *it) MUSTCHECK;
void unique_run(struct submitter *u); /* sends of those that wait what may go now */

/* --- duties: store_keep.c, store_expire.c ---------------------------------------------------------------------------------------- */

struct store_pool *keep_pool(const struct store *s) MUSTCHECK;
/* The database answered with that clock: whether workers that seem silent now are. */
bool silence_counts(struct store *s, int64_t clock);

/* --- dead rows: store_upkeep.c; its verb is in store_upkeep.h -------------------------------------------------------------------- */

struct upkeep;
struct upkeep *upkeep_new(struct store *s) MUSTCHECK;
void upkeep_free(struct upkeep **u); /* after keep_pool() was closed; ends a vacuum that is under way */

/* --- what is of no use after a time: store_expire.c ------------------------------------------------------------------------------ */

/* Adds what such tasks among these need, after the statement that stores them; nothing when there is none. */
void expiry_add(struct request *r, struct item *const *items, int n);

/* --- who did what: store_audit.c; whoever acts adds the row to his statement ------------------------------------------------------ */

struct store_who;
void audit_bind(
    struct stmt *t, const struct store_who *who); /* by, why: parameters of a statement that writes the row itself */

/* --- rows: store_read.c --------------------------------------------------------------------------------------------------------- */

/* The eleven columns from lane to payload as they follow each other in get and idem_read. */
void row_read(const PGresult *res, int row, int lane_column, struct task_row *r);
void row_read_state(const PGresult *res, int row, struct task_row *r); /* a whole row of get */
struct store_attempt;
/* The eleven columns from run to node as they follow each other in attempts and dead_attempts; store_attempts.c. */
void attempt_read(const PGresult *res, int row, int run_column, struct store_attempt *a);
struct request *read_request(
    struct store *s, request_fn *fn, void *arg) MUSTCHECK; /* may be repeated, has a deadline */
/* The same for somebody who waits for the answer, and can ask again. */
struct request *read_ask(struct store *s, request_fn *fn, void *arg) MUSTCHECK;
/* How it ended, told to whoever asked: OK, or FAILED whatever the reason, for he may ask again. */
enum store_status read_status(const struct request *r) MUSTCHECK;
int read_rows(const struct request *r) MUSTCHECK; /* of its first statement; none when it failed */
/* The same of an act, where a refusal of the database means nothing to whoever acted: OK, FAILED or UNSURE. */
enum store_status act_status(const struct request *r) MUSTCHECK;
/* Its queue may not show results for so long. */
void read_hide_result(const struct store *s, struct task_row *row);

/* --- work: store_lease.c knows what is open, store_step.c takes steps, store_worker.c is the identity -------------------------------- */

/* A lease that this worker holds, and which of its tasks have not left it yet. */
struct open_lease {
	struct list node;
	struct store_lease lease;
	int left;       /* open tasks */
	int leaving;    /* of them, in the step that is being made */
	bool only_done; /* all that leave in it are successes */
	bool listed;    /* is named already in the statement that is being made */
	uint8_t open[]; /* a bit for each position of the range */
};

#define LEASE_BUCKETS 256
struct lease_table {
	struct list buckets[LEASE_BUCKETS];
};

void lease_table_init(struct lease_table *t);
void lease_table_clear(struct lease_table *t);
struct open_lease *lease_find(struct lease_table *t, const struct store_lease *l); /* null: not ours */
struct open_lease *lease_add(struct lease_table *t, const struct store_lease *l) MUSTCHECK;
void lease_free(struct open_lease **l);
void lease_open_task(struct open_lease *l, const struct id *id);
bool lease_has_open(const struct open_lease *l, const struct id *id);
bool lease_close_task(struct open_lease *l, const struct id *id);         /* false: it was closed already */
int lease_open_before(const struct open_lease *l, const struct id *from); /* open tasks below `from` */
void lease_close_from(struct open_lease *l, const struct id *from);

/* What is known of a lane. */
struct lane_info {
	int32_t lane;
	struct span queue, task_type, group, ordering_key;
	uint32_t lower; /* count of wake_lane_lower() when its heads were read: marks until that moves */
};

struct stepping {
	const struct store_step *in; /* null: no step */
	struct store_step copy;
	store_step_fn *fn;
	void *arg;
	int64_t inc; /* whose step it is; 0: whoever is registered then */
	bool *accepted;
	int from, to;         /* the window of outcomes that travels now */
	int width;            /* of a window: all, unless one outcome is poison */
	bool again;           /* a try may have committed, or a row was there already */
	bool uncertain;       /* a try may have committed */
	struct buf lease_ids; /* int64_t of each try that was sent */
	struct buf finish;    /* const struct store_outcome *: the successes that travel now, by lease */
	struct request *request;
	int at_finish, at_retry, at_put_off, at_bury, at_discard, at_tried, at_giveback, at_claim_again,
	    at_exact; /* places of statements; -1: not there */
};

struct store_worker {
	unsigned magic;
	struct store *store;
	struct store_pool *pool;
	int32_t inc; /* 0: not registered */
	int64_t seq;
	bool registering;
	bool closed;              /* steps are not answered any more */
	int32_t asked;            /* the identity that is being registered */
	struct loop_timer *timer; /* the next try */
	struct lease_table leases;
	struct stepping step;
	struct arena *names;
	struct lane_info *lanes; /* sorted */
	int nlanes, lanes_room;
	double width; /* of claimed ranges, lately, in tasks */
};

struct store_worker *worker_new(struct store *s, struct store_pool *pool) MUSTCHECK;
void worker_free(struct store_worker **w);
void worker_register(struct store_worker *w);                        /* there is a new writer */
void worker_lose(struct store_worker *w);                            /* the identity is gone: take a new one */
struct lane_info *worker_lane(struct store_worker *w, int32_t lane); /* null: never read */
void step_send(struct store_worker *w); /* the step that waits, if there is one and somebody to take it */
void step_close(struct store_worker *w);

/* The claim is the first statement of a step; the second looks at the worker's row. */
void claim_add(struct store_worker *w, struct request *r);
void claim_bind_probes(struct store_worker *w, struct stmt *t, bool claims);
void claim_add_again(struct store_worker *w, struct request *r); /* what an uncertain try got */
/* From where on a lane is asked whose head was seen at `mark`: a little earlier, unless that is long ago.  Zero for zero. */
struct id claim_start(const struct store *s, const struct id *mark) MUSTCHECK;
/* One row of a claim of any kind, but for the names of its lane. */
void claim_row(const PGresult *res, int row, struct store_claimed *c);
void exact_bind_limits(struct stmt *t, const struct store_limits *l);
struct claim_got { /* of a turn */
	int leases;
	int covered; /* positions: more than tasks where keys were known already and left holes */
};
/* got_r: one for each turn; null: of an exact claim */
int claim_take(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r,
    struct claim_got *got_r);
bool *claim_full(struct store_worker *w, int ntasks, const struct claim_got *got, bool again) MUSTCHECK;
void outcome_mark_leaving(
    struct store_worker *w); /* which leases end with this window, and whether by successes alone */
void finish_add(struct store_worker *w, struct request *r);
void finish_take(struct stepping *st, const struct request *r);
void outcome_add(struct store_worker *w, struct request *r);
void outcome_take(struct stepping *st, const struct request *r);

/* Of a handler: how long a lease may be, and a run; store_pull.c. */
int64_t pull_ttl(const struct conf_handler *h, int64_t wanted) MUSTCHECK;
int64_t pull_life(const struct conf_handler *h) MUSTCHECK;

/* Rows were put where claims may have passed already. */
void store_wake_lower(struct store *s, int32_t lane);
void store_wake_workers(struct store *s);

/* --- the store ---------------------------------------------------------------------------------------------------------------------- */

struct submitter;
struct store_worker;

struct store {
	unsigned magic;
	struct store_options o;
	struct store_pool *submit_pool; /* null where the role has none */
	struct store_pool *read_pool;
	struct store_pool *worker_pool;
	struct store_pool *keeper_pool;
	struct store_server server;  /* as learned last */
	struct store_epoch answered; /* of the connection whose answer came last */
	bool steady;                 /* its clock was where the look before had it */
	int64_t namesake_seen;       /* last; 0: there is none */
	bool namesake_lives;
	char unhealthy[160]; /* what health_trouble() said */
	bool
	    elsewhere; /* a pooler led to a server of another start than `server`: nothing is known of the cluster's life */
	bool unnamed;            /* no named statements in this process any more */
	int nready;              /* greeted connections */
	int64_t connected_at;    /* clock_now(): since then at least one of them was there; 0: none is */
	char trouble[256];       /* why the last connection failed; empty when the last one did not */
	int32_t writer;          /* identity of this life; 0: not known yet */
	uint32_t counter;        /* of store_new_rid() */
	int64_t reaped_at;       /* clock_now(): the last answer to a look for silent workers */
	int64_t reap_clock;      /* what the database's clock said then */
	int64_t heard_since;     /* since when those answers come without a long pause */
	int64_t due[STORE_DUES]; /* as the last watch saw it */
	int64_t paused;          /* a digest of what was paused then */
	int64_t causes;          /* and of what was known of causes */
	bool paused_known, causes_known, letters_waited;
	struct id names_seen;    /* how far the walk over unique names is */
	int64_t keys_page;       /* and that over the keys */
	struct id progress_seen; /* and that over progress */
	/* store_sweep_guard() */
	int (*sweep_room)(void *arg, struct span task_type);
	void (*sweep_moved)(void *arg, struct span task_type, int n);
	void *sweep_arg;
	struct id letters_seen; /* and that over dead letters, with ... */
	int64_t letters_seen_lease;
	bool asking_writer;
	struct health *health; /* of those who submit */
	struct submitter *submitter;
	struct asker *asker;
	struct flights *getter;    /* store_get.c */
	struct flights *stretcher; /* store_stretch.c */
	struct lister *lister;
	struct store_worker *worker;
	struct upkeep *upkeep; /* of the keeper */
};

void store_learned(
    struct store *s, const struct store_server *v);     /* a connection was greeted, or the server looked at again */
const char *store_lie(const struct store *s) MUSTCHECK; /* null, or why nothing may be submitted here */
void store_trouble(struct store *s, const char *why);   /* a connection could not be made */
void store_count_ready(struct store *s, int change);
struct store_pool *store_any_pool(const struct store *s) MUSTCHECK;
void store_ask_writer(struct store *s);
int64_t store_new_rid(struct store *s) MUSTCHECK;

#endif
