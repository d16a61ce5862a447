/* api_dead_export.c - GET /v1/dead/export: open dead letters as lines of JSON, each whole, and a last line that says so.
 *
 * The answer is made while it is sent: a page of names, then letter by letter, a piece at a time, which waits for the client.  So memory
 * does not depend on how many letters there are or how slowly they are read.  A letter that was resolved meanwhile is left out.  When the
 * database cannot be read any more the answer is broken off, without the last line.
 */
#include <string.h>

#include "http/api_dead.h"

#define EXPORT_MAGIC 0x41706578u
#define PAGE 200
#define PIECE 65536 /* bytes, and one letter */

struct export
{
	unsigned magic;
	struct api *api;
	struct http_request *r;
	struct id ids[PAGE]; /* of the page */
	int n, at;
	struct store_dead_place next; /* of the page after it */
	bool more;                    /* there may be one */
	bool begun;                   /* the answer */
	bool said;                    /* its last line */
	int64_t letters;
	struct buf piece;
};

static void step(struct export *e);
static void on_more(void *arg, bool gone);

static struct export *
export_of(void *arg)
{
	struct export *e = arg;

	MAGIC_CHECK(e, EXPORT_MAGIC);
	return e;
}

static void
export_free(struct export *e)
{
	buf_free(&e->piece);
	e->magic = 0;
	mem_free(&e);
}

static void
finish(struct export *e, bool whole)
{
	if (e->begun)
		http_reply_end(e->r, whole);
	else
		api_reply_later(e->r, false);
	export_free(e);
}

/* --- letters --------------------------------------------------------------------------------------------------------------- */

/* White space between the words of a payload may break the line: then it is there once more as a string, byte for byte. */
static void
put_line(struct export *e, const struct store_letter *l, const struct store_attempt *all, int n)
{
	size_t begin = e->piece.len;
	bool broken = false;

	api_dead_put(&e->piece, l, all, n);
	for (size_t i = begin; i < e->piece.len; i++)
		if (e->piece.data[i] == '\n' || e->piece.data[i] == '\r') {
			e->piece.data[i] = ' ';
			broken = true;
		}
	if (broken) {
		e->piece.len--; /* the bracket */
		buf_puts(&e->piece, ",\"payload_text\":");
		buf_json_string(&e->piece, l->payload);
		buf_putc(&e->piece, '}');
	}
	buf_putc(&e->piece, '\n');
	e->letters++;
}

static void
on_letter(void *arg, enum store_status status, const struct store_letter *l, const struct store_attempt *all, int n)
{
	struct export *e = export_of(arg);

	if (status != STORE_OK) {
		finish(e, false);
		return;
	}
	if (l != NULL && l->resolution == STORE_LETTER_OPEN)
		put_line(e, l, all, n);
	arena_reset(http_arena(e->r)); /* it holds what was made of this letter, and nothing else */
	step(e);
}

/* --- pages ----------------------------------------------------------------------------------------------------------------- */

static void
on_page(void *arg, const struct store_dead_page *page)
{
	static const struct http_flow flow = { on_more };
	struct export *e = export_of(arg);

	if (page->status != STORE_OK) {
		finish(e, false);
		return;
	}
	e->n = page->n;
	e->at = 0;
	e->more = page->more;
	e->next = page->next;
	for (int i = 0; i < page->n; i++)
		e->ids[i] = page->letters[i].id;
	if (e->begun) {
		step(e);
		return;
	}
	e->begun = true;
	http_reply_header(e->r, "Cache-Control", SPAN("no-store"));
	if (!http_reply_begin(e->r, 200, "application/x-ndjson", &flow, e))
		export_free(e);
}

/* The filter is read again for each page: it lies in the head of the request.  False: answered. */
static bool
list(struct export *e, void *app)
{
	struct api_call *c = api_call_new(app, e->r);
	struct api_dead_filter g = { .c = c };
	struct http_query q = http_query_begin(e->r);
	struct span name, value;

	while (http_query_next(&q, &name, &value))
		switch (api_dead_filter_parameter(&g, name, value)) {
		case API_DEAD_TAKEN:
			break;
		case API_DEAD_REFUSED:
			return false;
		case API_DEAD_UNKNOWN:
			return api_refuse(c, "unknown_parameter", NULL,
			    arena_printf(http_arena(e->r), "unknown parameter \"%.*s\"; expected " API_DEAD_NAMES,
				(int)(name.len < 64 ? name.len : 64), name.ptr));
		}
	store_dead_list(e->api->store, &g.f, &e->next, PAGE, on_page, e);
	return true;
}

/* --- pieces ---------------------------------------------------------------------------------------------------------------- */

static void
send_piece(struct export *e)
{
	bool taken = http_reply_piece(e->r, buf_span(&e->piece));

	buf_reset(&e->piece);
	if (!taken)
		finish(e, false);
}

/* The next letter, page or line; or what there is goes out. */
static void
step(struct export *e)
{
	if (e->piece.len >= PIECE || e->said)
		send_piece(e);
	else if (e->at < e->n)
		store_dead_get(e->api->store, &e->ids[e->at++], on_letter, e);
	else if (e->more)
		MUST(list(e, e->api)); /* it was taken before */
	else {
		buf_printf(&e->piece, "{\"end\":true,\"letters\":%jd}\n", (intmax_t)e->letters);
		e->said = true;
		send_piece(e);
	}
}

static void
on_more(void *arg, bool gone)
{
	struct export *e = export_of(arg);

	if (gone || (e->said && e->piece.len == 0))
		finish(e, !gone);
	else
		step(e);
}

void
api_dead_export(void *app, struct http_request *r)
{
	struct export *e = mem_zalloc(sizeof(*e));

	e->magic = EXPORT_MAGIC;
	e->api = api_of(app);
	e->r = r;
	if (!list(e, app))
		export_free(e);
}
