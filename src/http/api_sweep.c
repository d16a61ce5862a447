/* api_sweep.c - replays, discards and fixes of many dead letters: made, seen, paused, ended.
 *
 * All three are one machine: a row that the keeper moves on (store/store_sweep.h).  The same request with the same Idempotency-Key is
 * answered with what it made.  Before one is made its letters are counted, for the progress; a dry run ends there.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/digest.h"

#include "http/api_sweep.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000

/* --- one, as JSON ------------------------------------------------------------------------------------------------------------- */

static void
put_rate(struct buf *b, int64_t rate)
{
	if (rate == 0)
		buf_puts(b, ",\"rate\":null");
	else
		buf_printf(b, ",\"rate\":%g", (double)rate / 1000);
}

static void
put_how(struct buf *b, const struct store_sweep *s)
{
	const struct store_sweep_how *h = &s->how;

	put_rate(b, h->rate);
	if (h->most > 0)
		buf_printf(b, ",\"limit\":%" PRId64, h->most);
	else
		buf_puts(b, ",\"limit\":null");
	if (s->act != STORE_ACT_REPLAY)
		return;
	buf_printf(
	    b, ",\"slow_start\":%g,\"concurrency\":%d,\"canary\":%d", (double)h->slow / 1e6, h->concurrency, h->canary);
	if (h->stop_share >= 0)
		buf_printf(b, ",\"stop_share\":%d,\"stop_least\":%d", h->stop_share, h->stop_least);
	else
		buf_puts(b, ",\"stop_share\":null");
	buf_printf(b, ",\"new_payload\":%s", s->edited ? "true" : "false");
}

static void
put_progress(struct buf *b, const struct store_sweep *s)
{
	buf_printf(b, ",\"total\":%" PRId64 ",\"moved\":%" PRId64, s->total, s->moved);
	if (s->act == STORE_ACT_REPLAY)
		buf_printf(b,
		    ",\"in_flight\":%" PRId64 ",\"succeeded\":%" PRId64 ",\"failed\":%" PRId64 ",\"cancelled\":%" PRId64
		    ",\"blocked\":%" PRId64,
		    s->in_flight, s->succeeded, s->failed, s->cancelled, s->blocked);
	member_text(b, ",\"held\":", s->held);
}

static void
put_sweep(struct buf *b, const struct store_sweep *s)
{
	buf_printf(b, "{\"id\":%" PRId64 ",\"act\":\"%s\",\"state\":\"%s\",\"filter\":", s->id, store_act_word(s->act),
	    store_sweep_word(s->state));
	buf_put(b, s->filter.ptr, s->filter.len);
	put_how(b, s);
	put_progress(b, s);
	member_text(b, ",\"by\":", s->who.by);
	member_text(b, ",\"why\":", s->who.why);
	member_time(b, ",\"at\":", s->at);
	member_time(b, ",\"ended_at\":", s->ended_at);
	member_text(b, ",\"ended_why\":", s->ended_why);
	buf_putc(b, '}');
}

static void
reply_not_found(struct api_call *c)
{
	static const struct http_problem p = {
		.status = 404, .code = "not_found", .detail = "there is no replay, discard or fix of this number"
	};

	http_reply_problem(c->r, &p);
}

/* --- a preview ----------------------------------------------------------------------------------------------------------------- */

static void
reply_count(struct api_sweep *g, const struct store_sweep_count *n)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"dry_run\":true,\"count\":%" PRId64 ",\"exact\":%s,\"bound\":%d,\"estimate\":%" PRId64, n->n,
	    n->exact ? "true" : "false", STORE_SWEEP_BOUND, n->exact || n->n > n->estimate ? n->n : n->estimate);
	if (g->wish.act == STORE_ACT_REPLAY)
		buf_printf(&b, ",\"blocked\":%" PRId64, n->blocked);
	buf_puts(&b, ",\"filter\":");
	api_dead_filter_put(g->c.r, &b, &g->filter.f);
	buf_puts(&b, ",\"sample\":[");
	for (int i = 0; i < n->nids; i++)
		buf_printf(&b, "%s\"%s\"", i > 0 ? "," : "", api_id(g->c.r, &n->ids[i]));
	buf_puts(&b, "]}");
	api_reply_json(g->c.r, &b);
}

/* --- made ------------------------------------------------------------------------------------------------------------------------ */

static struct api_sweep *
sweep_of(void *arg)
{
	return container_of(api_call_of(arg), struct api_sweep, c);
}

static void
on_shown(void *arg, enum store_status status, const struct store_sweep *sweeps, int n)
{
	struct api_sweep *g = sweep_of(arg);
	struct buf b = { 0 };

	if (status != STORE_OK || n == 0) {
		api_reply_later(g->c.r, true); /* it was made: the same request finds it */
		return;
	}
	put_sweep(&b, &sweeps[0]);
	http_reply_header(g->c.r, "Cache-Control", SPAN("no-store"));
	http_reply_header(
	    g->c.r, "Location", span_of(arena_printf(http_arena(g->c.r), "/v1/dead/replays/%" PRId64, sweeps[0].id)));
	if (g->dry_run)
		http_reply_header(g->c.r, "Idempotent-Replayed", SPAN("true"));
	http_reply(g->c.r, g->dry_run ? 200 : 201, "application/json", buf_span(&b));
	buf_free(&b);
}

static void
refuse_made(struct api_sweep *g, const struct store_sweep_made *m)
{
	struct http_problem p = { .status = 409, .code = "overlaps" };
	struct arena *arena = http_arena(g->c.r);

	if (m->known != 0) {
		p.status = 422;
		p.code = "key_mismatch";
		p.detail = "this key was used for another act; nothing was done now";
	} else if (m->other == 0) {
		p.code = "no_letters";
		p.detail =
		    "no open dead letter fits the filter: the others were resolved before, or there never was one; "
		    "nothing was done. GET /v1/dead/summary and GET /v1/dead show what there is";
	} else {
		p.detail = arena_printf(arena,
		    "%s %" PRId64
		    " is not over and may mean some of the same letters; wait for its end, or cancel it, or "
		    "narrow the filter so that none can be meant by both; nothing was done",
		    store_act_word(m->act), m->other);
		p.more = span_of(arena_printf(arena, ",\"replay\":%" PRId64, m->other));
	}
	http_reply_problem(g->c.r, &p);
}

static void
on_made(void *arg, const struct store_sweep_made *m)
{
	struct api_sweep *g = sweep_of(arg);

	if (m->status == STORE_REFUSED) {
		refuse_made(g, m);
		return;
	}
	if (m->status != STORE_OK) {
		api_reply_later(g->c.r, m->status == STORE_UNSURE);
		return;
	}
	g->dry_run = m->made == 0; /* from here on: nothing new was made */
	store_sweeps(g->c.api->store, m->made != 0 ? m->made : m->known, INT64_MAX, 1, on_shown, &g->c);
}

static void
make(struct api_sweep *g)
{
	uint8_t fp[DIGEST_LEN];
	struct span body = http_body(g->c.r);
	struct buf b = { 0 };

	buf_puts(&b, store_act_word(g->wish.act));
	buf_put(&b, body.ptr, body.len);
	digest_sha256(b.data, b.len, fp);
	buf_reset(&b);
	api_dead_filter_put(g->c.r, &b, &g->filter.f);
	g->wish.asked = buf_span(&b);
	g->wish.filter = &g->filter.f;
	g->wish.fp = fp;
	store_sweep_make(g->c.api->store, &g->wish, on_made, &g->c);
	buf_free(&b);
}

static void
on_count(void *arg, const struct store_sweep_count *n)
{
	struct api_sweep *g = sweep_of(arg);

	if (n->status != STORE_OK) {
		api_reply_later(g->c.r, false);
	} else if (g->dry_run) {
		reply_count(g, n);
	} else {
		g->wish.total = n->exact || n->n > n->estimate ? n->n : n->estimate;
		g->wish.idle = n->exact && n->n == 0;
		make(g);
	}
}

static void
begin(void *app, struct http_request *r, enum store_act act)
{
	struct api_sweep *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct api_sweep){ .c = *api_call_new(app, r), .wish.act = act };
	g->filter.c = &g->c;
	if (api_sweep_read(g))
		store_sweep_count(g->c.api->store, &g->filter.f, on_count, &g->c);
}

void
api_dead_replay(void *app, struct http_request *r)
{
	begin(app, r, STORE_ACT_REPLAY);
}

void
api_dead_discard(void *app, struct http_request *r)
{
	begin(app, r, STORE_ACT_DISCARD);
}

void
api_dead_fix(void *app, struct http_request *r)
{
	begin(app, r, STORE_ACT_FIX);
}

/* --- seen ------------------------------------------------------------------------------------------------------------------------- */

struct asking {
	struct api_call c; /* first: it is the argument of parameters and callbacks */
	int64_t id;        /* 0: all */
	int64_t before;
	int limit;
	struct store_who who;
	enum store_sweep_state to;
};

static bool
take_limit(struct api_call *c, struct span value)
{
	return api_number(value, 1, LIMIT_MAX, &container_of(c, struct asking, c)->limit);
}

static bool
take_cursor(struct api_call *c, struct span value)
{
	return api_cursor_number(value, &container_of(c, struct asking, c)->before);
}

static const struct api_parameter parameters[] = {
	{ "limit", take_limit, "a number from 1 to 1000" },
	{ "cursor", take_cursor, "the next_cursor of an earlier page" },
};

static void
on_list(void *arg, enum store_status status, const struct store_sweep *sweeps, int n)
{
	struct asking *g = container_of(api_call_of(arg), struct asking, c);
	struct buf b = { 0 };

	if (!api_items_begin(&g->c, status, &b))
		return;
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_sweep(&b, &sweeps[i]);
	}
	api_page_end(&g->c, &b, n == g->limit ? arena_printf(http_arena(g->c.r), "%" PRId64, sweeps[n - 1].id) : NULL);
}

static void
on_one(void *arg, enum store_status status, const struct store_sweep *sweeps, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(c->r, false);
		return;
	}
	if (n == 0) {
		reply_not_found(c);
		return;
	}
	put_sweep(&b, &sweeps[0]);
	api_reply_json(c->r, &b);
}

static struct asking *
asking_new(void *app, struct http_request *r)
{
	struct asking *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct asking){ .c = *api_call_new(app, r), .before = INT64_MAX, .limit = LIMIT_DEFAULT };
	return g;
}

/* False: answered. */
static bool
take_number(struct asking *g)
{
	if (api_cursor_number(http_param(g->c.r, "id"), &g->id))
		return true;
	reply_not_found(&g->c);
	return false;
}

void
api_dead_replays(void *app, struct http_request *r)
{
	struct asking *g = asking_new(app, r);

	if (api_query(&g->c, parameters, ARRAY_LEN(parameters)))
		store_sweeps(g->c.api->store, 0, g->before, g->limit, on_list, &g->c);
}

void
api_dead_replay_get(void *app, struct http_request *r)
{
	struct asking *g = asking_new(app, r);

	if (take_number(g))
		store_sweeps(g->c.api->store, g->id, INT64_MAX, 1, on_one, &g->c);
}

/* --- by hand ---------------------------------------------------------------------------------------------------------------------- */

static void
refuse_set(struct asking *g, const struct store_sweep *s)
{
	struct http_problem p = { .status = 409, .code = "replay_over" };

	p.detail =
	    arena_printf(http_arena(g->c.r), "it is %s, and stays so; nothing was changed", store_sweep_word(s->state));
	http_reply_problem(g->c.r, &p);
}

static void
on_set(void *arg, enum store_status status, bool changed, const struct store_sweep *sweep)
{
	struct asking *g = container_of(api_call_of(arg), struct asking, c);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(g->c.r, status == STORE_UNSURE);
	} else if (sweep == NULL) {
		reply_not_found(&g->c);
	} else if (!changed && sweep->state != g->to) {
		refuse_set(g, sweep);
	} else {
		put_sweep(&b, sweep);
		api_reply_json(g->c.r, &b);
	}
}

static void
set(void *app, struct http_request *r, enum store_sweep_state to)
{
	struct asking *g = asking_new(app, r);

	g->to = to;
	if (take_number(g) && api_who_body(&g->c, &g->who) && api_who_told(&g->c, &g->who))
		store_sweep_set(g->c.api->store, g->id, to, &g->who, on_set, &g->c);
}

void
api_dead_replay_pause(void *app, struct http_request *r)
{
	set(app, r, STORE_SWEEP_PAUSED);
}

void
api_dead_replay_resume(void *app, struct http_request *r)
{
	set(app, r, STORE_SWEEP_RUNS);
}

void
api_dead_replay_cancel(void *app, struct http_request *r)
{
	set(app, r, STORE_SWEEP_CANCELLED);
}
