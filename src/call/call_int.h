/* call_int.h - what the files of this room share. */
#ifndef CALL_CALL_INT_H
#define CALL_CALL_INT_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "base/list.h"

#include "call/call.h"

struct call_client {
	unsigned magic;
	struct loop *loop;
	const struct conf *conf;
	CURLM *multi;
	struct loop_timer *timer;
	struct list calls;
};
#define CALL_CLIENT_MAGIC 0x63636c69u

struct call {
	unsigned magic;
	struct list node;
	struct call_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct span host; /* of url */
	char *url;
	struct buf head;
	struct buf body;
	size_t max_body;
	size_t head_bytes; /* of all answers, the interim ones too */
	int answers;       /* status lines seen */
	int sent;          /* times that the request was about to be sent */
	const char *wrong; /* why we gave the answer up; null: we did not */
	bool too_large;
	char forbidden[INET6_ADDRSTRLEN]; /* the last address that the guard refused */
	char error[CURL_ERROR_SIZE];
	call_fn *fn;
	void *arg;
};
#define CALL_MAGIC 0x63616c6cu

/* --- call.c --- */
void call_finish(struct call *c, CURLcode code); /* calls back and frees */

/* --- call_loop.c --- */
void call_loop_open(struct call_client *k);
void call_loop_close(struct call_client *k);

/* --- call_end.c --- */
void call_judge(struct call *c, CURLcode code, struct call_answer *a);

/* --- call_url.c --- */
struct span call_url_host(const char *url); /* as written, without brackets and without a dot at its end */

/* --- call_guard.c --- */

/* Addresses of both families in one form: those of IPv4 are ::ffff:a.b.c.d. */
struct call_net {
	uint8_t b[16];
	int bits;
};
bool call_net_parse(const char *text, struct call_net *net_r) MUSTCHECK; /* "10.0.0.0/8", "fd00::/8", "127.0.0.1" */

/* --- call_sign.c --- */
#define CALL_SECRET_MIN 24 /* bytes, of Standard Webhooks */
#define CALL_SECRET_MAX 64
/* The bytes of "whsec_..."; 0: it is not one. */
size_t call_secret_bytes(const char *secret, uint8_t bytes_r[CALL_SECRET_MAX]);

#endif
