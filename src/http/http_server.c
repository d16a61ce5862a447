/* http_server.c - its beginning, its limits, its drain.
 *
 * Read next: http_conn.c.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"

#include "http/http_int.h"

#define LINGER_TIME (2 * CLOCK_SECOND)
#define FIRST_TIME CLOCK_SECOND

static void
flush_touched(void *server)
{
	struct http_server *s = server;
	struct list *node;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	while ((node = list_first(&s->touched)) != NULL) {
		list_remove(node);
		http_conn_settle(container_of(node, struct http_conn, touched));
	}
}

static void
say_drained(void *server)
{
	struct http_server *s = server;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	if (s->o.drained != NULL)
		s->o.drained(s->o.arg);
}

void
http_server_conn_gone(struct http_server *s)
{
	http_accept_count(s, -1);
	if (s->draining && s->nconns == 0)
		loop_timer_set(s->drained, 0);
}

/* Limits and deadlines. */
static void
configure(struct http_server *s, const struct conf *conf)
{
	const struct conf_http *h = &conf->http;

	s->o.conf = conf;
	s->limits = (struct http_limits){ (size_t)h->max_target, (size_t)h->max_head, h->max_headers };
	s->max_body = (size_t)h->max_body;
	s->max_batch = (size_t)h->max_batch;
	s->batch_time = h->batch_timeout;
	s->wait_us[HTTP_WAIT_IDLE] = h->idle_timeout;
	s->wait_us[HTTP_WAIT_FIRST] = FIRST_TIME;
	s->wait_us[HTTP_WAIT_HEAD] = h->head_timeout;
	s->wait_us[HTTP_WAIT_BODY] = h->body_timeout;
	s->wait_us[HTTP_WAIT_STREAM] = h->body_timeout;
	s->wait_us[HTTP_WAIT_WRITE] = h->write_timeout;
	s->wait_us[HTTP_WAIT_LINGER] = LINGER_TIME;
	http_accept_update(s);
}

static void
read_routes(struct http_server *s)
{
	int i;

	s->methods = mem_zalloc((size_t)s->o.nroutes * sizeof(*s->methods));
	for (i = 0; i < s->o.nroutes; i++) {
		s->methods[i] = http_method_of(span_of(s->o.routes[i].method));
		ASSERT(s->methods[i] != HTTP_OTHER && s->methods[i] != HTTP_HEAD);
	}
}

struct http_server *
http_server_new(const struct http_options *o)
{
	struct http_server *s = mem_zalloc(sizeof(*s));
	int i;

	s->magic = HTTP_SERVER_MAGIC;
	s->o = *o;
	for (i = 0; i < HTTP_WAITS; i++)
		list_init(&s->waits[i]);
	list_init(&s->conns);
	list_init(&s->touched);
	list_init(&s->orphans);
	list_init(&s->pool);
	s->clock = loop_timer_new(o->loop, http_wait_sweep, s);
	s->pause = loop_timer_new(o->loop, http_accept_resume, s);
	s->flush = loop_timer_new(o->loop, flush_touched, s);
	s->drained = loop_timer_new(o->loop, say_drained, s);
	http_budget_open(s);
	s->scratch = mem_alloc(HTTP_SCRATCH);
	read_routes(s);
	s->listeners = mem_zalloc((size_t)o->nlisteners * sizeof(struct loop_fd *) + 1);
	for (i = 0; i < o->nlisteners; i++)
		s->listeners[i] = loop_fd_new(o->loop, o->listeners[i], 0, http_accept_event, s);
	configure(s, o->conf);
	return s;
}

static void
listeners_free(struct http_server *s)
{
	int i;

	for (i = 0; s->listeners != NULL && i < s->o.nlisteners; i++)
		loop_fd_free(&s->listeners[i]);
	mem_free(&s->listeners);
	s->listening = false;
}

void
http_server_drain(struct http_server *s)
{
	struct list *node, *next;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	if (s->draining)
		return;
	s->draining = true;
	listeners_free(s);
	http_accept_count(s, 0); /* it takes none any more */
	loop_timer_clear(s->pause);
	if (s->nconns == 0)
		loop_timer_set(s->drained, 0);
	LIST_FOREACH_SAFE (node, next, &s->conns)
		http_conn_drain(container_of(node, struct http_conn, node));
}

static void
pool_free(struct http_server *s)
{
	struct list *node;

	while ((node = list_first(&s->pool)) != NULL) {
		list_remove(node);
		http_request_free(container_of(node, struct http_request, node));
	}
	s->pooled = 0;
}

void
http_server_rest(struct http_server *s)
{
	struct list *node, *next;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	pool_free(s);
	LIST_FOREACH_SAFE (node, next, &s->conns)
		http_conn_rest(container_of(node, struct http_conn, node));
}

int
http_server_open(const struct http_server *s)
{
	return s->nconns;
}

void
http_server_free(struct http_server **sp)
{
	struct http_server *s = *sp;
	struct list *node;

	if (s == NULL)
		return;
	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	listeners_free(s);
	while ((node = list_first(&s->conns)) != NULL)
		http_conn_close(container_of(node, struct http_conn, node));
	while ((node = list_first(&s->orphans)) != NULL) {
		list_remove(node);
		container_of(node, struct http_request, node)->s = NULL;
	}
	pool_free(s);
	loop_timer_free(&s->clock);
	loop_timer_free(&s->pause);
	loop_timer_free(&s->flush);
	loop_timer_free(&s->drained);
	http_budget_close(s);
	mem_free(&s->scratch);
	mem_free(&s->methods);
	s->magic = 0;
	mem_free(sp);
}
