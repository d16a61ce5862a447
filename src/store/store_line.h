/* store_line.h - the lower half of this room: statements, requests, the wire, connections, pools.
 *
 * A verb builds a request (statements that travel before one Sync, so one transaction), gives it to a pool, and is answered once.
 * A pool owns connections of one purpose and the queue before them; a connection has at most one request in flight.  Nothing here
 * knows what a task is.
 */
#ifndef STORE_STORE_LINE_H
#define STORE_STORE_LINE_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"

#include "store/store.h"
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
void stmt_home(struct stmt *t, const struct store *s); /* of this daemon, or null */
void stmt_text(struct stmt *t, struct span value);
void stmt_bytea(struct stmt *t, struct span value);
void stmt_time(struct stmt *t, int64_t unix_us); /* 0: null */
bool stmt_is_whole(const struct stmt *t);

/* Columns, binary; each asserts type and length.  Null reads as 0, false, the empty span, the zero id. */
bool col_null(const PGresult *res, int row, int col);
bool col_bool(const PGresult *res, int row, int col);
int64_t col_int(const PGresult *res, int row, int col);                  /* int2, int4, int8 */
int64_t col_int_or(const PGresult *res, int row, int col, int64_t null); /* what null reads as */
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
/* A try may have committed, and another one will follow: binds what must not be the same then.  False: no other one. */
typedef bool request_doubt_fn(struct request *r);

struct request {
	unsigned magic;
	struct list node;
	struct store_pool *pool;
	struct stmt stmts[REQUEST_STMTS];
	int nstmts;
	bool repeat;      /* the pool sends it again until known, refused or past its deadline */
	int64_t deadline; /* clock_now() */
	int64_t patience; /* us: for the answer once it was sent; 0: postgres.deadline */
	bool alone;       /* cannot be in a transaction with others: behind a pooler it goes without our settings */
	int locks_most; /* uncertain: so many locks are met before it is told, for it can be divided; 0: until the deadline */
	request_fn *fn;
	request_doubt_fn *doubt_fn; /* null: the same bytes go again */
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
void request_clear(struct request *r); /* without statements, as it was */
void request_send(struct store_pool *p, struct request *r);
bool request_waits(const struct request *r) MUSTCHECK;            /* it was not sent, or is to be sent again */
void request_send_first(struct store_pool *p, struct request *r); /* before all that wait */

/* --- the wire: store_wire.c ------------------------------------------------------------------------------------------------------ */

#define WIRE_SETTINGS (-1)
struct expected { /* what the server answers next */
	bool prepare;
	int stmt; /* of the request, or WIRE_SETTINGS */
};

struct wire {
	PGconn *pg;
	bool prepared[SQL_STATEMENTS];
	struct request *request; /* whose answers come */
	struct expected expected[2 * (REQUEST_STMTS + 1)];
	int nexpected, next_expected;
	bool flushing; /* libpq has bytes that the socket did not take */
	bool synced;   /* the Sync was handed to libpq: from here on nothing is certain without an answer */
	bool in_doubt; /* the server warned that it did not wait for its replica */
	bool pooled;   /* `settings` go before each transaction, for it may run on any connection of a pooler */
	struct stmt settings;
	int64_t started; /* us: of the server that ran the last one with settings */
	size_t most;     /* bytes in one direction at once: libpq keeps room for as many */
};

void wire_begin(struct wire *w, PGconn *pg);
void wire_end(struct wire *w); /* whether the last request was sent whole can still be read */
bool wire_send(struct wire *w, struct request *r, bool named) MUSTCHECK; /* false: the line is lost */
bool wire_flush(struct wire *w) MUSTCHECK;
bool wire_receive(struct wire *w) MUSTCHECK; /* takes what libpq has; true: the Sync was answered */

/* --- connections: store_conn.c ------------------------------------------------------------------------------------------------ */

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_GREETING, CONN_IDLE, CONN_BUSY, CONN_STATES };
struct store_conn;

struct store_conn *conn_new(struct store_pool *p, int number) MUSTCHECK;
void conn_free(struct store_conn **c);                      /* its request is answered first: UNSURE */
void conn_retire(struct store_conn **c);                    /* one that is not busy goes, and nothing is wrong */
void conn_start(struct store_conn *c);                      /* connects, and again whenever it is lost */
void conn_request(struct store_conn *c, struct request *r); /* when idle only; answered by pool_answer() */
enum conn_state conn_state(const struct store_conn *c);
bool conn_grown(const struct store_conn *c);  /* idle, and its buffers became large: they never shrink */
bool conn_failed(const struct store_conn *c); /* down: it could not be made, or was lost */

/* What a server told at greeting: store_hello.c. */
struct store_server {
	int version; /* 150004 */
	bool pooled; /* a pooler is between us: it may be another connection of the server each time */
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
void hello_ask(struct request *r, const struct store *s, const char *purpose, enum hello_step step, PGconn *pg);
/* After each step: behind a pooler every transaction from now on begins with the settings of the session. */
void hello_settle(struct wire *w, const struct store *s, const char *purpose, const struct store_server *v);
/* Behind a pooler: whether a server that was started at another time than the one greeted has answered.  Who greeted knows nothing then of the
 * life of the cluster, and the store remembers nothing until it has learned it anew. */
bool hello_elsewhere(struct store *s, struct store_server *v, const struct wire *w) MUSTCHECK;
/* The clock was read at some moment between sending and answering. */
void hello_clock(struct store_server *v, int64_t clock, const struct hello_time *when);
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

/* A statement told the clock of the database: whoever does not look again in another way goes by it from now on. */
void health_clock_told(struct store *s, int64_t clock, const struct hello_time *when);

/* Looks at the server again from time to time, for connections last for weeks: sooner while something is wrong. */
struct health;
struct health *health_new(struct store *s) MUSTCHECK;
void health_free(struct health **h); /* after the pools */

/* --- pools: store_pool.c -------------------------------------------------------------------------------------------------------- */

#define STORE_VACUUM_POOL "vacuum"                 /* its statements may take ... */
#define STORE_VACUUM_MOST (10 * 60 * CLOCK_SECOND) /* instead of postgres.statement_timeout */

struct store_pool;
typedef void pool_idle_fn(void *arg); /* a connection is free and no request waits */

struct store_pool *pool_new(struct store *s, const char *purpose, int connections) MUSTCHECK;
void pool_close(
    struct store_pool *p); /* what waits is FAILED, what was sent UNSURE; what is asked from now on is never answered */
void pool_free(struct store_pool **p); /* after its close */
void pool_rest(struct store_pool *p);  /* connections that have grown are renewed; null: none */
struct store *pool_store(const struct store_pool *p);
/* It is being made beside the others: while it is not there nobody misses it. */
bool pool_is_spare(const struct store_pool *p, const struct store_conn *c) MUSTCHECK;
const char *pool_purpose(const struct store_pool *p);
int pool_idle(const struct store_pool *p); /* connections that are free now, less requests that wait */
int pool_up(const struct store_pool *p);   /* connections that are greeted */
bool pool_closing(const struct store_pool *p);
void pool_on_idle(struct store_pool *p, pool_idle_fn *fn, void *arg);
void pool_answer(struct store_pool *p, struct request *r); /* by connections: the request is over */
void pool_changed(struct store_pool *p);                   /* by connections: one became idle, or was lost */

#endif
