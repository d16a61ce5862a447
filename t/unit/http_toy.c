/* http_toy.c - the edge with toy routes, for tests that speak to it over raw sockets: http_toy CONFIG [most descriptors].
 *
 * Prints "port N" when it listens.  SIGTERM drains; then it prints "drained" and how many requests it still holds, and exits.
 *
 *	GET /hello              answered at once
 *	GET|POST /mark          counts; a test that smuggles aims here
 *	GET /count              {"mark":N,"calls":N,"open":N,"held":N}
 *	POST /echo              JSON in, the same out
 *	POST /opt               JSON or nothing in
 *	PUT /raw                any body in, its length out
 *	POST /stream            the same in pieces: the answer is what came; ?early answers at the first piece, ?refuse before it
 *	POST /stream?pause      pauses after each piece until POST /resume
 *	GET|POST /hold          held until POST /release, which answers the youngest first
 *	GET /things/{id}/x/{n}  its parameters, and those of the query, as lines
 *	GET /big?n=BYTES        a long answer
 *	GET /flow?n=PIECES      an answer in pieces of 64 kB; ?cut breaks off in the middle, ?hold waits for POST /flow before each piece
 *	POST /flow              lets a flow go on, which a later turn answers
 *	GET /problem            all that a problem can say
 *	GET /old, POST /old/{id}/retry    the compatible surface
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "http/http.h"
#include "sys/loop.h"
#include "sys/sys.h"

#define HELD_MAX 1000

static struct toy {
	struct loop *loop;
	struct http_server *server;
	struct http_request *held[HELD_MAX];
	int nheld, marks, calls;
	struct http_request *paused;
	int cut;           /* streams that never were whole */
	int flows, pieces; /* open answers; pieces that were made */
	struct toy_flow *held_flow;
} toy;

static void
reply_text(struct http_request *r, struct buf *b)
{
	http_reply(r, 200, "text/plain", buf_span(b));
	buf_free(b);
}

static void
toy_hello(void *app UNUSED, struct http_request *r)
{
	toy.calls++;
	http_reply(r, 200, "text/plain", SPAN("hello\n"));
}

static void
toy_mark(void *app, struct http_request *r)
{
	toy.marks++;
	toy_hello(app, r);
}

static void
toy_count(void *app UNUSED, struct http_request *r)
{
	struct buf b = { 0 };

	buf_printf(&b,
	    "{\"mark\":%d,\"calls\":%d,\"open\":%d,\"held\":%d,\"cut\":%d,\"paused\":%d,\"flows\":%d,\"pieces\":%d,"
	    "\"held_flow\":%d}",
	    toy.marks, toy.calls, http_server_open(toy.server), toy.nheld, toy.cut, toy.paused != NULL, toy.flows,
	    toy.pieces, toy.held_flow != NULL);
	http_reply(r, 200, "application/json", buf_span(&b));
	buf_free(&b);
}

static void
toy_echo(void *app UNUSED, struct http_request *r)
{
	toy.calls++;
	http_reply(r, 202, "application/json", http_body(r));
}

static void
toy_raw(void *app UNUSED, struct http_request *r)
{
	struct buf b = { 0 };

	toy.calls++;
	buf_printf(&b, "%zu\n", http_body(r).len);
	reply_text(r, &b);
}

struct toy_stream {
	struct http_request *r;
	struct buf got;
};

static void
stream_answer(struct toy_stream *s, int status)
{
	if (toy.paused == s->r)
		toy.paused = NULL;
	http_reply(s->r, status, "text/plain", buf_span(&s->got));
	buf_free(&s->got);
	mem_free(&s);
}

static void
stream_data(void *arg, struct span piece)
{
	struct toy_stream *s = arg;
	struct span how = http_query(s->r);

	buf_putspan(&s->got, piece);
	if (span_is(how, "early")) {
		stream_answer(s, 200);
	} else if (span_is(how, "pause")) {
		http_stream_pause(s->r);
		toy.paused = s->r;
	}
}

static void
stream_end(void *arg, const struct http_bad *why)
{
	toy.cut += why != NULL;
	stream_answer(arg, why != NULL ? why->status : 200);
}

static void
toy_stream(void *app UNUSED, struct http_request *r)
{
	static const struct http_stream to = { stream_data, stream_end };
	struct toy_stream *s;

	toy.calls++;
	if (span_is(http_query(r), "refuse")) {
		http_reply(r, 429, "text/plain", SPAN("not you\n"));
		return;
	}
	s = mem_zalloc(sizeof(*s));
	s->r = r;
	http_stream(r, &to, s);
}

static void
toy_resume(void *app UNUSED, struct http_request *r)
{
	struct http_request *paused = toy.paused;

	toy.paused = NULL;
	if (paused != NULL)
		http_stream_resume(paused);
	http_reply(r, 204, NULL, (struct span){ 0 });
}

static void
toy_hold(void *app UNUSED, struct http_request *r)
{
	ASSERT(toy.nheld < HELD_MAX);
	toy.calls++;
	toy.held[toy.nheld++] = r;
}

static void
toy_release(void *app UNUSED, struct http_request *r)
{
	struct buf b = { 0 };
	struct span q;

	while (toy.nheld > 0) {
		struct http_request *h = toy.held[--toy.nheld];

		q = http_query(h);
		buf_reset(&b);
		buf_printf(&b, "held %d %.*s\n", toy.nheld, (int)q.len, q.len != 0 ? q.ptr : "");
		buf_putspan(&b, http_body(h));
		http_reply(h, 200, "text/plain", buf_span(&b));
	}
	buf_free(&b);
	http_reply(r, 204, NULL, (struct span){ 0 });
}

static void
toy_things(void *app UNUSED, struct http_request *r)
{
	struct http_query q = http_query_begin(r);
	struct span name, value, id = http_param(r, "id"), n = http_param(r, "n");
	struct buf b = { 0 };

	buf_printf(&b, "id=%.*s n=%.*s\n", (int)id.len, id.ptr, (int)n.len, n.ptr);
	while (http_query_next(&q, &name, &value))
		buf_printf(&b, "%.*s -> %.*s\n", (int)name.len, name.ptr, (int)value.len, value.ptr);
	reply_text(r, &b);
}

static void
toy_big(void *app UNUSED, struct http_request *r)
{
	struct http_query q = http_query_begin(r);
	struct span name, value;
	struct buf b = { 0 };
	size_t n = 0;

	toy.calls++;
	if (http_query_next(&q, &name, &value))
		n = strtoul(arena_spandup(http_arena(r), value), NULL, 10);
	buf_reserve(&b, n + 1);
	memset(b.data, 'x', n);
	b.len = n;
	reply_text(r, &b);
}

/* --- an answer in pieces --- */

#define FLOW_PIECE 65536

struct toy_flow {
	struct http_request *r;
	int left;
	bool cut, hold;
} * held_flow;

static void
flow_end(struct toy_flow *f, bool whole)
{
	toy.flows--;
	http_reply_end(f->r, whole);
	if (toy.held_flow == f)
		toy.held_flow = NULL;
	mem_free(&f);
}

static void
flow_piece(struct toy_flow *f)
{
	static char piece[FLOW_PIECE];

	memset(piece, 'a' + f->left % 26, sizeof(piece));
	toy.pieces++;
	f->left--;
	if (!http_reply_piece(f->r, (struct span){ piece, sizeof(piece) }))
		flow_end(f, false);
}

static void
flow_more(void *arg, bool gone)
{
	struct toy_flow *f = arg;

	if (gone || f->left == 0)
		flow_end(f, !gone && !f->cut);
	else if (f->hold)
		toy.held_flow = f;
	else
		flow_piece(f);
}

static void
toy_flow(void *app UNUSED, struct http_request *r)
{
	static const struct http_flow flow = { flow_more };
	struct http_query q = http_query_begin(r);
	struct span name, value;
	struct toy_flow *f = mem_zalloc(sizeof(*f));

	f->r = r;
	while (http_query_next(&q, &name, &value)) {
		f->cut |= span_is(name, "cut");
		f->hold |= span_is(name, "hold");
		if (span_is(name, "n"))
			f->left = atoi(arena_spandup(http_arena(r), value));
	}
	toy.flows++;
	if (http_reply_begin(r, 200, "text/plain", &flow, f))
		return;
	toy.flows--;
	mem_free(&f);
}

static void
toy_flow_on(void *app UNUSED, struct http_request *r)
{
	struct toy_flow *f = toy.held_flow;

	toy.held_flow = NULL;
	if (f != NULL)
		flow_piece(f);
	http_reply(r, 204, NULL, (struct span){ 0 });
}

static void
toy_problem(void *app UNUSED, struct http_request *r)
{
	http_reply_header(r, "X-Toy", SPAN("yes"));
	http_reply_problem(r, &(struct http_problem){ .status = 503,
				  .code = "not_now_please",
				  .detail = "expected \"patience\"",
				  .pointer = "/a b/~1c",
				  .task_id = "42",
				  .retry_after = 7,
				  .outcome = "unknown" });
}

static const struct http_route routes[] = {
	{ "GET", "/hello", toy_hello, 0 },
	{ "GET", "/mark", toy_mark, 0 },
	{ "POST", "/mark", toy_mark, 0 },
	{ "GET", "/count", toy_count, 0 },
	{ "POST", "/echo", toy_echo, HTTP_ROUTE_JSON },
	{ "POST", "/v1/echo", toy_echo, HTTP_ROUTE_JSON },
	{ "POST", "/opt", toy_echo, HTTP_ROUTE_JSON_OPTIONAL },
	{ "PUT", "/raw", toy_raw, 0 },
	{ "POST", "/stream", toy_stream, HTTP_ROUTE_JSON | HTTP_ROUTE_NDJSON | HTTP_ROUTE_STREAM },
	{ "POST", "/resume", toy_resume, 0 },
	{ "GET", "/hold", toy_hold, 0 },
	{ "POST", "/hold", toy_hold, 0 },
	{ "POST", "/release", toy_release, 0 },
	{ "GET", "/things/{id}/x/{n}", toy_things, 0 },
	{ "GET", "/big", toy_big, 0 },
	{ "GET", "/flow", toy_flow, 0 },
	{ "POST", "/flow", toy_flow_on, 0 },
	{ "GET", "/problem", toy_problem, 0 },
	{ "GET", "/old", toy_hello, HTTP_ROUTE_COMPAT },
	{ "POST", "/old/{id}/retry", toy_hello, HTTP_ROUTE_COMPAT },
};

static void
on_drained(void *arg UNUSED)
{
	printf("drained %d\n", toy.nheld);
	loop_stop(toy.loop);
}

static void
on_term(void *arg UNUSED)
{
	http_server_drain(toy.server);
}

static int
toy_listen(void)
{
	struct sock_addr addr;
	int fd;

	ASSERT(sock_parse("127.0.0.1:0", &addr) == NULL);
	fd = sock_listen(&addr, 128);
	ASSERT(fd >= 0);
	return fd;
}

static void
limit_files(const char *text)
{
	struct rlimit l = { strtoul(text, NULL, 10), strtoul(text, NULL, 10) };

	MUST(setrlimit(RLIMIT_NOFILE, &l) == 0);
}

static void
toy_serve(const struct conf *conf, int fd)
{
	struct http_options o = { .conf = conf,
		.listeners = &fd,
		.nlisteners = 1,
		.routes = routes,
		.nroutes = ARRAY_LEN(routes),
		.drained = on_drained };

	o.loop = toy.loop = loop_new();
	toy.server = http_server_new(&o);
	loop_signal(toy.loop, SIGTERM, on_term, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("port %d\n", sock_port(fd));
	loop_run(toy.loop);
	http_server_free(&toy.server);
	while (toy.nheld > 0) /* whose clients are gone: answered all the same */
		http_reply(toy.held[--toy.nheld], 200, "text/plain", SPAN("late\n"));
	loop_free(&toy.loop);
}

int
main(int argc, char **argv)
{
	struct buf errors = { 0 };
	struct conf *conf;
	int fd;

	if (argc < 2) {
		fprintf(stderr, "usage: http_toy CONFIG [most descriptors]\n");
		return 64;
	}
	if ((conf = conf_load(argv[1], &errors)) == NULL) {
		fprintf(stderr, "%s", buf_cstr(&errors));
		return 78;
	}
	if (argc > 2)
		limit_files(argv[2]);
	fd = toy_listen();
	toy_serve(conf, fd);
	close(fd);
	conf_free(&conf);
	buf_free(&errors);
	return 0;
}
