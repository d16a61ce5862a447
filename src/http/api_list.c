/* api_list.c - GET /v1/tasks: a page of tasks, newest first, and the way to the next one.
 *
 * Every parameter is a row of the table below.  One that is unknown, repeated or malformed is refused by name: a filter that were
 * ignored would show tasks that nobody asked for.  The cursor is the id where the page ended, in base64url; it grants nothing.
 */
#include <string.h>

#include "http/api_int.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 1000
#define CURSOR_LEN 22 /* 16 bytes in base64url without padding */

struct listing {
	struct api_call *c;
	struct store_filter f;
	char *key; /* the parsed idempotency key */
};

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* --- the cursor ------------------------------------------------------------------------------------------------------------ */

static void
cursor_format(const struct id *id, char text[CURSOR_LEN + 1])
{
	unsigned bits = 0, have = 0;
	size_t i, n = 0;

	for (i = 0; i < sizeof(id->b); i++) {
		bits = bits << 8 | id->b[i];
		for (have += 8; have >= 6; have -= 6)
			text[n++] = digits64[bits >> (have - 6) & 63];
	}
	text[n++] = digits64[bits << (6 - have) & 63];
	text[n] = '\0';
	ASSERT(n == CURSOR_LEN);
}

/* Only what cursor_format() wrote. */
static bool
cursor_parse(struct span text, struct id *id_r)
{
	unsigned bits = 0, have = 0;
	size_t i, n = 0;
	const char *digit;

	if (text.len != CURSOR_LEN)
		return false;
	for (i = 0; i < text.len; i++) {
		digit = memchr(digits64, text.ptr[i], sizeof(digits64) - 1);
		if (digit == NULL)
			return false;
		bits = bits << 6 | (unsigned)(digit - digits64);
		have += 6;
		if (have >= 8) {
			have -= 8;
			id_r->b[n++] = (uint8_t)(bits >> have);
		}
	}
	return (bits & ((1u << have) - 1)) == 0 && !id_is_zero(id_r);
}

/* --- parameters -------------------------------------------------------------------------------------------------------------- */

static bool
take_status(struct listing *l, struct span value)
{
	enum task_state state;

	if (!task_status_parse(value, &state))
		return false;
	l->f.state = (int)state;
	return true;
}

static bool
take_type(struct listing *l, struct span value)
{
	l->f.task_type = value;
	return value.len >= 1 && value.len <= TASK_TYPE_MAX && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_queue(struct listing *l, struct span value)
{
	l->f.queue = value;
	return value.len >= 1 && value.len <= TASK_QUEUE_MAX && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_key(struct listing *l, struct span value)
{
	l->key = arena_alloc(http_arena(l->c->r), TASK_KEY_MAX + 1);
	if (task_key_parse(value, l->key, &l->f.key.len) != NULL)
		return false;
	l->f.key.ptr = l->key;
	return true;
}

static bool
take_limit(struct listing *l, struct span value)
{
	return api_number(value, 1, LIMIT_MAX, &l->f.limit);
}

static bool
take_cursor(struct listing *l, struct span value)
{
	return cursor_parse(value, &l->f.before);
}

static const struct parameter {
	const char *name;
	bool (*take)(struct listing *l, struct span value);
	const char *expected;
} parameters[] = {
	{ "status", take_status, "pending, processing, succeeded, failed, dead_letter or cancelled" },
	{ "task_type", take_type, "1 to 64 bytes" },
	{ "queue", take_queue, "1 to 64 bytes" },
	{ "idempotency_key", take_key, "a key of 1 to 255 printable ASCII characters" },
	{ "limit", take_limit, "a number from 1 to 1000" },
	{ "cursor", take_cursor, "the next_cursor of an earlier page" },
};

static void
refuse(struct listing *l, const char *code, const char *detail)
{
	struct http_problem p = { .status = 400, .code = code, .detail = detail };

	http_reply_problem(l->c->r, &p);
}

static bool
take_parameter(struct listing *l, struct span name, struct span value, unsigned *seen)
{
	struct arena *arena = http_arena(l->c->r);
	size_t i;

	for (i = 0; i < ARRAY_LEN(parameters); i++)
		if (span_is(name, parameters[i].name))
			break;
	if (i == ARRAY_LEN(parameters)) {
		refuse(l, "unknown_parameter",
		    arena_printf(arena,
			"unknown parameter \"%.*s\"; expected status, task_type, queue, idempotency_key, limit or "
			"cursor",
			(int)(name.len < 64 ? name.len : 64), name.ptr));
		return false;
	}
	if ((*seen & 1u << i) != 0) {
		refuse(l, "repeated_parameter",
		    arena_printf(arena, "parameter \"%s\" was given twice", parameters[i].name));
		return false;
	}
	*seen |= 1u << i;
	if (parameters[i].take(l, value))
		return true;
	refuse(l, "invalid_parameter",
	    arena_printf(arena, "parameter \"%s\": expected %s", parameters[i].name, parameters[i].expected));
	return false;
}

/* --- the page ---------------------------------------------------------------------------------------------------------------- */

static void
put_escaped(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (strchr("-._~", s.ptr[i]) != NULL || memchr(digits64, s.ptr[i], sizeof(digits64) - 1) != NULL)
			buf_putc(b, s.ptr[i]);
		else
			buf_printf(b, "%%%02X", (unsigned char)s.ptr[i]);
}

/* The same question with the new cursor. */
static void
reply_link(struct http_request *r, const char *cursor)
{
	struct http_query q = http_query_begin(r);
	struct span name, value;
	struct buf b = { 0 };

	buf_puts(&b, "</v1/tasks?");
	while (http_query_next(&q, &name, &value)) {
		if (span_is(name, "cursor"))
			continue;
		put_escaped(&b, name);
		buf_putc(&b, '=');
		put_escaped(&b, value);
		buf_putc(&b, '&');
	}
	buf_printf(&b, "cursor=%s>; rel=\"next\"", cursor);
	http_reply_header(r, "Link", buf_span(&b));
	buf_free(&b);
}

static void
render(const struct store_page *page, const char *cursor)
{
	struct buf *b = page->made;
	int i;

	buf_puts(b, "{\"items\":[");
	for (i = 0; i < page->nrows; i++) {
		if (i > 0)
			buf_putc(b, ',');
		task_render(b, &page->rows[i], TASK_SURFACE_V1, TASK_RENDER_VERSION, false);
	}
	if (page->more)
		buf_printf(b, "],\"next_cursor\":\"%s\"}", cursor);
	else
		buf_puts(b, "],\"next_cursor\":null}");
}

static void
on_page(void *arg, const struct store_page *page)
{
	struct api_call *c = api_call_of(arg);
	char cursor[CURSOR_LEN + 1];

	if (page->status != STORE_OK) {
		api_reply_later(c->r, false);
		return;
	}
	if (page->more)
		cursor_format(&page->next, cursor);
	if (page->made->len == 0)
		render(page, cursor);
	if (page->more)
		reply_link(c->r, cursor);
	http_reply_header(c->r, "Cache-Control", SPAN("no-store"));
	http_reply(c->r, 200, "application/json", buf_span(page->made));
}

void
api_list_v1(void *app, struct http_request *r)
{
	struct listing l = { .c = api_call_new(app, r), .f = { .state = -1, .limit = LIMIT_DEFAULT } };
	struct http_query q = http_query_begin(r);
	struct span name, value;
	unsigned seen = 0;

	while (http_query_next(&q, &name, &value))
		if (!take_parameter(&l, name, value, &seen))
			return;
	store_list(l.c->api->store, &l.f, on_page, l.c);
}
