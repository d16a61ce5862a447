/* http.h - the edge: a strict HTTP/1.1 server (RFC 9110, RFC 9112) on struct loop, and our routes on it.
 *
 * Ambiguity is an error: 400 and close.  Every length has a limit, every wait a deadline.  A handler gets a whole request
 * (head checked, body read and de-chunked) and answers exactly once, now or on a later turn; pipelined requests are answered in order.
 * A handler of a row with HTTP_ROUTE_STREAM gets the head first and the body in pieces.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "store/store.h"
#include "sys/loop.h"
#include "sys/seats.h"

/* --- the edge: knows no task.  http_server.c, http_conn.c, http_request.c; its inside is http_int.h ---------------------------------------------------------------------- */

struct http_server;
struct http_request;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };

struct span http_method_name(const struct http_request *r);
enum http_method http_method(const struct http_request *r);
/* Why a request is refused.  `detail` says what was expected; both words live for ever. */
struct http_bad {
	int status; /* 0: nothing is wrong */
	const char *code;
	const char *detail;
};

struct span http_query(const struct http_request *r); /* raw; its escapes are known to be good */
struct span http_param(const struct http_request *r,
    const char *name);                        /* "id" of "/v1/tasks/{id}", decoded; never empty.  Another name panics */
int http_flags(const struct http_request *r); /* of its route */
struct span http_header(
    const struct http_request *r, const char *name); /* ptr null: absent.  Repeated lines of the same name: the first */
int http_header_count(const struct http_request *r, const char *name);
struct span http_header_line(const struct http_request *r, const char *name, int n); /* the n-th of that name, from 0 */
struct span http_body(const struct http_request *r);
void http_body_drop(struct http_request *r); /* the handler needs it no more, but will take its time to answer */
/* The client is gone, or has sent its last byte, which most do only when they go. */
bool http_client_left(const struct http_request *r);
/* What is answered now is sent now: no earlier request of its connection has still no answer. */
bool http_is_next(const struct http_request *r);
struct arena *http_arena(struct http_request *r);
int64_t http_received_at(
    const struct http_request *r); /* clock_now() at the last byte; of a body in pieces: of the head */
struct span http_request_id(
    const struct http_request *r); /* the client's X-Request-ID when it is plain, else a fresh UUID */

/* The parameters of the query in their order, names and values decoded (also "+" to a space) into the request's arena.
 *
 *	struct http_query q = http_query_begin(r);
 *	while (http_query_next(&q, &name, &value)) ...
 */
struct http_query {
	struct http_request *r;
	struct span rest;
};
struct http_query http_query_begin(struct http_request *r);
bool http_query_next(struct http_query *q, struct span *name_r, struct span *value_r);

/* A body in pieces: http_stream.c.  The handler of such a row calls http_stream() or answers at once.  It may answer from a callback
 * too; before the end that costs the connection, and the callbacks are not called any more.  A client that is gone is an end with a
 * reason: the handler answers as always, and the answer is dropped. */
struct http_stream {
	void (*data)(void *arg, struct span piece);         /* borrowed */
	void (*end)(void *arg, const struct http_bad *why); /* null: the body is whole; else what to answer with */
};
void http_stream(struct http_request *r, const struct http_stream *s, void *arg);
/* Enough for now; what was read already may still come.  Until resume the client waits. */
void http_stream_pause(struct http_request *r);
void http_stream_resume(struct http_request *r);
bool http_body_is_ndjson(const struct http_request *r) MUSTCHECK; /* else JSON */

/* The answer: header lines first, then exactly one http_reply(). */
void http_reply_header(struct http_request *r, const char *name, struct span value); /* CR, LF and NUL panic */
/* Content-Type null: no body and no such line (204, 307).  The request must not be touched afterwards.  When the client is gone the
 * answer is dropped: a handler need not know. */
void http_reply(struct http_request *r, int status, const char *content_type, struct span body);
const char *http_status_text(int status);

/* An answer in pieces, its length not known: http_flow.c.  After http_reply_begin() the handler is asked for more, now or on a later turn;
 * it then gives one piece, which may be empty, or the end.  It is asked again when the client has taken that, so memory holds one piece.
 * False of begin: nothing more is wanted (HEAD, a client that is gone), the request is answered.  False of piece, and `gone`: the client
 * is gone, and the handler ends it. */
struct http_flow {
	void (*more)(void *arg, bool gone);
};
bool http_reply_begin(
    struct http_request *r, int status, const char *content_type, const struct http_flow *f, void *arg) MUSTCHECK;
bool http_reply_piece(struct http_request *r, struct span piece) MUSTCHECK;
/* Not whole: the connection is broken off, so that the client knows. */
void http_reply_end(struct http_request *r, bool whole);

/* Routing happens when the head is read, so that 404, 405, 411, 413, 415 and 417 are answered before the body.  The first row whose path
 * and method fit wins: "/v1/tasks/batch" stands before "/v1/tasks/{id}".  HEAD is answered by GET rows, without the body. */
enum {
	HTTP_ROUTE_JSON = 1,          /* must have a body of JSON: else 411, 415 */
	HTTP_ROUTE_JSON_OPTIONAL = 2, /* may have none; if any, JSON */
	HTTP_ROUTE_STREAM = 8,        /* its body comes in pieces, up to http.max_batch */
	HTTP_ROUTE_NDJSON = 16,       /* with JSON: its body may also be application/x-ndjson */
	HTTP_ROUTE_GATED = 32,        /* the gate is asked before the handler */
	HTTP_ROUTE_COMPAT =
	    4, /* only while http.compat is on; 405 as {"detail":"Method Not Allowed"}; "/tasks/" is sent to "/tasks" by 307 */
};
struct http_route {
	const char *method;
	const char *path; /* "/v1/tasks/{id}" */
	void (*handle)(void *app, struct http_request *r);
	int flags;
};
#define HTTP_PARAMS 4 /* most {names} in a path */

struct http_options {
	struct loop *loop;
	const struct conf *conf; /* outlives the server */
	const int *listeners;    /* shared with other processes; never closed here */
	int nlisteners;
	struct seats *seats; /* null: no other process takes connections from these */
	int index;           /* of this process among the acceptors */
	const struct http_route *routes;
	int nroutes;
	void *app;
	/* For rows that are GATED, once for each request, before its body is looked at and, if it is long, before it is read: may add header
	 * lines to the answer.  False: answered.  Null: everybody may. */
	bool (*gate)(void *app, struct http_request *r);
	void (*drained)(void *arg); /* after http_server_drain(): the last connection is gone */
	void *arg;
};
struct http_server *http_server_new(const struct http_options *o) MUSTCHECK;
/* Stops accepting, closes idle connections (one that has had no answer yet waits a second for its request), answers what is in flight
 * with Connection: close; then drained() on a later turn. */
void http_server_drain(struct http_server *s);
int http_server_open(const struct http_server *s); /* connections: who is left, for the drain's log line */
void http_server_rest(struct http_server *s);      /* frees what is kept for the next rush */
/* Closes what is open.  Requests that a handler still holds may be answered later (the answer is dropped), while the loop lives. */
void http_server_free(struct http_server **s);

/* --- http_reply.c: our words for trouble (RFC 9457) -------------------------------------------------------------------- */
struct http_problem {
	int status;
	const char *code;    /* "invalid_json": stable, and the last part of `type` */
	const char *detail;  /* what was expected */
	const char *pointer; /* JSON Pointer of the place, or null */
	const char *task_id; /* or null */
	int retry_after;     /* seconds; 0: nothing to say; the member retryable follows from it and the status */
	bool retryable;      /* the same request may succeed later, nobody knows when */
	const char
	    *outcome; /* Taskq-Outcome: "none", "unknown" or null; a 5xx that is not to a POST says "none" by itself */
	struct span more; /* further members, each with a comma before it */
};
/* A JSON Pointer as the `pointer` of a problem, a URI fragment in quotes. */
void http_put_pointer(struct buf *b, const char *pointer);
void http_reply_problem(struct http_request *r, const struct http_problem *p);

/* --- routes.def, api_*.c ------------------------------------------------------------------------------------------------ */
struct admit;
struct guard;
struct wake;
struct api; /* what handlers share: store, admit, conf */
struct api_options {
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct admit *admit;
	const bool *draining;
	struct guard *guard; /* null: nobody guards the handlers */
	struct wake *wake;   /* null: no bells */
	int index;           /* of the acceptor, for its bell */
};
struct api *api_new(const struct api_options *o) MUSTCHECK;
void api_drain(struct api *a); /* *draining is true: who waits, for a task or for its end, is answered now */
void api_free(struct api **a);
bool api_gate(void *app, struct http_request *r); /* the gate of http_options */
extern const struct http_route api_routes[];
extern const int api_nroutes;
const char *const *api_route_names(
    void); /* "METHOD path", null at the end, in the order of api_routes; for the stats region */

#endif
