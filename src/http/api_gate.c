/* api_gate.c - a submission is let in, or told when to come again.
 *
 * The fields RateLimit-Policy and RateLimit are those of draft-ietf-httpapi-ratelimit-headers from its eighth version on: structured lists
 * with one named policy; q in w seconds, r left now, all of it again after t seconds.  They are lines of whatever answer the request
 * gets.
 */
#include "http/api_int.h"

#define NAME "\"submit\""

static void
tell_rate(struct http_request *r, const struct admit_limited *l)
{
	struct arena *a = http_arena(r);

	http_reply_header(r, "RateLimit-Policy", span_of(arena_printf(a, NAME ";q=%d;w=%d", l->quota, l->window)));
	http_reply_header(r, "RateLimit", span_of(arena_printf(a, NAME ";r=%lld;t=%d", (long long)l->left, l->again)));
}

static bool
refuse_rate(struct http_request *r, const struct admit_limited *l)
{
	struct http_problem p = { .status = 429, .code = "rate_limited", .retry_after = l->again > 0 ? l->again : 1 };

	p.detail = arena_printf(http_arena(r),
	    "more submissions than %d in %d s; this one may come again in %d s, with the same key", l->quota, l->window,
	    p.retry_after);
	http_reply_problem(r, &p);
	return false;
}

static bool
refuse_away(struct http_request *r, const struct admit_limited *l)
{
	struct http_problem p = {
		.status = 503,
		.code = "unavailable",
		.detail = "the database cannot be used now and enough requests wait for it; nothing was stored",
		.retry_after = l->again,
		.outcome = "none",
	};

	http_reply_problem(r, &p);
	return false;
}

/* One submission.  Those of a bulk request are counted as they come (admit_batch.c). */
bool
api_gate(void *app, struct http_request *r)
{
	struct span nobody = { "", 0 };
	struct admit_limited l = admit_limit_take(api_of(app)->admit, nobody, 1);

	if (l.quota > 0)
		tell_rate(r, &l);
	if (l.by == ADMIT_LIMIT_RATE)
		return refuse_rate(r, &l);
	if (l.by == ADMIT_LIMIT_AWAY)
		return refuse_away(r, &l);
	return true;
}

void
api_reply_full(struct http_request *r, const struct admit_answer *a)
{
	struct http_problem p = { .status = 429, .code = "queue_full", .retry_after = API_RETRY_AFTER };

	p.detail = arena_printf(http_arena(r), "in the queue \"%.*s\" %lld tasks wait and %lld may", (int)a->queue.len,
	    a->queue.ptr, (long long)a->waits, (long long)a->most);
	http_reply_problem(r, &p);
}
