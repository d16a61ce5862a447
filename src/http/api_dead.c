/* api_dead.c - GET /v1/dead, a page of open dead letters, newest first; and GET /v1/dead/{id}, one with all that it keeps.
 *
 * The cursor is the place where the page ended, a time and an id; it grants nothing.  Next: api_dead_summary.c, store/store_dead_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_dead.h"

#define LIMIT_DEFAULT 20

struct dead_listing {
	struct api_call *c;
	struct api_dead_filter g;
	struct store_dead_place after;
	int limit;
	unsigned seen; /* of its own parameters */
};

/* --- a letter --------------------------------------------------------------------------------------------------------------- */

/* What a page shows of it; the object stays open. */
static void
put_letter(struct buf *b, const struct store_letter *l)
{
	member_id(b, "{\"id\":", &l->id);
	member_text(b, ",\"queue\":", l->queue);
	member_text(b, ",\"task_type\":", l->task_type);
	member_text(b, ",\"reason\":", l->reason);
	member_text(b, ",\"error_class\":", span_of(task_class_name(l->class)));
	member_text(b, ",\"error_code\":", l->code);
	member_text(b, ",\"message\":", l->message);
	api_put_exit(b, l->exit);
	buf_puts(b, ",\"cause\":");
	if (l->cause != 0)
		buf_printf(b, "%d", (int)l->cause);
	else
		buf_puts(b, "null");
	member_id(b, ",\"fingerprint\":", l->cause != 0 ? &l->fingerprint : NULL);
	member_text(b, ",\"schema_version\":", l->schema_version);
	member_text(b, ",\"trace_id\":", l->trace_id);
	member_json(b, ",\"labels\":", l->labels.len > 0 ? l->labels : SPAN("{}"));
	buf_printf(b, ",\"run\":%d,\"attempts\":%d,\"max_attempts\":%d,\"crashes\":%d", l->run, l->attempts,
	    l->max_attempts, l->crashes);
	member_time(b, ",\"created_at\":", l->created_at);
	member_time(b, ",\"died_at\":", l->died_at);
}

static const char *
resolution_word(enum store_resolution what)
{
	switch (what) {
	case STORE_LETTER_OPEN:
		return "open";
	case STORE_LETTER_REPLAYED:
		return "replayed";
	case STORE_LETTER_DISCARDED:
		return "discarded";
	case STORE_LETTER_FIXED:
		return "fixed";
	}
	UNREACHABLE("no such resolution");
}

static void
put_rest(struct buf *b, const struct store_letter *l)
{
	member_text(b, ",\"stderr\":", l->tail);
	member_text(b, ",\"group\":", l->group);
	member_text(b, ",\"ordering_key\":", l->ordering_key);
	buf_printf(b, ",\"priority\":%d", l->priority);
	member_time(b, ",\"run_at\":", l->run_at);
	member_time(b, ",\"first_seen\":", l->first_seen);
	member_text(b, ",\"owner\":", l->owner);
	member_time(b, ",\"due_at\":", l->due_at);
	member_text(b, ",\"acknowledged_by\":", l->acknowledged_by);
	member_text(b, ",\"note\":", l->note);
	buf_printf(b, ",\"resolution\":\"%s\"", resolution_word(l->resolution));
	member_time(b, ",\"resolved_at\":", l->resolved_at);
	member_text(b, ",\"by\":", l->by);
	member_text(b, ",\"why\":", l->why);
	if (l->sweep != 0)
		buf_printf(b, ",\"replay\":%jd", (intmax_t)l->sweep);
	else
		buf_puts(b, ",\"replay\":null");
	member_time(b, ",\"expires_at\":", l->expires_at);
	member_json(b, ",\"payload\":", l->payload);
}

void
api_dead_put(struct buf *b, const struct store_letter *l, const struct store_attempt *all, int n)
{
	put_letter(b, l);
	put_rest(b, l);
	buf_puts(b, ",\"history\":[");
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		api_put_attempt(b, &all[i]);
	}
	buf_puts(b, "]}");
}

/* --- one --------------------------------------------------------------------------------------------------------------------- */

static void
reply_none(struct api_call *c)
{
	struct http_problem p = {
		.status = 404, .code = "not_found", .detail = "no task with this id has a dead letter"
	};

	http_reply_problem(c->r, &p);
}

static void
on_letter(void *arg, enum store_status status, const struct store_letter *l, const struct store_attempt *all, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (status != STORE_OK || l == NULL) {
		if (status != STORE_OK)
			api_reply_later(c->r, false);
		else
			reply_none(c);
		return;
	}
	api_dead_put(&b, l, all, n);
	api_reply_json(c->r, &b);
}

void
api_dead_get(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	if (api_call_id(c))
		store_dead_get(c->api->store, &c->id, on_letter, c);
}

/* --- a page ------------------------------------------------------------------------------------------------------------------ */

/* Microseconds, a dot, an id: only what cursor_of() wrote. */
static bool
take_cursor(struct dead_listing *l, struct span value)
{
	const char *dot = value.len > 0 ? memchr(value.ptr, '.', value.len) : NULL;
	char digits[20];
	size_t len = dot != NULL ? (size_t)(dot - value.ptr) : 0;

	if (len == 0 || len >= sizeof(digits) || strspn(value.ptr, "0123456789") != len)
		return false;
	memcpy(digits, value.ptr, len);
	digits[len] = '\0';
	l->after.died_at = strtoll(digits, NULL, 10);
	return l->after.died_at > 0 && id_parse((struct span){ dot + 1, value.len - len - 1 }, &l->after.id);
}

/* limit and cursor are its own; the rest is the filter. */
static bool
take_parameter(struct dead_listing *l, struct span name, struct span value)
{
	bool limit = span_is(name, "limit"), cursor = span_is(name, "cursor");
	unsigned bit = limit ? 1 : 2;
	const char *detail;

	if (limit || cursor) {
		if ((l->seen & bit) != 0)
			return api_refuse(l->c, "repeated_parameter", NULL, "limit or cursor was given twice");
		l->seen |= bit;
		if (limit ? api_number(value, 1, STORE_DEAD_PAGE, &l->limit) : take_cursor(l, value))
			return true;
		detail = limit ? "parameter \"limit\": expected a number from 1 to 1000"
			       : "parameter \"cursor\": expected the next_cursor of an earlier page";
		return api_refuse(l->c, "invalid_parameter", NULL, detail);
	}
	switch (api_dead_filter_parameter(&l->g, name, value)) {
	case API_DEAD_TAKEN:
		return true;
	case API_DEAD_REFUSED:
		return false;
	case API_DEAD_UNKNOWN:
		break;
	}
	return api_refuse(l->c, "unknown_parameter", NULL,
	    arena_printf(http_arena(l->c->r),
		"unknown parameter \"%.*s\"; expected " API_DEAD_NAMES ", limit or cursor",
		(int)(name.len < 64 ? name.len : 64), name.ptr));
}

static const char *
cursor_of(struct http_request *r, const struct store_dead_place *p)
{
	return arena_printf(http_arena(r), "%jd.%s", (intmax_t)p->died_at, api_id(r, &p->id));
}

static void
on_page(void *arg, const struct store_dead_page *page)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (!api_items_begin(c, page->status, &b))
		return;
	for (int i = 0; i < page->n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_letter(&b, &page->letters[i]);
		buf_putc(&b, '}');
	}
	api_page_end(c, &b, page->more ? cursor_of(c->r, &page->next) : NULL);
}

void
api_dead_list(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	struct dead_listing l = { .c = c, .g = { .c = c }, .limit = LIMIT_DEFAULT };
	struct http_query q = http_query_begin(r);
	struct span name, value;

	while (http_query_next(&q, &name, &value))
		if (!take_parameter(&l, name, value))
			return;
	store_dead_list(c->api->store, &l.g.f, &l.after, l.limit, on_page, c);
}
