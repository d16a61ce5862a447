/* api_task.c - one task: submitted, read.  Retry and cancel are in api_hand.c.
 *
 * The same handlers serve both surfaces; struct api_surface says no in the words of each.
 */
#include <string.h>

#include "base/clock.h"

#include "http/api_int.h"

/* --- submit ---------------------------------------------------------------------------------------------------------------- */

/* Lower case only, as the standard wants it; not all zero. */
static bool
is_hex_id(const char *p, size_t len)
{
	size_t i;
	bool zero = true;

	for (i = 0; i < len; i++) {
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
		zero &= p[i] == '0';
	}
	return !zero;
}

#define TRACE_VERSION_0 55 /* bytes of 00-<32>-<16>-<2> */

/* The trace id of a valid W3C traceparent; of any other line the empty span: a bad one is as good as none. */
struct span
api_trace(const struct http_request *r)
{
	struct span h = http_header(r, "traceparent"), none = { 0 };
	const char *p = h.ptr;

	if (http_header_count(r, "traceparent") != 1 || h.len < TRACE_VERSION_0)
		return none;
	if (p[2] != '-' || p[35] != '-' || p[52] != '-' || !is_hex_id(p + 3, 32) || !is_hex_id(p + 36, 16))
		return none;
	if (strspn(p, "0123456789abcdef") != 2 || memcmp(p, "ff", 2) == 0 || strspn(p + 53, "0123456789abcdef") < 2)
		return none;
	if (memcmp(p, "00", 2) == 0 ? h.len != TRACE_VERSION_0 : h.len > TRACE_VERSION_0 && p[55] != '-')
		return none;
	return (struct span){ p + 3, 32 };
}

/* It is stored, and more cannot be said now. */
static void
reply_plain(struct api_call *c)
{
	http_reply(c->r, 202, "application/json", c->kept);
}

/* Written by hand: this is the hot path. */
static struct span
location_of(struct api_call *c, const struct api_surface *surface, const struct id *id)
{
	size_t len = strlen(surface->tasks);
	char *text = arena_alloc(http_arena(c->r), len + 1 + ID_TEXT);

	memcpy(text, surface->tasks, len);
	text[len] = '/';
	id_format(id, text + len + 1);
	return (struct span){ text, len + ID_TEXT };
}

static void
reply_kept(struct api_call *c, const struct admit_answer *a)
{
	const struct api_surface *first = a->surface == TASK_SURFACE_COMPAT ? &api_surface_compat : &api_surface_v1;
	int seconds = api_wait_wanted(c, a->body.len);

	http_reply_header(c->r, "Location", location_of(c, first, &a->row->id));
	http_reply_header(c->r, "Idempotency-Key", http_header(c->r, "idempotency-key"));
	http_reply_header(c->r, "Idempotency-Expires", span_of(api_time(c->r, a->expires_at)));
	if (a->verdict == ADMIT_REPLAY)
		http_reply_header(c->r, "Idempotent-Replayed", SPAN("true"));
	if (seconds < 0) {
		http_reply(c->r, 202, "application/json", a->body);
		return;
	}
	c->id = a->row->id;
	c->kept = arena_span(http_arena(c->r), a->body);
	api_wait_begin(c, seconds, a->body.len, reply_plain);
}

static const struct http_problem busy = {
	.status = 409,
	.code = "key_in_use",
	.detail = "a request with this key is being answered; send yours again in a moment",
	.retry_after = 1,
};
static const struct http_problem unstorable = {
	.status = 500,
	.code = "unstorable",
	.detail = "the database refuses this task and would refuse it again; nothing was stored, the log of "
		  "the server says why",
	.outcome = "none",
};

static void
on_admitted(void *arg, const struct admit_answer *a)
{
	struct api_call *c = api_call_of(arg);

	switch (a->verdict) {
	case ADMIT_ACCEPT:
	case ADMIT_REPLAY:
		reply_kept(c, a);
		return;
	case ADMIT_CONFLICT:
		c->surface->conflict(c, a);
		return;
	case ADMIT_BUSY:
		http_reply_problem(c->r, &busy);
		return;
	case ADMIT_UNSTORABLE:
		http_reply_problem(c->r, &unstorable);
		return;
	case ADMIT_FULL:
		api_reply_full(c->r, a);
		return;
	case ADMIT_NOT_UNIQUE:
		c->surface->not_unique(c, a);
		return;
	case ADMIT_INVALID:
		c->surface->invalid(c, a);
		return;
	case ADMIT_LATER:
		api_reply_later(c->r, a->outcome_unknown);
		return;
	case ADMIT_LIMITED:
	case ADMIT_VERDICTS:
		break;
	}
	UNREACHABLE("a verdict of bulk requests only");
}

void
api_task_submit(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	struct admit_request in = {
		.surface = c->surface->number,
		.key_header = http_header(r, "idempotency-key"),
		.key_lines = http_header_count(r, "idempotency-key"),
		.body = http_body(r),
		.trace_id = api_trace(r),
		.request_id = http_request_id(r),
		.arena = http_arena(r),
		.deadline = http_received_at(r) + c->api->conf->http.request_timeout,
	};

	admit_submit(c->api->admit, &in, on_admitted, c);
}

/* --- read ------------------------------------------------------------------------------------------------------------------- */

static void
reply_unread(struct api_call *c)
{
	api_reply_later(c->r, false);
}

static void
on_got(void *arg, enum store_status status, const struct task_row *row)
{
	struct api_call *c = api_call_of(arg);
	int seconds = api_wait_wanted(c, 0);

	if (status != STORE_OK)
		reply_unread(c);
	else if (row == NULL)
		c->surface->not_found(c);
	else if (seconds < 0)
		api_reply_task(c, row);
	else if (task_state_is_final(row->state))
		api_reply_waited(c, row, seconds);
	else
		api_wait_begin(c, seconds, 0, reply_unread);
}

void
api_task_get(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	if (api_call_id(c))
		store_get(c->api->store, &c->id, on_got, c);
}
