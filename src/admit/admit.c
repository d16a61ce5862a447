/* admit.c - request -> verdict: check; what this node remembers, what the cache knows, what the store, say what became of it.
 *
 * The answer that a key keeps is rendered here, for a new task and for a replay by the same code from the same row: that is why they
 * are the same bytes.  A store that is away is waited for a moment only: the client has a key and may ask again.
 *
 * Logs a task that was stored and a replay at debug, what the store could not do at warning.  Next: admit_check.c, store/store_submit.c.
 */
#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"

#include "admit/admit_int.h"

#define ADMISSION_MAGIC 0x41646d31u
#define SPARE_MAX (64 * 1024)            /* memory for answers that is kept */
#define AWAY_PATIENCE (2 * CLOCK_SECOND) /* for a database that is away when the request comes */

struct admission {
	unsigned magic;
	struct admit *admit;
	struct admit_checked checked;
	struct store_submission in;
	bool keyed;       /* its answer may be remembered: it has a key and an answer of its own */
	struct id digest; /* of the key, when keyed */
	struct span request_id;
	bool item;
	bool entered; /* it counts as one that waits in its queue */
	struct ration_place place;
	admit_fn *fn;
	void *arg;
};

static void
count(const struct task_request *r, enum store_verdict verdict)
{
	static const enum stats_counter counters[] = {
		[STORE_ACCEPTED] = S_KEY_NEW,
		[STORE_REPLAYED] = S_KEY_REPLAY,
		[STORE_MISMATCH] = S_KEY_MISMATCH,
		[STORE_BUSY] = S_KEY_BUSY,
		[STORE_NOT_UNIQUE] = S_UNIQUE_HELD,
		[STORE_UNSTORABLE] = S_UNSTORABLE,
	};

	stats_inc(counters[verdict]);
	if (verdict == STORE_ACCEPTED && r->unique.name.len > 0)
		stats_inc(S_UNIQUE_STORED);
	if (verdict == STORE_ACCEPTED)
		stats_submitted(stats_series(r->queue, r->task_type), 1);
}

static void
say(const struct admission *a, const struct store_submitted *s)
{
	static const char *const words[] = {
		[STORE_ACCEPTED] = "task stored",
		[STORE_REPLAYED] = "key replayed",
		[STORE_MISMATCH] = "key used with another body",
		[STORE_BUSY] = "key in flight elsewhere",
		[STORE_NOT_UNIQUE] = "unique name held by another task",
		[STORE_UNSTORABLE] = "task refused by the database",
	};
	const struct task_request *r = &a->checked.request;
	const struct id *id = &s->row.id;

	if (log_level() > LOG_LEVEL_DEBUG)
		return;
	if (s->verdict == STORE_BUSY || s->verdict == STORE_UNSTORABLE)
		log_debug(words[s->verdict], log_span("request_id", a->request_id));
	else
		log_debug(words[s->verdict], log_id("task_id", id), log_span("task_type", r->task_type),
		    log_span("queue", r->queue), log_span("trace_id", s->row.trace_id),
		    log_span("request_id", a->request_id));
}

/* The store could not.  Nothing is the matter with the request. */
static void
answer_later(struct admission *a, const struct store_submitted *s)
{
	struct admit_answer answer = {
		.verdict = ADMIT_LATER,
		.outcome_unknown = s->status == STORE_UNSURE,
		.why = s->why,
	};

	if (a->item)
		; /* one line for all of them, later */
	else if (answer.outcome_unknown)
		log_warning("submission may or may not be stored", log_str("error", s->why),
		    log_span("request_id", a->request_id));
	else
		log_warning(
		    "could not store a submission", log_str("error", s->why), log_span("request_id", a->request_id));
	a->fn(a->arg, &answer);
}

static void
answer_kept(struct admission *a, const struct store_submitted *s, struct span body)
{
	struct admit_answer answer = {
		.verdict = s->verdict == STORE_ACCEPTED ? ADMIT_ACCEPT : ADMIT_REPLAY,
		.row = &s->row,
		.surface = s->surface,
		.expires_at = s->expires_at,
		.body = body,
	};

	a->fn(a->arg, &answer);
}

static void
answer_refused(struct admission *a, const struct store_submitted *s)
{
	static const enum admit_verdict verdicts[] = {
		[STORE_MISMATCH] = ADMIT_CONFLICT,
		[STORE_BUSY] = ADMIT_BUSY,
		[STORE_NOT_UNIQUE] = ADMIT_NOT_UNIQUE,
		[STORE_UNSTORABLE] = ADMIT_UNSTORABLE,
	};
	struct admit_answer answer = {
		.verdict = verdicts[s->verdict],
		.row = &s->row,
		.expires_at = s->expires_at,
		.hold = s->hold,
		.held_until = s->held_until,
	};

	a->fn(a->arg, &answer);
}

/* The key is not one of those that were stored already, and no more may be. */
static void
answer_full(struct admission *a)
{
	struct admit_answer answer = {
		.verdict = ADMIT_FULL,
		.queue = a->checked.request.queue,
		.waits = a->place.waits,
		.most = a->admit->conf->limits.queue_depth,
	};

	stats_inc(S_REFUSED_FULL);
	a->fn(a->arg, &answer);
}

/* What may have been stored counts. */
static void
settle_queue(struct admission *a, const struct store_submitted *s)
{
	bool stored = s->status == STORE_OK ? s->verdict == STORE_ACCEPTED : s->status == STORE_UNSURE;

	if (a->entered)
		admit_queue_settle(a->admit, &a->checked.request, &a->place, stored);
	a->entered = false;
}

static void
answer_invalid(const struct admit_checked *c, admit_fn *fn, void *arg)
{
	struct admit_answer answer = { .verdict = ADMIT_INVALID, .problem = &c->problem, .bad_key = c->bad_key };

	fn(arg, &answer);
}

/* The memory of an answer serves the next one; an answer that is being given may lead to another, which then has its own. */
static struct buf
text_take(struct admit *admit)
{
	struct buf b = admit->spare;

	admit->spare = (struct buf){ 0 };
	buf_reset(&b);
	return b;
}

static void
text_give(struct admit *admit, struct buf *b)
{
	if (admit->spare.data != NULL || b->cap > SPARE_MAX) {
		buf_free(b);
		return;
	}
	admit->spare = *b;
	*b = (struct buf){ 0 };
}

static bool
is_kept(const struct store_submitted *s)
{
	return s->verdict == STORE_ACCEPTED || s->verdict == STORE_REPLAYED;
}

/* The verdict is known, wherever it comes from. */
static void
conclude(struct admission *a, const struct store_submitted *s, struct span body)
{
	count(&a->checked.request, s->verdict);
	say(a, s);
	if (is_kept(s))
		answer_kept(a, s, body);
	else
		answer_refused(a, s);
}

static void
remember(struct admission *a, const struct store_submitted *s, struct span body)
{
	if (!a->keyed || !is_kept(s))
		return;
	admit_recent_keep(a->admit, &a->digest, a->checked.request.fingerprint, s);
	admit_cache_put(a->admit, &a->digest, a->checked.request.fingerprint, s, body);
}

static void
on_submitted(void *arg, const struct store_submitted *s)
{
	struct admission *a = arg;
	struct admit *admit;
	struct buf body;

	MAGIC_CHECK(a, ADMISSION_MAGIC);
	admit = a->admit;
	admit->waiting--;
	settle_queue(a, s);
	if (s->status != STORE_OK) {
		answer_later(a, s);
		return;
	}
	if (s->verdict == STORE_UNKNOWN && a->checked.misfit) {
		answer_invalid(&a->checked, a->fn, a->arg);
		return;
	}
	if (s->verdict == STORE_UNKNOWN) {
		answer_full(a);
		return;
	}
	body = text_take(admit);
	if (is_kept(s) && !a->item)
		task_render(&body, &s->row, s->surface, s->version, true);
	remember(a, s, buf_span(&body));
	conclude(a, s, buf_span(&body));
	text_give(admit, &body);
}

/* A store that is away is waited for a moment only. */
static void
ask_store(struct admission *a)
{
	int64_t patience = clock_now() + AWAY_PATIENCE;

	if (store_not_ready(a->admit->store) != NULL && a->in.deadline > patience)
		a->in.deadline = patience;
	a->admit->waiting++;
	a->entered = !a->checked.misfit && admit_queue_enter(a->admit, a->in.request, &a->place);
	if (a->entered)
		store_submit(a->admit->store, &a->in, on_submitted, a);
	else
		store_known(a->admit->store, &a->in, on_submitted, a);
}

/* What the store would say of this key, if the cache knows. */
static void
on_cached(void *arg, const struct cache_answer *hit)
{
	struct admission *a = arg;
	struct store_submitted s = { .status = STORE_OK, .verdict = STORE_REPLAYED };

	MAGIC_CHECK(a, ADMISSION_MAGIC);
	admit_cache_learn(a->admit, hit != NULL);
	if (hit == NULL || !admit_cache_believes(a->admit)) {
		ask_store(a);
		return;
	}
	s.row.id = hit->id;
	s.row.created_at = hit->created_at;
	s.surface = (enum task_surface)hit->surface;
	s.version = hit->version;
	s.expires_at = hit->expires_at;
	if (!digest_eq(hit->fingerprint, a->checked.request.fingerprint, DIGEST_LEN))
		s.verdict = STORE_MISMATCH;
	conclude(a, &s, hit->body);
}

/* The same from the memory of this node, at once. */
static bool
tell_recent(struct admission *a)
{
	struct store_submitted s;
	struct admit *admit = a->admit;
	struct buf body;

	if (!a->keyed || !admit_recent_find(admit, &a->digest, &a->checked.request, &s))
		return false;
	body = text_take(admit);
	if (is_kept(&s))
		task_render(&body, &s.row, s.surface, s.version, true);
	conclude(a, &s, buf_span(&body));
	text_give(admit, &body);
	return true;
}

static bool
ask_cache(struct admission *a)
{
	return a->keyed && a->admit->cache.cache != NULL && admit_cache_ask(a->admit, &a->digest, on_cached, a);
}

struct admission *
admission_new(struct admit *admit, const struct admit_request *r, admit_fn *fn, void *arg)
{
	struct admission *a = arena_alloc(r->arena, sizeof(*a));

	MAGIC_CHECK(admit, ADMIT_MAGIC);
	a->magic = ADMISSION_MAGIC;
	a->admit = admit;
	a->item = r->item;
	a->entered = false;
	a->request_id = r->request_id;
	a->fn = fn;
	a->arg = arg;
	if (!admit_check(r, &a->checked)) {
		answer_invalid(&a->checked, fn, arg);
		return NULL;
	}
	a->checked.misfit = !admit_schema(admit, r, &a->checked);
	a->in = (struct store_submission){
		.request = &a->checked.request,
		.surface = r->surface,
		.tenant = r->tenant,
		.key = a->checked.key,
	};
	/* items of a bulk request have no kept answers of their own, and share a round trip to the database already */
	a->keyed = !r->item && a->in.key.len > 0;
	if (a->keyed) {
		a->digest = task_key_digest(a->in.tenant, a->in.key);
		a->in.digest = &a->digest;
	}
	return a;
}

struct span
admission_key(const struct admission *a)
{
	return a->in.key;
}

bool
admission_is_unique(const struct admission *a)
{
	return a->in.request->unique.name.len > 0;
}

void
admission_send(struct admission *a, int64_t deadline)
{
	MAGIC_CHECK(a, ADMISSION_MAGIC);
	a->in.deadline = deadline;
	if (!tell_recent(a) && !ask_cache(a))
		ask_store(a);
}

void
admit_submit(struct admit *admit, const struct admit_request *r, admit_fn *fn, void *arg)
{
	struct admission *a = admission_new(admit, r, fn, arg);

	if (a != NULL)
		admission_send(a, r->deadline);
}

struct admit *
admit_new(const struct admit_options *o)
{
	struct admit *a = mem_zalloc(sizeof(*a));

	a->magic = ADMIT_MAGIC;
	a->loop = o->loop;
	a->conf = o->conf;
	a->store = o->store;
	a->ration = o->ration;
	a->recent = o->recent;
	admit_cache_open(a);
	return a;
}

void
admit_close(struct admit *a)
{
	MAGIC_CHECK(a, ADMIT_MAGIC);
	admit_cache_close(a);
}

void
admit_free(struct admit **a)
{
	if (*a == NULL)
		return;
	MAGIC_CHECK(*a, ADMIT_MAGIC);
	buf_free(&(*a)->spare);
	(*a)->magic = 0;
	mem_free(a);
}
