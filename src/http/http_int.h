/* http_int.h - what the files of this room share.
 *
 * Bytes become a request in four pure steps, none of which knows a socket: http_parse.c finds the lines of a head,
 * http_target.c takes the target apart, http_frame.c decides where the body ends, http_chunk.c takes chunks off a body.
 * http_route.c then says who wants the request and what that costs, http_request.c holds it, http_conn.c moves it through a
 * connection, http_server.c owns listeners and deadlines, http_answer.c and http_reply.c write the answer.
 */
#ifndef HTTP_HTTP_INT_H
#define HTTP_HTTP_INT_H

#include "base/list.h"
#include "http/http.h"

/* Fills `bad` and returns false, so that a check can say: return http_refuse(bad, 400, ...). */
bool http_refuse(struct http_bad *bad, int status, const char *code, const char *detail);

/* --- http_parse.c: the lines of a head -------------------------------------------------------------------------------- */

struct http_limits {
	size_t line; /* bytes of the request line, without its end */
	size_t head; /* bytes of the header lines, with their ends */
	int fields;  /* header lines */
};

/* A header line; places count from the first byte of the head. */
struct http_field {
	uint32_t name, name_len;
	uint32_t value, value_len; /* without the white space around it */
};

/* A head, however far it is read.  All zero is the beginning; `fields` belongs to the head and survives http_head_reset(). */
struct http_head {
	int state;
	size_t at;    /* bytes looked at; once DONE, the length of the head */
	size_t start; /* of the request line: one empty line may stand before it */
	size_t lines; /* where the header lines begin */
	uint32_t method_len;
	uint32_t target, target_len;
	int minor;          /* HTTP/1.minor */
	unsigned char high; /* OR of the bytes of the value that is being read */
	struct http_field *fields;
	int nfields, cap;
	struct http_bad bad;
};

enum http_parse { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_BAD };

/* Reads on.  `bytes` always begins with the head's first byte and holds at least what it held before.  The verdict on given
 * bytes does not depend on the pieces in which they came. */
enum http_parse http_head_parse(
    struct http_head *h, const struct http_limits *lim, const char *bytes, size_t len) MUSTCHECK;
void http_head_reset(struct http_head *h);
void http_head_free(struct http_head *h);
struct span http_field_name(const struct http_field *f, const char *bytes);
struct span http_field_value(const struct http_field *f, const char *bytes);

bool http_is_token(struct span s);
bool http_is_utf8(struct span s);

/* --- http_target.c: the target of a request ------------------------------------------------------------------------------ */

struct http_target {
	struct span authority; /* absolute form only; else ptr null */
	struct span path;      /* as sent; "*" for the server as a whole */
	struct span query;     /* as sent, without the question mark */
};
bool http_target_split(struct span target, struct http_target *t_r, struct http_bad *bad) MUSTCHECK;
/* Writes at most raw.len bytes to `out`.  False: a bad escape, NUL, or not UTF-8. */
bool http_percent_decode(struct span raw, bool plus_is_space, char *out, size_t *len_r) MUSTCHECK;
/* The same for a path: no control characters, and no escaped slash, which would read as a segment's end after routing. */
bool http_path_decode(struct span raw, char *out, size_t *len_r, struct http_bad *bad) MUSTCHECK;
/* uri-host [ ":" port ], not empty. */
bool http_host_valid(struct span host) MUSTCHECK;

/* --- http_frame.c: where the body ends ------------------------------------------------------------------------------------ */

struct http_frame {
	struct span host;       /* ptr null: none (HTTP/1.0) */
	int64_t content_length; /* -1: not given */
	bool chunked;
	bool expects; /* 100-continue */
	bool close;   /* the client's last request on this connection */
};
bool http_frame_read(
    const struct http_head *h, const char *bytes, struct http_frame *f_r, struct http_bad *bad) MUSTCHECK;

/* --- http_chunk.c: a chunked body ------------------------------------------------------------------------------------------- */

struct http_chunks {
	int state;
	int digits;
	uint64_t left; /* of the chunk that is being read */
	struct http_bad bad;
};
/* Appends data to `body` and tells how many bytes it took; more than `max` data bytes is 413. */
enum http_parse http_chunks_read(
    struct http_chunks *c, const char *bytes, size_t len, size_t max, struct buf *body, size_t *used_r) MUSTCHECK;

/* --- http_request.c: a request from its first byte to its answer --------------------------------------------------------- */

struct http_conn;

enum http_request_state {
	HTTP_REQUEST_HEAD,   /* its head is being read; not in the queue yet */
	HTTP_REQUEST_BODY,   /* in the queue, its body is being read */
	HTTP_REQUEST_STREAM, /* a handler has it while its body is being read */
	HTTP_REQUEST_WORK,   /* a handler has it */
	HTTP_REQUEST_FLOW,   /* a handler answers it in pieces */
	HTTP_REQUEST_DONE    /* answered; waits for the answers before it */
};

struct http_request {
	unsigned magic;
	enum http_request_state state;
	struct list node;      /* in the queue of its connection, the server's orphans, or the pool */
	struct http_server *s; /* null: gone before the answer */
	struct http_conn *c;   /* null: the client is gone, the answer will be dropped */
	struct http_head head;
	struct http_frame frame;
	struct http_chunks chunks;
	struct buf text; /* the head as sent, then the decoded path; never moves once the head is read */
	struct buf body;
	struct buf lines; /* header lines of the answer */
	struct buf out;   /* an answer that waits for its turn */
	enum http_method method;
	struct span raw_path, path, query;
	struct http_param {
		struct span name, value;
	} params[HTTP_PARAMS];
	int nparams;
	int route;         /* row of the table; -1: none */
	bool last;         /* no request follows: the answer says Connection: close */
	bool continue_due; /* 100 Continue once the answers before it are out */
	bool gated;        /* the application has let it in by its head */
	size_t held;       /* bytes that it has of the budget */
	int64_t received_at;
	const struct http_stream *stream; /* its body goes there in pieces */
	void *stream_arg;
	uint64_t streamed; /* bytes of it given */
	bool paused;
	const struct http_flow *flow; /* its answer comes from there in pieces */
	void *flow_arg;
	int flow_status;
	bool flow_waits; /* the handler has said what it had, and is to be asked for more */
	char id_text[ID_TEXT];
	struct span id;
	struct arena *arena;
};
#define HTTP_REQUEST_MAGIC 0x48527131u

struct http_request *http_request_take(struct http_server *s, struct http_conn *c) MUSTCHECK;
void http_request_release(struct http_request *r); /* to the pool; freed when the server is gone */
void http_request_free(struct http_request *r);
/* `bytes` hold the whole head.  Fills frame, target, method and id; false: refused. */
bool http_request_read_head(struct http_request *r, const char *bytes, struct http_bad *bad) MUSTCHECK;
void http_request_name(struct http_request *r); /* gives it an id */
bool http_request_has_body(const struct http_request *r);

/* --- http_route.c ------------------------------------------------------------------------------------------------------------- */

/* Finds the row and checks what the head says about the body.  False: the request was answered. */
bool http_route_find(struct http_request *r) MUSTCHECK;
enum http_method http_method_of(struct span name);

/* --- http_stream.c ------------------------------------------------------------------------------------------------------------- */

size_t http_body_limit(const struct http_request *r);                /* for its route */
void http_stream_begin(struct http_conn *c, struct http_request *r); /* the head is read */
size_t http_stream_take(struct http_conn *c, const char *bytes, size_t len) MUSTCHECK;
/* Its body ends here, and this is why (null: the connection is gone).  The handler still answers. */
void http_stream_cut(struct http_request *r, const struct http_bad *why);
void http_stream_leave(struct http_request *r); /* it is being answered, perhaps too early */

/* --- http_flow.c, http_answer.c: answers ------------------------------------------------------------------------------------------ */

bool http_flow_next(struct http_conn *c);   /* asks for the next piece if it may be sent; true: asked */
void http_flow_cut(struct http_request *r); /* the connection is gone */
/* `length` is a header line, or null. */
void http_answer_head(
    struct http_request *r, struct buf *out, int status, const char *content_type, const char *length);
bool http_answer_is_last(const struct http_request *r) MUSTCHECK;
void http_answer_count(const struct http_request *r, int status);

/* --- http_budget.c: what may be held at once -------------------------------------------------------------------------------- */

struct http_budget {
	size_t held;             /* bytes, by all requests */
	size_t streams;          /* of these: by streams */
	size_t most;             /* since memory was given back last */
	struct loop_timer *trim; /* set: a rush is over */
};
void http_budget_open(struct http_server *s);
void http_budget_close(struct http_server *s);
/* Once the row is found.  False: the request was answered, its body must not be read. */
bool http_budget_head(struct http_request *r) MUSTCHECK;
/* The request is whole.  False: it was answered. */
bool http_budget_whole(struct http_request *r) MUSTCHECK;
/* Its body has grown.  Null, or why it may not. */
const struct http_bad *http_budget_grew(struct http_request *r) MUSTCHECK;
void http_budget_dropped(struct http_request *r); /* its body is free again */
void http_budget_give(struct http_request *r);    /* all of it is */

/* --- http_reply.c -------------------------------------------------------------------------------------------------------------- */

void http_reply_bad(struct http_request *r, const struct http_bad *bad);

/* --- http_wait.c: deadlines ------------------------------------------------------------------------------------------------------ */

/* Each kind has one length, so a list per kind is in the order of its deadlines: to begin and to end a wait costs no search, and one
 * timer serves them all. */
enum http_wait_kind {
	HTTP_WAIT_NONE,
	HTTP_WAIT_IDLE,   /* for a request */
	HTTP_WAIT_FIRST,  /* the same, of a connection that has had none, while draining */
	HTTP_WAIT_HEAD,   /* for the rest of a head */
	HTTP_WAIT_BODY,   /* for the rest of a body */
	HTTP_WAIT_STREAM, /* for the next piece of one */
	HTTP_WAIT_LINGER, /* for the client to close */
	HTTP_WAIT_WRITE,  /* for the client to take its answers */
	HTTP_WAITS
};
struct http_wait {
	struct list node;
	enum http_wait_kind kind;
	int64_t deadline;
	struct http_conn *c;
};
void http_wait_begin(
    struct http_server *s, struct http_wait *w, enum http_wait_kind kind); /* anew, also of the same kind */
void http_wait_end(struct http_wait *w);
void http_wait_sweep(void *server); /* the timer */

/* --- http_conn.c, http_receive.c: a connection ------------------------------------------------------------------------------------ */

struct http_conn {
	unsigned magic;
	struct http_server *s;
	struct list node;    /* in the server's list */
	struct list touched; /* in the list of those with fresh answers */
	int fd;
	struct loop_fd *watch;
	int want; /* LOOP_ bits now watched */
	struct http_wait reading, writing;
	struct buf in; /* bytes that no request has taken; from in_at on */
	size_t in_at;
	struct buf out; /* bytes for the client; from out_at on */
	size_t out_at;
	uint64_t sent, mark; /* bytes sent in all; the write deadline is for reaching the mark */
	struct list queue;   /* requests whose head was read, in order */
	int queued;
	struct http_request
	    *current;   /* the request that is being received; once its head is read it is the last of the queue */
	bool ended;     /* no more requests are taken: the last one was received, or one was refused */
	bool eof;       /* the client has sent its last byte */
	bool broken;    /* the socket failed, or the client did not take its answers */
	bool lingering; /* all is said; discarding until the client closes */
	bool settling;
	size_t discarded;
};
#define HTTP_CONN_MAGIC 0x48436e31u
#define HTTP_PIPELINE 16           /* requests of one connection in the queue; then reading pauses */
#define HTTP_OUT_HIGH (256 * 1024) /* bytes not taken by the client; then reading pauses */

void http_conn_open(struct http_server *s, int fd);
void http_conn_close(struct http_conn *c);
void http_conn_rest(struct http_conn *c);       /* frees its buffers while they are empty */
void http_conn_event(void *conn, int events);   /* from the loop */
bool http_conn_left(const struct http_conn *c); /* the client is gone, or has sent its last byte */
void http_conn_touch(struct http_conn *c);      /* an answer is there: settles at the end of the turn */
void http_conn_settle(struct http_conn *c);     /* moves answers out and requests in; may close the connection */
void http_conn_expired(struct http_conn *c, enum http_wait_kind kind);
void http_conn_drain(struct http_conn *c); /* closes it when nothing is in flight */

bool http_receive_open(const struct http_conn *c); /* may more requests be taken now? */
/* Makes requests of the bytes and hands them to their handlers; returns how many bytes it took. */
size_t http_receive(struct http_conn *c, const char *bytes, size_t len) MUSTCHECK;
/* The request that is being received ends here, with this answer; none follows. */
void http_receive_refuse(struct http_conn *c, const struct http_bad *bad);

/* --- http_server.c -------------------------------------------------------------------------------------------------------------------- */

#define HTTP_SCRATCH (64 * 1024)

struct http_server {
	unsigned magic;
	struct http_options o;
	struct http_limits limits;
	size_t max_body, max_batch;
	int64_t batch_time; /* for a whole body in pieces */
	int64_t wait_us[HTTP_WAITS];
	struct list waits[HTTP_WAITS];
	struct loop_timer *clock; /* the next deadline */
	int64_t clock_at;
	struct loop_fd **listeners;
	bool listening;           /* they are watched */
	struct loop_timer *pause; /* set: not accepting for a moment */
	bool yielded;             /* the last connection was left to another process */
	struct list conns;
	int nconns;
	struct list touched;
	struct loop_timer *flush; /* set: somebody is touched */
	struct list orphans;      /* requests whose client is gone */
	struct http_budget budget;
	struct list pool;
	int pooled;
	enum http_method *methods; /* of the rows of the table */
	bool draining;
	struct loop_timer *drained; /* set: to be said */
	char *scratch;              /* one read of any connection */
};
#define HTTP_SERVER_MAGIC 0x48537631u

void http_server_conn_gone(struct http_server *s);

/* --- http_accept.c ------------------------------------------------------------------------------------------------------ */
void http_accept_update(struct http_server *s); /* watches the listeners or not, as the server's state wants */
void http_accept_resume(void *server);
void http_accept_event(void *server, int events);
void http_accept_count(struct http_server *s, int more); /* connections came or went */

#endif
