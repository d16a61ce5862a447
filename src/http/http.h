/* http.h - the edge: a strict HTTP/1.1 server (RFC 9110, RFC 9112) on struct loop, and our routes on it.
 *
 * Ambiguity is an error: 400 and close.  Every length has a limit, every wait a deadline.  A handler gets a whole request
 * (head checked, body read and de-chunked) and answers exactly once, now or on a later turn; pipelined requests are answered in order.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "store/store.h"
#include "sys/loop.h"

/* --- http_server.c, http_parse.c: knows no task ---------------------------------------------------------------------- */

struct http_server;
struct http_request;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };

struct span http_method_name(const struct http_request *r);
enum http_method http_method(const struct http_request *r);
struct span http_path(const struct http_request *r);     /* percent-decoded, never normalised */
struct span http_query(const struct http_request *r);    /* raw */
struct span http_header(const struct http_request *r, const char *name); /* ptr null: absent.  Repeated lines of the same name: the first */
int http_header_count(const struct http_request *r, const char *name);
struct span http_body(const struct http_request *r);
struct arena *http_arena(struct http_request *r);
struct span http_request_id(const struct http_request *r); /* the client's X-Request-ID when it is plain, else a fresh UUID */

/* The answer: header lines first, then exactly one http_reply(). */
void http_reply_header(struct http_request *r, const char *name, struct span value); /* CR, LF and NUL panic */
void http_reply(struct http_request *r, int status, const char *content_type, struct span body);
const char *http_status_text(int status);

/* Routing: the server asks for the route of a request when its head is read, so that limits and methods are answered before the body. */
struct http_route {
	const char *method;
	const char *path;          /* "/v1/tasks/{id}" */
	void (*handle)(void *app, struct http_request *r);
	int flags;
};

struct http_options {
	struct loop *loop;
	const struct conf *conf;
	const int *listeners;
	int nlisteners;
	const struct http_route *routes;
	int nroutes;
	void *app;
	void (*drained)(void *arg); /* after http_server_drain(): the last connection is gone */
	void *arg;
};
struct http_server *http_server_new(const struct http_options *o) MUSTCHECK;
void http_server_drain(struct http_server *s); /* closes listeners and idle connections; answers what is in flight with Connection: close */
void http_server_free(struct http_server **s);

/* --- http_reply.c: our words for trouble (RFC 9457) -------------------------------------------------------------------- */
struct http_problem {
	int status;
	const char *code;       /* "invalid_json": stable, and the last part of `type` */
	const char *detail;     /* what was expected */
	const char *pointer;    /* JSON Pointer of the place, or null */
	const char *task_id;    /* or null */
	int retry_after;        /* seconds; 0: do not retry, or nothing to say */
	const char *outcome;    /* Taskq-Outcome: "none", "unknown" or null */
};
void http_reply_problem(struct http_request *r, const struct http_problem *p);

/* --- routes.def, api_*.c ------------------------------------------------------------------------------------------------ */
struct api; /* what handlers share: store, conf */
struct api_options {
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	const bool *draining;
};
struct api *api_new(const struct api_options *o) MUSTCHECK;
void api_free(struct api **a);
extern const struct http_route api_routes[];
extern const int api_nroutes;
const char *const *api_route_names(void); /* "METHOD path", null at the end, in the order of api_routes; for the stats region */

#endif
