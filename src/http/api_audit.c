/* api_audit.c - GET /v1/audit: who did what, and why; the newest first.
 *
 * A page looks at a bounded number of acts, so one that is filtered may be short, or empty, and have a next one all the same.
 * Next: store/store_audit.c.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_int.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000

struct asking {
	struct api_call c; /* first: the call is the argument of parameters */
	struct store_audit_filter f;
};

/* --- parameters -------------------------------------------------------------------------------------------------------------- */

static struct store_audit_filter *
filter_of(struct api_call *c)
{
	return &container_of(c, struct asking, c)->f;
}

static bool
take_act(struct api_call *c, struct span value)
{
	filter_of(c)->act = value;
	return value.len >= 1 && value.len <= 64 && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_by(struct api_call *c, struct span value)
{
	filter_of(c)->by = value;
	return value.len >= 1 && value.len <= STORE_BY_MAX && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_since(struct api_call *c, struct span value)
{
	return clock_parse(value, &filter_of(c)->since);
}

static bool
take_limit(struct api_call *c, struct span value)
{
	return api_number(value, 1, LIMIT_MAX, &filter_of(c)->limit);
}

static bool
take_cursor(struct api_call *c, struct span value)
{
	return api_cursor_number(value, &filter_of(c)->before);
}

static const struct api_parameter parameters[] = {
	{ "act", take_act, "the word of an act, as in the items" },
	{ "by", take_by, "1 to 100 bytes" },
	{ "since", take_since, "a time of RFC 3339" },
	{ "limit", take_limit, "a number from 1 to 1000" },
	{ "cursor", take_cursor, "the next_cursor of an earlier page" },
};

/* --- the page ------------------------------------------------------------------------------------------------------------------ */

static void
put_act(struct buf *b, const struct store_audit *a)
{
	buf_printf(b, "{\"id\":%" PRId64, a->id);
	member_time(b, ",\"at\":", a->at);
	member_text(b, ",\"act\":", a->act);
	member_text(b, ",\"by\":", a->who.by);
	member_text(b, ",\"why\":", a->who.why);
	buf_puts(b, ",\"target\":");
	buf_put(b, a->target.ptr, a->target.len);
	buf_printf(b, ",\"n\":%" PRId64 "}", a->n);
}

static void
on_page(void *arg, const struct store_audit_page *page)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (!api_items_begin(c, page->status, &b))
		return;
	for (int i = 0; i < page->nrows; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_act(&b, &page->rows[i]);
	}
	api_page_end(c, &b, page->next != 0 ? arena_printf(http_arena(c->r), "%" PRId64, page->next) : NULL);
}

void
api_audit(void *app, struct http_request *r)
{
	struct asking *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct asking){ .c = *api_call_new(app, r), .f.limit = LIMIT_DEFAULT };
	if (api_query(&g->c, parameters, ARRAY_LEN(parameters)))
		store_audit(g->c.api->store, &g->f, on_page, &g->c);
}
