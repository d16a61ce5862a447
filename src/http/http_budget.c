/* http_budget.c - what may be held at once, and who is turned away before his body is read.
 *
 * Every request with a body is counted from its head to the end of its answer: the bytes that Content-Length announces, or those of
 * chunks as they come, and REQUEST_COST for what goes with it.  What would pass limits.in_flight is 503 at its head.  One is always taken,
 * so that a limit below max_body slows down and never shuts out.
 *
 * Of a stream what may be on the way counts from its head on.  All streams together have STREAM_SHARE of the limit: some that never
 * go on must not keep single requests out.
 *
 * The memory that a rush needed goes back to the kernel when it is over.
 */
#include "base/clock.h"
#include "stats/stats.h"

#include "http/http_int.h"

#define REQUEST_COST 4096               /* head, arena, and its place with those who wait for the database */
#define STREAM_WINDOW (4 * 1024 * 1024) /* of a body that comes in pieces: items that are being decided */
#define STREAM_FACTOR 32                /* what an item needs beside its own bytes, when they are few */
#define STREAM_SHARE(limit) ((limit) / 4 * 3)
#define GATE_EARLY \
	(64 * 1024) /* a body that is no longer costs less than a new connection: it is read and thrown away */
#define RUSH (8 * 1024 * 1024)      /* that much was held */
#define TRIM_DELAY (500 * CLOCK_MS) /* after a rush */

static const struct http_bad overloaded = { 503, "overloaded",
	"this process holds as many bytes of requests as it may (limits.in_flight); nothing was stored" };

static bool
is_stream(const struct http_request *r)
{
	return (http_flags(r) & HTTP_ROUTE_STREAM) != 0;
}

/* --- what is held ------------------------------------------------------------------------------------------------------------ */

static void
trim(void *server)
{
	struct http_server *s = server;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	mem_trim();
}

void
http_budget_open(struct http_server *s)
{
	s->budget.trim = loop_timer_new(s->o.loop, trim, s);
}

void
http_budget_close(struct http_server *s)
{
	loop_timer_free(&s->budget.trim);
}

static bool
take(struct http_request *r, size_t bytes)
{
	struct http_budget *b = &r->s->budget;
	size_t limit = (size_t)r->s->o.conf->limits.in_flight;
	bool full = b->held != r->held && b->held + bytes > limit;

	if (is_stream(r) && b->streams != 0 && b->streams + bytes > STREAM_SHARE(limit))
		full = true;
	if (full) {
		stats_inc(S_REFUSED_IN_FLIGHT);
		return false;
	}
	r->held += bytes;
	b->held += bytes;
	if (is_stream(r))
		b->streams += bytes;
	if (b->held > b->most)
		b->most = b->held;
	stats_set(S_HTTP_HELD, (int64_t)b->held);
	return true;
}

static void
give_back(struct http_request *r, size_t keep)
{
	struct http_budget *b;

	if (r->held <= keep || r->s == NULL)
		return;
	b = &r->s->budget;
	ASSERT(b->held >= r->held);
	b->held -= r->held - keep;
	if (is_stream(r))
		b->streams -= r->held - keep;
	r->held = keep;
	stats_set(S_HTTP_HELD, (int64_t)b->held);
	if (b->most > RUSH && b->held < b->most / 4) {
		b->most = b->held;
		loop_timer_set(b->trim, TRIM_DELAY);
	}
}

void
http_budget_give(struct http_request *r)
{
	give_back(r, 0);
}

void
http_budget_dropped(struct http_request *r)
{
	give_back(r, REQUEST_COST);
}

/* --- at the head, and as chunks come ------------------------------------------------------------------------------------------- */

/* The application may turn the request away by its head.  Asked once. */
static bool
gate(struct http_request *r)
{
	const struct http_options *o = &r->s->o;

	if (r->gated || o->gate == NULL || (o->routes[r->route].flags & HTTP_ROUTE_GATED) == 0)
		return true;
	r->gated = true;
	return o->gate(o->app, r);
}

/* Never so much that it could only begin while nobody else sends anything. */
static size_t
stream_cost(const struct http_request *r)
{
	size_t cost = STREAM_WINDOW + r->s->max_body, most = (size_t)r->s->o.conf->limits.in_flight / 2;
	size_t length = r->frame.chunked ? SIZE_MAX / STREAM_FACTOR : (size_t)r->frame.content_length;

	if (length * STREAM_FACTOR < cost)
		cost = length * STREAM_FACTOR;
	return cost < most ? cost : most;
}

bool
http_budget_head(struct http_request *r)
{
	bool stream = is_stream(r), chunked = r->frame.chunked;
	int64_t length = r->frame.content_length;

	if (!http_request_has_body(r))
		return true;
	if (!take(r, REQUEST_COST + (stream ? stream_cost(r) : chunked ? 0 : (size_t)length))) {
		http_reply_bad(r, &overloaded);
		return false;
	}
	return (!stream && !chunked && !r->frame.expects && length <= GATE_EARLY) || gate(r);
}

bool
http_budget_whole(struct http_request *r)
{
	return gate(r);
}

const struct http_bad *
http_budget_grew(struct http_request *r)
{
	size_t want = REQUEST_COST + r->body.len;

	if (!r->frame.chunked || want <= r->held || take(r, want - r->held))
		return NULL;
	return &overloaded;
}
