/* cache.c - who is asked, what is believed, and when Redis is left alone.
 *
 * A question has a budget, redis.timeout: when it passes the asker is told a miss, and the reply that comes late is dropped.  Five that
 * fail in a row, a line that breaks, a second without a reply, or replies that do not belong to their commands open the breaker
 * (cache_breaker.c): nobody is asked until a probe came back.  A value that is not believed is counted as refused, and a PING
 * with a token goes out: when something else than the token comes back, the replies are out of step and the line is given up.
 * What is on the way is bounded in number, and puts in bytes too: beyond that a question is a miss and a put is dropped.
 *
 * Logs what keeps Redis from being used, and that it is used again.  Next: cache_line.c, cache_value.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "log/log.h"
#include "stats/stats.h"

#include "cache/cache_int.h"

#define CACHE_MAGIC 0xcac4e000u
#define ASK_MAGIC 0xcac4ea5cu
#define ASKS_MAX 1024                  /* questions on the way, the late ones too */
#define UNSENT_MAX (1 << 20)           /* bytes that Redis does not take: then puts are dropped */
#define SILENCE_MAX (1 * CLOCK_SECOND) /* for any command: then the line is given up */
#define MARGIN (1 * CLOCK_SECOND)      /* our idea of the database's clock may be off: expired so much earlier here */
#define SAY_EVERY (1 * CLOCK_SECOND)

struct cache {
	unsigned magic;
	struct cache_options o;
	struct line *line;
	struct breaker breaker;
	struct loop_timer *retry_timer;
	struct loop_timer *ask_timer;
	struct list asks; /* not told yet, the oldest first */
	int nasks;        /* on the way */
	bool known;       /* the epoch is */
	struct cache_epoch epoch;
	unsigned epoch_number;
	char prefix[CACHE_PREFIX_MAX];
	bool stepping; /* a PING is on the way that tells whether replies are in step */
	uint32_t steps;
	char token[24];
	int64_t said_refused, said_failed;
};

struct ask {
	unsigned magic;
	struct list node;
	struct cache *cache;
	struct id digest;
	unsigned epoch_number;
	cache_fn *fn; /* null: told already */
	void *arg;
	int64_t asked_at;
};

/* --- trouble ---------------------------------------------------------------------------------------------------------------- */

static bool
may_say(int64_t *said_at)
{
	int64_t now = clock_now();

	if (*said_at != 0 && now - *said_at < SAY_EVERY)
		return false;
	*said_at = now;
	return true;
}

static void
show_state(const struct cache *c)
{
	stats_set(S_CACHE_CONNECTED, line_is_up(c->line));
	stats_set(S_CACHE_BREAKER, c->breaker.state != BREAKER_CLOSED);
}

/* Redis is left alone for a while.  Spread out, so that processes do not come back together. */
static void
stay_away(struct cache *c, const char *why)
{
	int64_t delay = breaker_open(&c->breaker);

	loop_timer_set(c->retry_timer, delay + (int64_t)((double)delay / 4 * drand48()));
	log_warning("redis is not used", log_str("error", why), log_seconds("retry_in", delay));
	show_state(c);
}

static void
give_up(struct cache *c, const char *why)
{
	if (c->breaker.state == BREAKER_OPEN)
		return;
	stay_away(c, why); /* before those who wait are told, so that nobody asks meanwhile */
	line_close(c->line);
	show_state(c);
}

static void
failed(struct cache *c, const char *why)
{
	if (breaker_failed(&c->breaker) && c->breaker.state == BREAKER_CLOSED)
		give_up(c, why);
}

static void
on_lost(void *arg, const char *why)
{
	struct cache *c = arg;

	MAGIC_CHECK(c, CACHE_MAGIC);
	stay_away(c, why);
}

static void
on_up(void *arg)
{
	struct cache *c = arg;

	MAGIC_CHECK(c, CACHE_MAGIC);
	breaker_close(&c->breaker);
	log_info("redis is used", log_str("address", c->o.conf->redis.address));
	show_state(c);
}

static void
on_retry(void *arg)
{
	struct cache *c = arg;

	MAGIC_CHECK(c, CACHE_MAGIC);
	breaker_half(&c->breaker);
	line_connect(c->line);
}

/* --- are replies in step? ------------------------------------------------------------------------------------------------------- */

static void
on_step(void *arg, const struct line_reply *reply)
{
	struct cache *c = arg;

	MAGIC_CHECK(c, CACHE_MAGIC);
	c->stepping = false;
	if (reply != NULL && (reply->kind != LINE_TEXT || !span_is(reply->text, c->token)))
		give_up(c, "its replies are out of step");
}

static void
check_step(struct cache *c)
{
	struct span words[] = { SPAN("PING"), { c->token, 0 } };

	if (c->stepping || !line_is_up(c->line))
		return;
	words[1].len = (size_t)snprintf(c->token, sizeof(c->token), "step-%u-%08lx", ++c->steps, lrand48());
	c->stepping = line_send(c->line, words, 2, on_step, c);
}

/* --- questions --------------------------------------------------------------------------------------------------------------------- */

/* Once; who was told in time already is not told again. */
static void
tell(struct ask *a, enum stats_counter result, const struct cache_answer *hit)
{
	cache_fn *fn = a->fn;

	if (fn == NULL)
		return;
	a->fn = NULL;
	list_remove(&a->node);
	stats_inc(result);
	stats_observe(H_CACHE_SECONDS, (double)(clock_now() - a->asked_at) / 1e6);
	fn(a->arg, hit);
}

static void
wake_for_oldest(struct cache *c, int64_t now)
{
	struct list *first = list_first(&c->asks);
	int64_t due;

	if (first == NULL)
		return;
	due = container_of(first, struct ask, node)->asked_at + c->o.conf->redis.timeout;
	loop_timer_set(c->ask_timer, due > now ? due - now : 0);
}

static void
on_late(void *arg)
{
	struct cache *c = arg;
	int64_t now = clock_now();
	struct list *first;
	bool any = false;

	MAGIC_CHECK(c, CACHE_MAGIC);
	while ((first = list_first(&c->asks)) != NULL) {
		struct ask *a = container_of(first, struct ask, node);

		if (a->asked_at + c->o.conf->redis.timeout > now)
			break;
		any = true;
		tell(a, S_CACHE_TIMEOUT, NULL);
		failed(c, "no answers within redis.timeout"); /* may free `a` */
	}
	if (any)
		check_step(c);
	wake_for_oldest(c, now);
}

static void
refuse(struct cache *c, struct ask *a)
{
	if (may_say(&c->said_refused))
		log_warning("redis gave a value that is not ours for this key, it is ignored");
	tell(a, S_CACHE_REFUSED, NULL);
	check_step(c);
}

static void
take_value(struct cache *c, struct ask *a, struct span value)
{
	struct cache_answer hit;

	if (!c->known || a->epoch_number != c->epoch_number) {
		tell(a, S_CACHE_MISS, NULL); /* asked in another epoch */
		return;
	}
	if (value.len > (size_t)c->o.conf->redis.value_max || !cache_value_unpack(value, &c->epoch, &a->digest, &hit)) {
		refuse(c, a);
		return;
	}
	if (hit.expires_at - MARGIN <= c->o.now(c->o.arg))
		tell(a, S_CACHE_REFUSED, NULL);
	else
		tell(a, S_CACHE_HIT, &hit);
}

static void
take_error(struct cache *c, struct ask *a, struct span text)
{
	if (may_say(&c->said_failed))
		log_warning("redis answered with an error", log_span("error", text));
	tell(a, S_CACHE_ERROR, NULL);
	failed(c, "it answers with errors");
}

static void
on_value(void *arg, const struct line_reply *reply)
{
	struct ask *a = arg;
	struct cache *c;

	MAGIC_CHECK(a, ASK_MAGIC);
	c = a->cache;
	c->nasks--;
	if (reply != NULL && a->fn != NULL && (reply->kind == LINE_NIL || reply->kind == LINE_TEXT))
		breaker_good(&c->breaker);
	if (reply == NULL) {
		tell(a, S_CACHE_ERROR, NULL);
	} else if (reply->kind == LINE_NIL) {
		tell(a, S_CACHE_MISS, NULL);
	} else if (reply->kind == LINE_TEXT) {
		if (a->fn != NULL)
			take_value(c, a, reply->text);
	} else if (reply->kind == LINE_ERROR) {
		take_error(c, a, reply->text);
	} else {
		tell(a, S_CACHE_ERROR, NULL);
		give_up(c, "its replies are out of step");
	}
	a->magic = 0;
	mem_free(&a);
}

/* Epoch known, line greeted, and Redis keeps up. */
static bool
may_use(struct cache *c)
{
	int64_t since = line_waiting_since(c->line);

	if (!c->known || c->breaker.state != BREAKER_CLOSED)
		return false;
	if (since == 0 || clock_now() - since < SILENCE_MAX)
		return true;
	give_up(c, "no reply within a second");
	return false;
}

bool
cache_get(struct cache *c, const struct id *digest, cache_fn *fn, void *arg)
{
	char name[CACHE_NAME_MAX];
	struct span words[] = { SPAN("GET"), cache_value_name(name, c->prefix, digest) };
	struct ask *a;

	if (!may_use(c) || c->nasks >= ASKS_MAX) {
		stats_inc(S_CACHE_BYPASSED);
		return false;
	}
	a = mem_zalloc(sizeof(*a));
	if (!line_send(c->line, words, 2, on_value, a)) {
		stats_inc(S_CACHE_BYPASSED);
		mem_free(&a);
		return false;
	}
	*a = (struct ask){ .magic = ASK_MAGIC,
		.cache = c,
		.digest = *digest,
		.epoch_number = c->epoch_number,
		.fn = fn,
		.arg = arg,
		.asked_at = clock_now() };
	c->nasks++;
	list_push(&c->asks, &a->node);
	if (!loop_timer_is_set(c->ask_timer))
		wake_for_oldest(c, a->asked_at);
	return true;
}

/* --- puts ------------------------------------------------------------------------------------------------------------------------------ */

static void
on_stored(void *arg, const struct line_reply *reply)
{
	struct cache *c = arg;

	MAGIC_CHECK(c, CACHE_MAGIC);
	if (reply != NULL && reply->kind == LINE_STATUS) {
		stats_inc(S_CACHE_PUT);
		return;
	}
	stats_inc(S_CACHE_PUT_FAILED);
	if (reply == NULL)
		return;
	if (reply->kind != LINE_ERROR)
		give_up(c, "its replies are out of step");
	else if (may_say(&c->said_failed))
		log_warning("redis did not take an answer", log_span("error", reply->text));
}

static bool
put(struct cache *c, const struct id *digest, const struct cache_answer *a, int64_t ttl)
{
	char name[CACHE_NAME_MAX], ms[24];
	struct span words[] = { SPAN("SET"), cache_value_name(name, c->prefix, digest), { 0 }, SPAN("PX"), { ms, 0 } };
	struct buf value = { 0 };
	bool sent;

	if (!may_use(c) || line_unsent(c->line) >= UNSENT_MAX)
		return false;
	cache_value_pack(&value, &c->epoch, digest, a);
	words[2] = buf_span(&value);
	words[4].len = (size_t)snprintf(ms, sizeof(ms), "%lld", (long long)(ttl / CLOCK_MS));
	sent = value.len <= (size_t)c->o.conf->redis.value_max && line_send(c->line, words, 5, on_stored, c);
	buf_free(&value);
	return sent;
}

void
cache_put(struct cache *c, const struct id *digest, const struct cache_answer *a)
{
	int64_t ttl = a->expires_at - MARGIN - c->o.now(c->o.arg);

	if (ttl > c->o.conf->redis.ttl_max)
		ttl = c->o.conf->redis.ttl_max;
	if (ttl < CLOCK_MS || !put(c, digest, a, ttl))
		stats_inc(S_CACHE_PUT_DROPPED);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------- */

void
cache_epoch(struct cache *c, const struct cache_epoch *e)
{
	c->known = e != NULL;
	if (!c->known || (c->prefix[0] != '\0' && memcmp(e, &c->epoch, sizeof(*e)) == 0))
		return;
	c->epoch = *e;
	c->epoch_number++;
	cache_value_prefix(c->prefix, e);
	log_debug("answers are cached for", log_str("prefix", c->prefix));
}

struct cache *
cache_open(const struct cache_options *o)
{
	struct cache *c;
	struct line_options line = { .loop = o->loop, .conf = o->conf, .up = on_up, .lost = on_lost };

	if (strcmp(o->conf->redis.address, "off") == 0)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->magic = CACHE_MAGIC;
	c->o = *o;
	list_init(&c->asks);
	c->retry_timer = loop_timer_new(o->loop, on_retry, c);
	c->ask_timer = loop_timer_new(o->loop, on_late, c);
	line.arg = c;
	c->line = line_new(&line);
	c->breaker.state = BREAKER_OPEN;
	show_state(c);
	loop_timer_set(c->retry_timer, 0);
	return c;
}

void
cache_close(struct cache **c)
{
	if (*c == NULL)
		return;
	MAGIC_CHECK(*c, CACHE_MAGIC);
	(*c)->known = false; /* what is told a miss asks no more */
	line_free(&(*c)->line);
	ASSERT(list_empty(&(*c)->asks) && (*c)->nasks == 0);
	loop_timer_free(&(*c)->retry_timer);
	loop_timer_free(&(*c)->ask_timer);
	(*c)->magic = 0;
	mem_free(c);
}
