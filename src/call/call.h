/* call.h - outgoing HTTP for the whole program: one request, one deadline, exactly one answer.
 *
 * The only room that uses libcurl.  A process that calls has one client on its loop; idle connections are kept and used again.
 *
 * What a service may do to us is bounded: redirects are not followed, the answer is read up to a size that the caller names, its
 * header lines up to CALL_HEAD_MAX, with at most CALL_INTERIM_MAX interim (1xx) answers; bodies are not decompressed.  Certificates
 * are verified always, TLS is 1.2 or later.  Nothing is taken from the environment: no proxy, no netrc, no cookies.
 *
 * The guard: the address that is about to be connected must be a public one, whatever name led to it, unless the configuration
 * (call.allow) names its network, or the host that the URL names.  It is asked for the address itself, so a name that changes between
 * a check and a connection cannot pass.
 *
 * A kept connection that the service closed meanwhile makes libcurl send the request once more on a new one: a request may arrive
 * twice, and must say by a header of its own which one it is.
 *
 * Files: call.c (a call), call_loop.c (libcurl on our loop), call_end.c (how it ended, header lines), and pure functions in call_guard.c
 * (addresses), call_url.c (what a configuration may say) and call_sign.c (Standard Webhooks).
 */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include <sys/socket.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "sys/loop.h"

#define CALL_HEAD_MAX 65536
#define CALL_INTERIM_MAX 8
#define CALL_RETRY_AFTER_MAX (INT64_C(7) * 86400 * 1000000) /* us; a service cannot park us for longer */

struct call_client;
struct call;

/* --- call.c --------------------------------------------------------------------------------------------------------------------- */

/* All but the body is copied. */
struct call_request {
	const char *method;
	const char *url;            /* one that call_url_wrong() likes */
	const char *const *headers; /* "Name: value", the last is null */
	struct span body;           /* borrowed until the end */
	int64_t timeout;            /* us for the whole call; 0: the caller looks after that */
	size_t max_body;            /* bytes of the answer's body */
	const char *ca_file;        /* empty: the authorities of the system */
};

enum call_ending {
	CALL_ANSWERED,
	CALL_NO_NAME,       /* the name of the host has no address */
	CALL_NO_CONNECTION, /* refused, unreachable, or not there within call.connect_timeout */
	CALL_FORBIDDEN,     /* by the guard */
	CALL_NO_TLS,        /* no handshake, or a certificate that is not good */
	CALL_TIMED_OUT,
	CALL_LOST,       /* the connection ended before the answer did */
	CALL_BAD_ANSWER, /* not HTTP, or more header lines than anybody needs */
	CALL_TOO_LARGE,  /* status and the first max_body bytes are there */
	CALL_ENDINGS
};

/* Gone after the callback. */
struct call_answer {
	enum call_ending ending;
	int status;          /* 0: none came */
	struct span head;    /* header lines of the final answer; call_header() */
	struct span body;    /* what came of it */
	int64_t retry_after; /* us; -1: none was said */
	const char *why;     /* in words, unless ANSWERED */
};
typedef void call_fn(void *arg, const struct call_answer *a);

/* Null is never returned: a machine without libcurl's needs is fatal.  The configuration must outlive the client. */
struct call_client *call_client_new(struct loop *loop, const struct conf *conf) MUSTCHECK;
void call_client_free(struct call_client **k); /* forgets all calls */

/* `fn` is called on a later turn of the loop, exactly once, and may start and cancel others. */
struct call *call_start(struct call_client *k, const struct call_request *r, call_fn *fn, void *arg) MUSTCHECK;
void call_cancel(struct call **c); /* forgets the call; its connection is closed */

/* --- call_end.c ----------------------------------------------------------------------------------------------------------------- */

const char *call_ending_code(enum call_ending e); /* "CONNECT_FAILED"; null for ANSWERED */
/* The trimmed value of the first line of this name; empty when there is none. */
struct span call_header(struct span head, const char *name);
/* Seconds, or a date of HTTP: us from `now` (us since the epoch) on, 0 when that is past, at most CALL_RETRY_AFTER_MAX; -1 when it
 * is neither. */
int64_t call_retry_after(struct span value, int64_t now);

/* --- call_url.c: what a configuration may say; null, or what is wrong and what was expected ------------------------------------- */

const char *call_url_wrong(const char *url);
const char *call_header_wrong(const char *line);
const char *call_secret_wrong(const char *secret); /* the words do not repeat it */
const char *call_allow_wrong(const char *item);    /* of call.allow: address, address/bits or name of a host */

/* --- call_sign.c ---------------------------------------------------------------------------------------------------------------- */

/* The value of webhook-signature (Standard Webhooks): one signature for each secret, so that the receiver may know any of them. */
void call_sign(struct buf *b, const struct conf_list *secrets, const char *id, int64_t seconds, struct span body);

/* --- call_guard.c --------------------------------------------------------------------------------------------------------------- */

/* `host` is that of the URL. */
bool call_guard_permits(const struct conf_list *allow, struct span host, const struct sockaddr *address);

#endif
