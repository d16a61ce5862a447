/* api_dead_import.c - POST /v1/dead/import?by=&why=: the lines of an export become open letters here, and each gets its verdict.
 *
 * The body is read a batch at a time, and while a batch is with the database nobody reads, so memory does not depend on its length; only
 * verdicts are kept, for at most LINES_MOST lines.  A batch is one transaction with its row of the audit.  A line that is none stops nothing: its neighbours
 * are imported.  When the database refuses a batch its letters go one by one, so that only the one at fault fails.  The same body may be
 * sent again: what is here already is passed over.
 *
 *	bytes -> lines -> letters of a batch -> the database -> verdicts, each with the number of its line
 */
#include <stdio.h>
#include <string.h>

#include "http/api_dead_line.h"

#define IMPORT_MAGIC 0x4170696du
#define LINES_MOST 100000
#define BATCH_BYTES (1 << 20)
#define LINE_EXTRA (1 << 20) /* beyond a payload and its copy as a string: what else a letter keeps */

enum verdict { IMPORTED, EXISTS, INVALID, FAILED, VERDICTS };
static const char *const verdict_words[VERDICTS] = { "imported", "exists", "invalid", "failed" };

struct import {
	unsigned magic;
	struct api *api;
	struct http_request *r;
	struct store_who who;
	struct json_split split;
	size_t line_max;
	struct buf bytes; /* that came and are not lines yet; from `at` on */
	size_t at;
	struct buf line;
	bool too_long; /* the line that is being read */
	struct arena *arena;
	struct store_import letters[STORE_IMPORTS]; /* the batch */
	int lines[STORE_IMPORTS];                   /* their numbers */
	int n, sent, width; /* of the batch: how many; how many have a verdict; how many travel at once */
	size_t load;        /* bytes of the batch */
	bool busy;          /* some are with the database */
	bool sending;       /* in batch_send(): who is answered at once does not go on */
	bool ended, over;   /* the body; and its last line was taken */
	bool given_up, unsure;
	struct http_bad cut; /* why the body is not whole */
	int line_number;
	int64_t nletters, told; /* lines that were no last line; how many the last lines told */
	bool last;              /* a last line came */
	int count[VERDICTS];
	struct buf items;
};

static void pump(struct import *m);

static struct import *
import_of(void *arg)
{
	struct import *m = arg;

	MAGIC_CHECK(m, IMPORT_MAGIC);
	return m;
}

/* --- verdicts --------------------------------------------------------------------------------------------------------------- */

static void
begin_item(struct import *m, int line, enum verdict v)
{
	m->count[v]++;
	buf_printf(
	    &m->items, "%s{\"line\":%d,\"verdict\":\"%s\"", m->items.len > 0 ? ",\n" : "", line, verdict_words[v]);
}

static void
decide(struct import *m, int i, enum verdict v, const struct id *id)
{
	const struct id *told = &m->letters[i].letter.id;
	char text[ID_TEXT];

	begin_item(m, m->lines[i], v);
	id_format(v == IMPORTED ? id : told, text);
	buf_printf(&m->items, ",\"id\":\"%s\"", text);
	if (v == IMPORTED && !id_eq(id, told)) {
		id_format(told, text);
		buf_printf(&m->items, ",\"was\":\"%s\"", text);
	}
	buf_putc(&m->items, '}');
}

static void
refuse_line(struct import *m, int line, const char *code, const char *pointer, const char *detail)
{
	begin_item(m, line, INVALID);
	buf_printf(&m->items, ",\"error\":{\"code\":\"%s\",\"detail\":", code);
	buf_json_string(&m->items, span_of(detail));
	buf_puts(&m->items, ",\"pointer\":");
	http_put_pointer(&m->items, pointer);
	buf_puts(&m->items, ",\"retryable\":false}}");
}

/* --- the answer ------------------------------------------------------------------------------------------------------------- */

static bool
is_whole(const struct import *m)
{
	return m->last && m->told == m->nletters;
}

/* Members, each with a comma before it. */
static void
put_result(const struct import *m, struct buf *b)
{
	buf_printf(b, ",\"lines\":%jd", (intmax_t)m->nletters);
	for (int v = 0; v < VERDICTS; v++)
		buf_printf(b, ",\"%s\":%d", verdict_words[v], m->count[v]);
	buf_printf(b, ",\"whole\":%s", is_whole(m) ? "true" : "false");
	if (!is_whole(m))
		buf_puts(b, ",\"detail\":\"the last line of an export, which tells how many letters it has, is missing "
			    "or tells another number: the export may have been cut\"");
	buf_puts(b, ",\"items\":[");
	buf_putspan(b, buf_span(&m->items));
	buf_putc(b, ']');
}

static void
import_free(struct import *m)
{
	buf_free(&m->bytes);
	buf_free(&m->line);
	buf_free(&m->items);
	arena_free(&m->arena);
	m->magic = 0;
	mem_free(&m);
}

static void
answer(struct import *m)
{
	struct buf b = { 0 };
	struct http_problem p = { .status = m->cut.status, .code = m->cut.code };

	put_result(m, &b);
	if (m->cut.status != 0) {
		p.detail =
		    arena_printf(http_arena(m->r), "%s; the lines before it have their verdicts here", m->cut.detail);
		p.more = buf_span(&b);
		http_reply_problem(m->r, &p);
	} else if (m->count[FAILED] > 0 && m->count[IMPORTED] + m->count[EXISTS] == 0) {
		api_reply_later(m->r, m->unsure);
	} else {
		buf_puts(&b, "}\n");
		b.data[0] = '{'; /* was the comma of the first member */
		api_reply_json(m->r, &b);
	}
	buf_free(&b);
	import_free(m);
}

/* --- the batch ---------------------------------------------------------------------------------------------------------------- */

static void
batch_clear(struct import *m)
{
	m->n = m->sent = 0;
	m->load = 0;
	m->width = STORE_IMPORTS;
	arena_reset(m->arena);
}

static void
on_imported(void *arg, enum store_status status, const struct id *ids, int n)
{
	struct import *m = import_of(arg);

	m->busy = false;
	if (status == STORE_REFUSED && n > 1) {
		m->width = 1;
		if (!m->sending)
			pump(m);
		return;
	}
	m->given_up |= status == STORE_FAILED || status == STORE_UNSURE;
	m->unsure |= status == STORE_UNSURE;
	for (int i = 0; i < n; i++)
		if (status == STORE_OK)
			decide(m, m->sent + i, id_is_zero(&ids[i]) ? EXISTS : IMPORTED, &ids[i]);
		else if (status == STORE_REFUSED)
			refuse_line(m, m->lines[m->sent + i], "unstorable", "",
			    "the database refuses this letter and would refuse it again");
		else
			decide(m, m->sent + i, FAILED, NULL);
	m->sent += n;
	if (!m->sending)
		pump(m);
}

/* What has no verdict yet goes to the database, or fails without it. */
static void
batch_send(struct import *m)
{
	int n = m->n - m->sent < m->width ? m->n - m->sent : m->width;
	struct buf target = { 0 };

	if (m->given_up) {
		while (m->sent < m->n)
			decide(m, m->sent++, FAILED, NULL);
		return;
	}
	m->busy = true;
	buf_puts(&target, "{\"request_id\":");
	buf_json_string(&target, http_request_id(m->r));
	buf_putc(&target, '}');
	m->sending = true;
	store_dead_import(m->api->store, &m->letters[m->sent], n, &m->who, buf_span(&target), on_imported, m);
	m->sending = false;
	buf_free(&target);
}

/* --- lines ------------------------------------------------------------------------------------------------------------------- */

static void
line_done(struct import *m)
{
	struct api_dead_line l;
	int number = ++m->line_number;

	if (m->too_long) {
		m->nletters++;
		refuse_line(m, number, "item_too_large", "",
		    arena_printf(m->arena, "expected a line of at most %zu bytes", m->line_max));
	} else if (!api_dead_line_read(arena_span(m->arena, buf_span(&m->line)), m->arena, &l)) {
		m->nletters++;
		refuse_line(m, number, l.code, l.problem.pointer, l.problem.detail);
	} else if (l.end) {
		m->last = true;
		m->told += l.letters;
	} else {
		m->nletters++;
		m->load += m->line.len;
		m->lines[m->n] = number;
		m->letters[m->n++] = l.in;
	}
	m->too_long = false;
	buf_reset(&m->line);
}

static void
line_grow(struct import *m, struct span part)
{
	m->too_long = m->too_long || m->line.len + part.len > m->line_max;
	if (!m->too_long)
		buf_putspan(&m->line, part);
}

static void
cut_at(struct import *m, int status, const char *code, const char *detail)
{
	if (m->cut.status == 0)
		m->cut = (struct http_bad){ status, code, detail };
	m->at = m->bytes.len;
}

static bool
batch_is_full(const struct import *m)
{
	return m->n == STORE_IMPORTS || m->load >= BATCH_BYTES;
}

/* Lines of what came, as many as a batch takes. */
static void
take_lines(struct import *m)
{
	struct span rest = { m->bytes.data + m->at, m->bytes.len - m->at }, part;
	enum json_split_event e = JSON_SPLIT_ITEM;

	while (e == JSON_SPLIT_ITEM && rest.len > 0 && !batch_is_full(m)) {
		e = json_split(&m->split, &rest, &part);
		if (e == JSON_SPLIT_PART || e == JSON_SPLIT_ITEM)
			line_grow(m, part);
		if (e == JSON_SPLIT_ITEM && m->line_number == LINES_MOST)
			rest.len = 0, cut_at(m, 413, "too_many_items", "expected at most 100000 lines");
		else if (e == JSON_SPLIT_ITEM)
			line_done(m);
	}
	m->at = m->bytes.len - rest.len;
	if (e == JSON_SPLIT_BAD)
		cut_at(m, 400, "invalid_json", m->split.wrong);
	if (m->at == m->bytes.len) {
		buf_reset(&m->bytes);
		m->at = 0;
	}
}

/* The last line may have no end. */
static void
take_end(struct import *m)
{
	enum json_split_event e = m->cut.status == 0 ? json_split_end(&m->split) : JSON_SPLIT_MORE;

	if (e == JSON_SPLIT_ITEM && (m->line.len > 0 || m->too_long))
		line_done(m);
	else if (e == JSON_SPLIT_BAD)
		cut_at(m, 400, "invalid_json", m->split.wrong);
}

/* Whatever happened, everything that can be done now is done; the answer is the last act. */
static void
pump(struct import *m)
{
	while (!m->busy) {
		if (m->sent < m->n && (batch_is_full(m) || m->over || m->sent > 0)) {
			batch_send(m);
			continue;
		}
		if (m->sent == m->n)
			batch_clear(m);
		if (m->bytes.len > m->at && m->cut.status == 0) {
			take_lines(m);
		} else if (m->ended && !m->over) {
			take_end(m);
			m->over = true;
		} else if (m->over && m->sent == m->n) {
			answer(m);
			return;
		} else {
			http_stream_resume(m->r);
			return;
		}
	}
}

/* --- the body ---------------------------------------------------------------------------------------------------------------- */

static void
on_data(void *arg, struct span piece)
{
	struct import *m = import_of(arg);

	if (m->cut.status == 0)
		buf_putspan(&m->bytes, piece);
	pump(m);
	if (m->busy)
		http_stream_pause(m->r);
}

static void
on_end(void *arg, const struct http_bad *why)
{
	struct import *m = import_of(arg);

	m->ended = true;
	if (why != NULL && m->cut.status == 0)
		m->cut = *why;
	pump(m);
}

/* The query: who, and why. */
static bool
take_who(struct api_call *c, struct store_who *who)
{
	struct http_query q = http_query_begin(c->r);
	struct span name, value;

	while (http_query_next(&q, &name, &value)) {
		bool by = span_is(name, "by");

		if (!by && !span_is(name, "why"))
			return api_refuse(c, "unknown_parameter", NULL, "expected only by and why");
		if (value.len > (by ? STORE_BY_MAX : STORE_WHY_MAX) || memchr(value.ptr, '\0', value.len) != NULL)
			return api_refuse(c, "invalid_parameter", NULL,
			    by ? "parameter \"by\": expected at most 100 bytes"
			       : "parameter \"why\": expected at most 500 bytes");
		*(by ? &who->by : &who->why) = value;
	}
	return api_who_told(c, who);
}

void
api_dead_import(void *app, struct http_request *r)
{
	static const struct http_stream to = { on_data, on_end };
	struct api_call *c = api_call_new(app, r);
	struct store_who who = { 0 };
	struct import *m;

	if (!take_who(c, &who))
		return;
	m = mem_zalloc(sizeof(*m));
	m->magic = IMPORT_MAGIC;
	m->api = c->api;
	m->r = r;
	m->who = who;
	m->split.lines = http_body_is_ndjson(r);
	m->line_max = (size_t)c->api->conf->http.max_body * 3 + LINE_EXTRA;
	m->arena = arena_new(16384);
	batch_clear(m);
	http_stream(r, &to, m);
}
