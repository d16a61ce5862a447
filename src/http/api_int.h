/* api_int.h - what the files of the endpoints share.
 *
 * A handler reads the request, asks admit or the store, and answers exactly once.  Both surfaces have the same handlers for the same
 * deeds; how each says no stands in its struct api_surface (api_v1.c, api_compat.c), and nowhere else.
 */
#ifndef HTTP_API_INT_H
#define HTTP_API_INT_H

#include <jansson.h>

#include "admit/admit.h"
#include "base/list.h"
#include "base/member.h"
#include "http/http.h"
#include "run/run_pull.h"
#include "store/store_attempts.h"
#include "store/store_hand.h"
#include "sys/guard.h"
#include "sys/wake.h"

#define API_MAGIC 0x41706931u
#define API_CALL_MAGIC 0x41706332u
#define API_RETRY_AFTER 2 /* seconds: the database is usually back by then, or for longer away */

struct api {
	unsigned magic;
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct admit *admit;
	const bool *draining;
	struct guard *guard;
	struct wake *wake;
	struct api_waits *waits;
	struct api_pulls *pulls;
	struct api_pull_queues *pull_queues;
	int index; /* of the acceptor, for its bell */
};

/* A request on its way through the store; in the request's arena, so gone with the answer. */
struct api_call {
	unsigned magic;
	struct api *api;
	struct http_request *r;
	const struct api_surface *surface;
	struct id id;     /* of the path; of the task that was submitted */
	const char *verb; /* "retry", "cancel": for a refusal */
	struct span kept; /* the plain answer of a submission that waits */
};

/* How a surface speaks.  Each function answers the request. */
struct api_surface {
	enum task_surface number;
	const char *tasks; /* path of the collection: "/v1/tasks" */
	void (*invalid)(struct api_call *c, const struct admit_answer *a);
	void (*conflict)(struct api_call *c, const struct admit_answer *a);
	void (*not_unique)(struct api_call *c, const struct admit_answer *a); /* null where no task asks for it */
	void (*bad_id)(struct api_call *c, struct span text);
	void (*not_found)(struct api_call *c);
	void (*wrong_state)(struct api_call *c, const struct task_row *row);
};
extern const struct api_surface api_surface_v1;
extern const struct api_surface api_surface_compat;

struct api *api_of(void *app) MUSTCHECK; /* a handler's `app`, checked; api.c */

/* --- api_call.c ----------------------------------------------------------------------------------------------------------------- */

struct api_call *api_call_new(void *app, struct http_request *r) MUSTCHECK;
struct api_call *api_call_of(void *arg) MUSTCHECK; /* a callback's argument, checked */
bool api_call_id(struct api_call *c) MUSTCHECK;    /* reads {id}; false: answered */
/* The task as it is now. */
void api_reply_task(struct api_call *c, const struct task_row *row);
/* 503: the store could not; `unknown` when it may have done what was asked. */
void api_reply_later(struct http_request *r, bool unknown);
bool api_refuse(struct api_call *c, const char *code, const char *pointer, const char *detail); /* 400; false */
/* The body, which may be missing (null), else must be an object; the caller drops it.  False: answered. */
bool api_call_body(struct api_call *c, json_t **body_r) MUSTCHECK;
/* A time as text in the request's arena. */
const char *api_time(struct http_request *r, int64_t wall) MUSTCHECK;
const char *api_id(struct http_request *r, const struct id *id) MUSTCHECK;
/* Decimal digits only, min..max; false when it is something else. */
bool api_number(struct span text, int min, int max, int *n_r) MUSTCHECK;
/* A number of seconds, more than 0, as us. */
bool api_seconds(const json_t *value, int max, int64_t *us_r) MUSTCHECK;
bool api_cursor_number(struct span text, int64_t *n_r) MUSTCHECK; /* a cursor that is a number above zero */
void api_reply_json(struct http_request *r, struct buf *b);       /* 200, not to be kept by caches; frees */

/* A list, {"items":[...]}: begin, the items with commas between them, end.  False: the store could not, and that is answered. */
bool api_items_begin(struct api_call *c, enum store_status status, struct buf *b) MUSTCHECK;
void api_items_end(struct api_call *c, struct buf *b);                  /* answers; frees */
void api_page_end(struct api_call *c, struct buf *b, const char *next); /* the same of a page; null: it is the last */

/* --- api_query.c: the parameters of a query ---------------------------------------------------------------------------------------- */

struct api_parameter {
	const char *name;
	bool (*take)(struct api_call *c, struct span value); /* false: it is refused with ... */
	const char *expected;
};
bool api_query(struct api_call *c, const struct api_parameter *table, int n) MUSTCHECK; /* false: answered */

/* --- api_who.c: who acts, and why -------------------------------------------------------------------------------------------------- */

/* A member of a body that the endpoint itself does not know: one of the two, else it is refused with `expected`.  False: answered. */
bool api_who_member(
    struct api_call *c, const char *name, const json_t *value, struct store_who *who, const char *expected) MUSTCHECK;
bool api_who_told(struct api_call *c, const struct store_who *who) MUSTCHECK; /* both of them; false: answered */
bool api_who_body(
    struct api_call *c, struct store_who *who) MUSTCHECK; /* a body, if any, of these only; false: answered */

/* --- api_wait.c, api_prefer.c: Prefer: wait=N -------------------------------------------------------------------------------- */

struct api_waits *api_waits_new(struct api *a) MUSTCHECK;
void api_waits_free(struct api_waits **ws);
/* How many seconds the client wants to wait, at most http.wait_max; -1: it does not say, or may not.  `bytes` will be kept meanwhile. */
int api_wait_wanted(const struct api_call *c, size_t bytes) MUSTCHECK;
/* Answers with the task c->id when it is final, the time is over or the client has left; by `instead` when it cannot be read.  Header
 * lines may have been written; the body is dropped. */
void api_wait_begin(struct api_call *c, int seconds, size_t bytes, void (*instead)(struct api_call *c));
/* api_reply_task() for a client that was willing to wait. */
void api_reply_waited(struct api_call *c, const struct task_row *row, int seconds);
/* One header line.  True: it says wait=N.  *seen: it names the preference, whatever it says; no later line counts. */
bool api_prefer_wait(struct span line, bool *seen, int *seconds_r) MUSTCHECK;

/* --- api_attempts.c ---------------------------------------------------------------------------------------------------------- */

void api_put_attempt(struct buf *b, const struct store_attempt *a);
/* Members exit, http_status and signal, with a comma before them; at most one is not null. */
void api_put_exit(struct buf *b, int exit);
bool api_attempt_how(struct span word, enum store_attempt_how *how_r) MUSTCHECK; /* as put_attempt writes it */

/* --- api_handlers.c --------------------------------------------------------------------------------------------------------- */

void api_refuse_handler(struct http_request *r, struct span name, const char *advice); /* 404 */

/* --- api_lease.c, api_lease_take.c, api_lease_queue.c, api_lease_wait.c: clients that lease tasks ------------------------------------------------------ */

#define API_PULL_MAGIC 0x4170756cu
#define API_PULL_BYTES INT64_C(8388608) /* of payloads in one answer; http/taskq-api.7 says so */
/* A client that wants tasks; in the arena of its request. */
struct api_pull {
	unsigned magic;
	struct list node; /* among those who ask for the same queue, or those who wait */
	struct api *api;
	struct http_request *r;
	struct span queue;
	const struct span *types; /* none: all that clients may lease */
	int ntypes;
	int max;
	int64_t ttl; /* us; 0: that of the handler */
	struct span worker;
	int64_t asked_at;  /* clock_now() */
	int64_t again;     /* the same: when a limit that holds it may let go; INT64_MAX: not known */
	int tries;         /* that found somebody else counting */
	int64_t until;     /* clock_now(): how long it waits */
	bool served;       /* it has waited, and others may after it */
	struct buf leases; /* of the answer */
	int nleases;
	struct store_saying *refused; /* they are not given out */
	int nrefused;
	struct store_saying *returned; /* nor are these: they are ready again */
	int nreturned;
};

void api_pull_claim(struct api_pull *p); /* api_lease_queue.c; then one of the two that follow, or the end */
void api_pull_got(struct api_pull *p, const struct store_pulled *got, struct run_pull *order); /* some */
void api_pull_end(struct api_pull *p, enum store_status status); /* answers with what was given out */
/* There is nothing: it waits, or is answered when it does not want to. */
void api_pull_wait(struct api_pull *p);
void api_pulls_serve(struct api_pulls *ps); /* one who had waited is answered: the next claims */

struct api_pull_queues *api_pull_queues_new(struct api *a) MUSTCHECK;
void api_pull_queues_free(struct api_pull_queues **qs);
struct api_pulls *api_pulls_new(struct api *a) MUSTCHECK;
void api_pulls_free(struct api_pulls **ps);
void api_pulls_drain(struct api_pulls *ps);
/* 400: the body is not what it should be. */
void api_refuse_body(struct http_request *r, const struct task_problem *t);

/* --- api_gate.c: whoever comes too fast ------------------------------------------------------------------------------------- */

void api_reply_full(struct http_request *r, const struct admit_answer *a); /* 429: the queue is full */

/* --- api_handlers.c ------------------------------------------------------------------------------------------------------------ */

void api_put_label(struct buf *b, const char *value);          /* of a metric, escaped; api_metrics.c */
void api_handlers_metrics(const struct api *a, struct buf *b); /* what the guard of this node counts */

/* The trace id of a valid traceparent; else empty.  api_task.c */
struct span api_trace(const struct http_request *r);

/* --- api_compat.c: what did not validate -------------------------------------------------------------------------------------- */

struct api_compat_error {
	const char *type;  /* "int_parsing" */
	const char *place; /* "body", "query", "path", "header" */
	const char *loc;   /* the rest of the way, JSON: ",\"limit\"" */
	const char *msg;
	struct span text; /* what was sent: a string; or ... */
	struct span json; /* ... a JSON value; neither: null */
	const char *ctx;  /* JSON object, or "" */
};
/* Adds one to the body of an answer, which begins empty; then refuse sends it (and frees it). */
void api_compat_error(struct buf *b, const struct api_compat_error *e);
void api_compat_refuse(struct http_request *r, struct buf *b);

/* --- the handlers ------------------------------------------------------------------------------------------------------------- */

#define ROUTE(method, path, function, flags) void function(void *app, struct http_request *r);
#include "http/routes.def"

#endif
