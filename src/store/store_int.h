/* store_int.h - what the files of this room share: statements, requests, connections, pools.
 *
 * A verb builds a request (statements that travel before one Sync, so one transaction), gives it to a pool, and is answered once.
 * A pool owns connections of one purpose and the queue before them; a connection has at most one request in flight.
 */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"

#include "store/store.h"
#include "store/store_gather.h"
#include "store/store_order.h"
#include "store/store_sql.h"

/* --- statements: store_stmt.c ------------------------------------------------------------------------------------------- */

/* One statement and its parameters in the binary format.  Parameters are added in order; each call asserts the type that the
 * statement's head tells.  Between stmt_array() and stmt_array_end() the calls add elements. */
struct stmt {
	enum store_sql sql;
	int nparams;            /* bound so far */
	int at[SQL_PARAMS_MAX]; /* offset in bytes; -1: null */
	int len[SQL_PARAMS_MAX];
	struct buf bytes;
	bool in_array;
	unsigned element; /* OID of the open array's elements */
	int count;        /* of the open array */
};

void stmt_begin(struct stmt *t, enum store_sql sql);
void stmt_free(struct stmt *t);
void stmt_array(struct stmt *t);
void stmt_array_end(struct stmt *t);
void stmt_null(struct stmt *t);
void stmt_bool(struct stmt *t, bool value);
void stmt_int2(struct stmt *t, int value);
void stmt_int4(struct stmt *t, int32_t value);
void stmt_int8(struct stmt *t, int64_t value);
void stmt_uuid(struct stmt *t, const struct id *value);
void stmt_text(struct stmt *t, struct span value);
void stmt_bytea(struct stmt *t, struct span value);
void stmt_time(struct stmt *t, int64_t unix_us); /* 0: null */
bool stmt_is_whole(const struct stmt *t);

/* Columns, binary; each asserts type and length.  Null reads as 0, false, the empty span, the zero id. */
bool col_null(const PGresult *res, int row, int col);
bool col_bool(const PGresult *res, int row, int col);
int64_t col_int(const PGresult *res, int row, int col); /* int2, int4, int8 */
struct id col_id(const PGresult *res, int row, int col);
int64_t col_time(const PGresult *res, int row, int col);     /* us since the Unix epoch */
struct span col_span(const PGresult *res, int row, int col); /* text, name, bytea; borrowed from the result */

/* --- errors: store_error.c ------------------------------------------------------------------------------------------------ */

/* What an SQLSTATE advises to do with the same request. */
enum store_action {
	ACTION_NONE,      /* no error */
	ACTION_RESEND,    /* the same again, same ids, after a moment */
	ACTION_SPLIT,     /* something in the batch is poison or locked: halve it */
	ACTION_RECONNECT, /* this connection is of no use; the same again on another */
	ACTION_REPREPARE, /* named statements do not work here */
	ACTION_SHED,      /* the server is out of disk or memory */
	ACTION_GIVE_UP    /* the program or the schema is wrong */
};
enum store_action store_error_action(const char *sqlstate);
bool store_error_is_lock(const char *sqlstate); /* 55P03 */
bool store_error_is_data(const char *sqlstate); /* classes 22 and 23: a row is at fault */
/* It will be at fault every time; a row without a partition has class 23 too, but no constraint (null), and finds one some day. */
bool store_error_is_final(const char *sqlstate, const char *constraint);

/* --- requests --------------------------------------------------------------------------------------------------------------- */

#define REQUEST_STMTS 20
#define SQLSTATE_LEN 6

struct request;
typedef void request_fn(struct request *r); /* reads the answer; then frees the request or sends it again */

struct request {
	unsigned magic;
	struct list node;
	struct store_pool *pool;
	struct stmt stmts[REQUEST_STMTS];
	int nstmts;
	bool repeat;      /* the pool sends it again until known, refused or past its deadline */
	int64_t deadline; /* clock_now() */
	int locks_most; /* uncertain: so many locks are met before it is told, for it can be divided; 0: until the deadline */
	request_fn *fn;
	void *arg;
	/* the pool's */
	int64_t queued_at;
	int64_t not_before;
	int tries;
	int locks;      /* met */
	bool uncertain; /* an earlier try may have committed */
	/* the answer */
	enum store_status status;
	enum store_action action;
	char sqlstate[SQLSTATE_LEN];
	bool final; /* it would be refused every time */
	char why[256];
	PGresult *results[REQUEST_STMTS]; /* OK: one for each statement; freed after fn */
};

struct request *request_new(request_fn *fn, void *arg) MUSTCHECK;
void request_free(struct request **r);
/* Adds a statement, to be bound by the caller at once. */
struct stmt *request_stmt(struct request *r, enum store_sql sql);
void request_send(struct store_pool *p, struct request *r);
void request_send_first(struct store_pool *p, struct request *r); /* before all that wait */

/* --- the wire: store_wire.c ------------------------------------------------------------------------------------------------------ */

struct expected { /* what the server answers next */
	bool prepare;
	int stmt;
};

struct wire {
	PGconn *pg;
	bool prepared[SQL_STATEMENTS];
	struct request *request; /* whose answers come */
	struct expected expected[2 * REQUEST_STMTS];
	int nexpected, next_expected;
	bool flushing; /* libpq has bytes that the socket did not take */
	bool synced;   /* the Sync was handed to libpq: from here on nothing is certain without an answer */
	bool in_doubt; /* the server warned that it did not wait for its replica */
};

void wire_begin(struct wire *w, PGconn *pg);
bool wire_send(struct wire *w, struct request *r, bool named) MUSTCHECK; /* false: the line is lost */
bool wire_flush(struct wire *w) MUSTCHECK;
bool wire_receive(struct wire *w) MUSTCHECK; /* takes what libpq has; true: the Sync was answered */

/* --- connections: store_conn.c ------------------------------------------------------------------------------------------------ */

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_GREETING, CONN_IDLE, CONN_BUSY, CONN_STATES };
struct store_conn;

struct store_conn *conn_new(struct store_pool *p, int number) MUSTCHECK;
void conn_free(struct store_conn **c);                      /* its request is answered first: UNSURE */
void conn_start(struct store_conn *c);                      /* connects, and again whenever it is lost */
void conn_request(struct store_conn *c, struct request *r); /* when idle only; answered by pool_answer() */
void conn_renew(struct store_conn *c);                      /* closes and connects again; when idle only */
enum conn_state conn_state(const struct store_conn *c);

/* What a server told at greeting: store_hello.c. */
struct store_server {
	int version; /* 150004 */
	bool fsync, full_page_writes, synchronous_commit;
	struct store_epoch epoch;
	int schema;           /* version; 0: none */
	int days_ahead;       /* whole days after today that have partitions */
	int64_t clock;        /* us: database clock minus clock_now() */
	int64_t clock_within; /* us: how far that may be off */
	char database[64];
};
#define STORE_SERVER_MIN 140000

/* The greeting is three requests: session settings and facts; the schema's version (its tables may not be there); the
 * cluster's identity (it may be forbidden). */
enum hello_step { HELLO_SESSION, HELLO_SCHEMA, HELLO_SYSTEM, HELLO_STEPS };
struct hello_time {
	int64_t sent, answered; /* clock_now() */
};
void hello_ask(struct request *r, const struct store *s, const char *purpose, enum hello_step step);
/* The facts that may change while a connection lasts; behind a pooler the life of the cluster is one of them. */
void hello_ask_again(struct request *r, const struct store *s);
void hello_take_again(const struct request *r, struct store_server *v, const struct hello_time *when);
/* False with the reason in `why`: the server is of no use now. */
bool hello_take(const struct request *r, enum hello_step step, struct store_server *v, struct hello_time *when,
    char *why, size_t size) MUSTCHECK;
PGconn *hello_connect_start(const struct store *s, const char *purpose) MUSTCHECK;
/* One line: why a connection could not be made.  Never a piece of the connection string that may be a secret. */
void hello_refusal(const PGconn *pg, char *why, size_t size);

/* --- health: store_health.c --------------------------------------------------------------------------------------------------- */

/* Null, or how the server is set to lose what it acknowledged. */
const char *health_lie(const struct store_server *v) MUSTCHECK;
/* The clock moved by more than a second between two looks, whatever their precision. */
bool health_clock_moved(const struct store_server *old, const struct store_server *now) MUSTCHECK;
/* Null, or what keeps a server that can be used from being called ready; may write to `why`. */
const char *health_trouble(const struct store_server *v, bool steady, char *why, size_t size) MUSTCHECK;

/* Looks at the server again from time to time, for connections last for weeks: sooner while something is wrong. */
struct health;
struct health *health_new(struct store *s) MUSTCHECK;
void health_free(struct health **h); /* after the pools */

/* --- pools: store_pool.c -------------------------------------------------------------------------------------------------------- */

struct store_pool;
typedef void pool_idle_fn(void *arg); /* a connection is free and no request waits */

struct store_pool *pool_new(struct store *s, const char *purpose, int connections) MUSTCHECK;
void pool_close(
    struct store_pool *p); /* what waits is FAILED, what was sent UNSURE; what is asked from now on is never answered */
void pool_free(struct store_pool **p); /* after its close */
struct store *pool_store(const struct store_pool *p);
const char *pool_purpose(const struct store_pool *p);
int pool_idle(const struct store_pool *p); /* connections that are free now, less requests that wait */
int pool_up(const struct store_pool *p);   /* connections that are greeted */
bool pool_closing(const struct store_pool *p);
void pool_on_idle(struct store_pool *p, pool_idle_fn *fn, void *arg);
void pool_answer(struct store_pool *p, struct request *r); /* by connections: the request is over */
void pool_changed(struct store_pool *p);                   /* by connections: one became idle, or was lost */

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
	struct id id; /* proposed */
	bool later;   /* to waiting, not to ready */
	bool sent;
	bool doubt;              /* an earlier try of its key may have committed */
	struct order_seat *seat; /* taken, while it is in a batch; null: in no order */
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
void item_wake(struct store *s, const struct item *it); /* it was stored: who runs it is told */

#define PATIENCE_MANY (50 * CLOCK_MS) /* for a lock, where others wait behind */
#define BATCH_ITEMS 1000
#define BATCH_BYTES_MAX (4 << 20)
#define RANGE_WIDTH 100 /* of a usual claim: a ready row is not wider */

/* Takes what fits from the collected and sends it.  False: no ids can be made now. */
bool batch_begin(struct submitter *u) MUSTCHECK;
/* The first id of a batch, of this life of the process; false when there are none now. */
bool batch_first_id(struct submitter *u, struct id *first_r) MUSTCHECK;

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
/* How long the transaction of the statement waits for a lock: us; 0: lock_timeout. */
void bind_patience(struct stmt *t, const struct store *s, int64_t patience);

/* store_verdict.c */
void verdict_accepted(struct submitter *u, struct item *it, int64_t created_at, int64_t run_at);
void verdict_twins(struct item *it, const uint8_t fp[DIGEST_LEN], const struct store_submitted *first);
void verdict_known(struct item *it, const PGresult *idem_read, int row); /* what its key led to */
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

/* --- unique names: store_unique.c ------------------------------------------------------------------------------------------------ */

bool unique_wanted(const struct item *it) MUSTCHECK;
void unique_run(struct submitter *u); /* sends of those that wait what may go now */

/* --- duties: store_keep.c, store_expire.c ---------------------------------------------------------------------------------------- */

struct store_pool *keep_pool(const struct store *s) MUSTCHECK;

/* --- what is of no use after a time: store_expire.c ------------------------------------------------------------------------------ */

/* Adds what such tasks among these need, after the statement that stores them; nothing when there is none. */
void expiry_add(struct request *r, struct item *const *items, int n);

/* --- rows: store_read.c --------------------------------------------------------------------------------------------------------- */

/* The eleven columns from lane to payload as they follow each other in get, list and idem_read. */
void row_read(const PGresult *res, int row, int lane_column, struct task_row *r);
void row_read_state(const PGresult *res, int row, struct task_row *r); /* a whole row of get or list */
struct request *read_request(
    struct store *s, request_fn *fn, void *arg) MUSTCHECK; /* may be repeated, has a deadline */

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
void claim_bind_probes(struct store_worker *w, struct stmt *t, bool claims, bool turns);
void claim_add_again(struct store_worker *w, struct request *r); /* what an uncertain try got */
/* From where on a lane is asked whose head was seen at `mark`: a little earlier.  Zero for zero. */
struct id claim_start(const struct id *mark) MUSTCHECK;
/* One row of a claim of any kind, but for the names of its lane. */
void claim_row(const PGresult *res, int row, struct store_claimed *c);
void exact_bind_limits(struct stmt *t, const struct store_limits *l);
struct claim_got {                                               /* of a turn */
	int leases;
	int covered; /* positions: more than tasks where keys were known already and left holes */
};
/* got_r: one for each turn; null: of an exact claim */
int claim_take(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r,
    struct claim_got *got_r);
bool *claim_full(struct store_worker *w, int ntasks, const struct claim_got *got, bool again) MUSTCHECK;
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
	char unhealthy[160];         /* what health_trouble() said */
	bool unnamed;                /* no named statements in this process any more */
	int nready;                  /* greeted connections */
	int64_t connected_at;        /* clock_now(): since then at least one of them was there; 0: none is */
	char trouble[256];           /* why the last connection failed; empty when the last one did not */
	int32_t writer;              /* identity of this life; 0: not known yet */
	uint32_t counter;            /* of store_new_rid() */
	int64_t reaped_at;           /* clock_now(): the last answer to a look for silent workers */
	int64_t reap_clock;          /* what the database's clock said then */
	int64_t heard_since;         /* since when those answers come without a long pause */
	struct id names_seen;        /* how far the walk over unique names is */
	struct id progress_seen;     /* and that over progress */
	bool asking_writer;
	struct health *health; /* of those who submit */
	struct submitter *submitter;
	struct asker *asker;
	struct store_worker *worker;
};

void store_learned(
    struct store *s, const struct store_server *v);     /* a connection was greeted, or the server looked at again */
const char *store_lie(const struct store *s) MUSTCHECK; /* null, or why nothing may be submitted here */
void store_trouble(struct store *s, const char *why);   /* a connection could not be made */
void store_count_ready(struct store *s, int change);
struct store_pool *store_any_pool(const struct store *s) MUSTCHECK;
void store_ask_writer(struct store *s);
void store_writer_changed(struct store *s);
int64_t store_new_rid(struct store *s) MUSTCHECK;

#endif
