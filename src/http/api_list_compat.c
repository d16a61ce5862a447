/* api_list_compat.c - GET /tasks: the list of the compatible surface, with limit and offset.
 *
 * Checks and words are those of the earlier service: all that is wrong is told at once, the last of a repeated parameter counts, an
 * unknown one is ignored.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_int.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 100

/* What a string is as an integer. */
enum number_kind { NUMBER_NONE, NUMBER_BELOW, NUMBER_ABOVE, NUMBER_GOOD };

/* A sign and digits, blanks around them; a large one is ABOVE or BELOW. */
static enum number_kind
read_number(struct span t, int min, int max, int *n_r)
{
	bool negative;
	int64_t n = 0;

	while (t.len > 0 && t.ptr[0] == ' ')
		t = (struct span){ t.ptr + 1, t.len - 1 };
	while (t.len > 0 && t.ptr[t.len - 1] == ' ')
		t.len--;
	negative = t.len > 0 && t.ptr[0] == '-';
	if (t.len > 0 && (t.ptr[0] == '-' || t.ptr[0] == '+'))
		t = (struct span){ t.ptr + 1, t.len - 1 };
	if (t.len == 0)
		return NUMBER_NONE;
	for (; t.len > 0; t = (struct span){ t.ptr + 1, t.len - 1 }) {
		if (t.ptr[0] < '0' || t.ptr[0] > '9')
			return NUMBER_NONE;
		if (n <= INT_MAX)
			n = 10 * n + (t.ptr[0] - '0');
	}
	n = negative ? -n : n;
	if (n < min)
		return NUMBER_BELOW;
	if (n > max)
		return NUMBER_ABOVE;
	*n_r = (int)n;
	return NUMBER_GOOD;
}

static struct api_compat_error
query_error(const char *loc, struct span value)
{
	return (struct api_compat_error){ .place = "query", .loc = loc, .text = value, .ctx = "" };
}

static void
take_status(struct store_filter *f, struct span value, struct buf *errors)
{
	struct api_compat_error e = query_error(",\"status\"", value);
	enum task_state state;

	if (task_status_parse(value, &state) && state != TASK_CANCELLED) {
		f->state = (int)state;
		f->or_state = state == TASK_FAILED ? TASK_CANCELLED : 0; /* shown as failed here */
		return;
	}
	e.type = "enum";
	e.msg = "Input should be 'pending', 'processing', 'succeeded', 'failed' or 'dead_letter'";
	e.ctx = "{\"expected\":\"'pending', 'processing', 'succeeded', 'failed' or 'dead_letter'\"}";
	api_compat_error(errors, &e);
}

static void
take_type(struct store_filter *f, struct span value, struct buf *errors)
{
	struct api_compat_error e = query_error(",\"task_type\"", value);

	f->task_type = value;
	if (value.len == 0) {
		e.type = "string_too_short";
		e.msg = "String should have at least 1 character";
		e.ctx = "{\"min_length\":1}";
		api_compat_error(errors, &e);
	} else if (value.len > TASK_TYPE_MAX || memchr(value.ptr, '\0', value.len) != NULL) {
		e.type = "string_too_long";
		e.msg = "String should have at most 64 characters";
		e.ctx = "{\"max_length\":64}";
		api_compat_error(errors, &e);
	}
}

static void
take_number(int *n, int min, int max, const char *loc, struct span value, struct buf *errors)
{
	struct api_compat_error e = query_error(loc, value);
	char msg[80], ctx[32] = "";

	switch (read_number(value, min, max, n)) {
	case NUMBER_GOOD:
		return;
	case NUMBER_NONE:
		e.type = "int_parsing";
		(void)snprintf(
		    msg, sizeof(msg), "Input should be a valid integer, unable to parse string as an integer");
		break;
	case NUMBER_BELOW:
		e.type = "greater_than_equal";
		(void)snprintf(msg, sizeof(msg), "Input should be greater than or equal to %d", min);
		(void)snprintf(ctx, sizeof(ctx), "{\"ge\":%d}", min);
		break;
	case NUMBER_ABOVE:
		e.type = "less_than_equal";
		(void)snprintf(msg, sizeof(msg), "Input should be less than or equal to %d", max);
		(void)snprintf(ctx, sizeof(ctx), "{\"le\":%d}", max);
		break;
	}
	e.msg = msg;
	e.ctx = ctx;
	api_compat_error(errors, &e);
}

/* The last value of a parameter; ptr null: absent. */
static struct span
last_value(struct http_request *r, const char *wanted)
{
	struct http_query q = http_query_begin(r);
	struct span name, value, found = { 0 };

	while (http_query_next(&q, &name, &value))
		if (span_is(name, wanted))
			found = value;
	return found;
}

static void
read_filter(struct http_request *r, struct store_filter *f, struct buf *errors)
{
	struct span status = last_value(r, "status"), type = last_value(r, "task_type");
	struct span limit = last_value(r, "limit"), offset = last_value(r, "offset");

	if (status.ptr != NULL)
		take_status(f, status, errors);
	if (type.ptr != NULL)
		take_type(f, type, errors);
	if (limit.ptr != NULL)
		take_number(&f->limit, 1, LIMIT_MAX, ",\"limit\"", limit, errors);
	if (offset.ptr != NULL)
		take_number(&f->offset, 0, INT_MAX, ",\"offset\"", offset, errors);
}

/* A list on its way: pages are taken until the offset is passed and the limit reached, because this surface has no cursor with which
 * a client could ask on.  At the deadline what was found is the answer. */
struct listing {
	struct api_call *c;
	struct store_filter f;
	struct buf items;
	int count;
	int64_t deadline;
};

static void
reply(struct listing *l)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"items\":[");
	buf_putspan(&b, buf_span(&l->items));
	buf_printf(&b, "],\"count\":%d}", l->count);
	buf_free(&l->items);
	http_reply(l->c->r, 200, "application/json", buf_span(&b));
	buf_free(&b);
}

static void
on_page(void *arg, const struct store_page *page)
{
	struct listing *l = arg;
	int i;

	if (page->status != STORE_OK) {
		buf_free(&l->items);
		api_reply_later(l->c->r, false);
		return;
	}
	for (i = 0; i < page->nrows; i++) {
		if (l->count++ > 0)
			buf_putc(&l->items, ',');
		task_render(&l->items, &page->rows[i], TASK_SURFACE_COMPAT, TASK_RENDER_VERSION, false);
	}
	l->f.limit -= page->nrows;
	l->f.offset -= page->skipped;
	l->f.before = page->next;
	if (page->more && l->f.limit > 0 && clock_now() < l->deadline)
		store_list(l->c->api->store, &l->f, on_page, l);
	else
		reply(l);
}

void
api_list_compat(void *app, struct http_request *r)
{
	struct listing *l = arena_alloc(http_arena(r), sizeof(*l));
	struct buf errors = { 0 };

	l->c = api_call_new(app, r);
	l->f = (struct store_filter){ .state = -1, .limit = LIMIT_DEFAULT };
	l->deadline = clock_now() + l->c->api->conf->http.request_timeout;
	read_filter(r, &l->f, &errors);
	if (errors.len > 0)
		api_compat_refuse(r, &errors);
	else
		store_list(l->c->api->store, &l->f, on_page, l);
}
