/* store_health.c - what must hold of a server that answers before this node is called ready, looked at again and again.
 *
 * A connection may last for weeks, and what was true when it was greeted may not be: settings are reloaded, clocks are set, a newer
 * program migrates the schema, the keeper that makes partitions is stopped.  The first three functions judge and do nothing
 * else.  A worker has no such look, and learns the clock by its heartbeats; a keeper needs neither, for the statements of its duties
 * ask the server's clock.  Logs a clock that was set; store_learned() tells the rest.  Next: store_hello.c.
 */
#include <stdio.h>

#include "log/log.h"

#include "store/store_int.h"

#define HEALTH_MAGIC 0x5c0a4ea1U
#define LOOK_EVERY (30 * CLOCK_SECOND)
#define LOOK_AGAIN CLOCK_SECOND /* something is wrong */
#define DRIFT_MAX CLOCK_SECOND
#define PRECISE (50 * CLOCK_MS) /* a slow answer tells less of the clock than is known */
#define DAYS_AHEAD 7            /* a week of holidays without a keeper */

struct health {
	unsigned magic;
	struct store *store;
	struct loop_timer *timer;
};

const char *
health_lie(const struct store_server *v)
{
	if (!v->fsync)
		return "postgres runs with fsync = off";
	if (!v->full_page_writes)
		return "postgres runs with full_page_writes = off";
	if (!v->synchronous_commit)
		return "postgres runs with synchronous_commit = off";
	return NULL;
}

bool
health_clock_moved(const struct store_server *old, const struct store_server *now)
{
	int64_t by = now->clock - old->clock;

	return (by < 0 ? -by : by) > DRIFT_MAX + old->clock_within + now->clock_within;
}

const char *
health_trouble(const struct store_server *v, bool steady, char *why, size_t size)
{
	if (v->schema != SQL_SCHEMA_VERSION)
		snprintf(why, size, "schema is version %d, this program needs %d", v->schema, SQL_SCHEMA_VERSION);
	else if (v->days_ahead < DAYS_AHEAD)
		snprintf(why, size, "partitions are ready for %d days ahead, expected %d", v->days_ahead, DAYS_AHEAD);
	else if (!steady)
		snprintf(why, size, "the clock of postgres moved by more than a second");
	else
		return NULL;
	return why;
}

/* --- looking --------------------------------------------------------------------------------------------------------- */

static void
look_later(struct health *h)
{
	loop_timer_set(h->timer, store_not_ready(h->store) == NULL ? LOOK_EVERY : LOOK_AGAIN);
}

/* A slow answer tells less than is known, unless the clock was set. */
static bool
tells_more(const struct store_server *old, const struct store_server *v)
{
	return v->clock_within <= PRECISE || health_clock_moved(old, v);
}

/* Who cannot be asked is told by the connections. */
static void
on_look(struct request *r)
{
	struct health *h = r->arg;
	const struct store_server *old = &h->store->server;
	struct hello_time when = { r->queued_at, clock_now() };
	struct store_server v = *old;

	MAGIC_CHECK(h, HEALTH_MAGIC);
	if (r->status == STORE_OK) {
		hello_take_again(r, &v, &when);
		if (!tells_more(old, &v)) {
			v.clock = old->clock;
			v.clock_within = old->clock_within;
		}
		store_learned(h->store, &v);
	} else if (r->status == STORE_REFUSED) {
		h->store->server.epoch.system = 0; /* not permitted any more? */
	}
	if (!pool_closing(r->pool))
		look_later(h);
	request_free(&r);
}

void
health_clock_told(struct store *s, int64_t clock, const struct hello_time *when)
{
	struct store_server v = s->server;

	if (s->health != NULL || v.version == 0) /* a look judges by what it found the last time */
		return;
	hello_clock(&v, clock, when);
	if (!tells_more(&s->server, &v))
		return;
	if (health_clock_moved(&s->server, &v))
		log_warning("the clock of postgres moved against ours", log_seconds("by", v.clock - s->server.clock));
	s->server.clock = v.clock;
	s->server.clock_within = v.clock_within;
}

static void
look(void *arg)
{
	struct health *h = arg;
	struct request *r;

	MAGIC_CHECK(h, HEALTH_MAGIC);
	if (h->store->nready == 0) {
		look_later(h);
		return;
	}
	r = read_request(h->store, on_look, h);
	hello_ask_again(r, h->store);
	request_send(store_any_pool(h->store), r);
}

struct health *
health_new(struct store *s)
{
	struct health *h = mem_zalloc(sizeof(*h));

	h->magic = HEALTH_MAGIC;
	h->store = s;
	h->timer = loop_timer_new(s->o.loop, look, h);
	loop_timer_set(h->timer, LOOK_AGAIN);
	return h;
}

void
health_free(struct health **h)
{
	if (*h == NULL)
		return;
	loop_timer_free(&(*h)->timer);
	(*h)->magic = 0;
	mem_free(h);
}
