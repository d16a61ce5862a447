/* http_request.c - a request: made from a pool, filled when its head is whole, alive until it is answered.
 *
 * All spans point into its own memory, so it does not matter what the connection reads next, or whether it still lives.
 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"

#include "http/http_int.h"

#define POOL_MAX 256         /* requests kept for reuse */
#define BUF_KEEP (16 * 1024) /* a greater buffer is freed with its request */
#define ARENA_FIRST 2048
#define ID_MAX 128 /* bytes of a client's X-Request-ID */

/* --- life --------------------------------------------------------------------------------------------------------------- */

struct http_request *
http_request_take(struct http_server *s, struct http_conn *c)
{
	struct list *node = list_first(&s->pool);
	struct http_request *r;

	if (node != NULL) {
		list_remove(node);
		s->pooled--;
		r = container_of(node, struct http_request, node);
	} else {
		r = mem_zalloc(sizeof(*r));
		list_init(&r->node);
	}
	r->magic = HTTP_REQUEST_MAGIC;
	r->state = HTTP_REQUEST_HEAD;
	r->s = s;
	r->c = c;
	r->method = HTTP_OTHER;
	r->route = -1;
	return r;
}

static void
buf_recycle(struct buf *b)
{
	if (b->cap > BUF_KEEP)
		buf_free(b);
	else
		buf_reset(b);
}

/* As new, but with its memory. */
static void
request_reset(struct http_request *r)
{
	http_head_reset(&r->head);
	r->frame = (struct http_frame){ 0 };
	r->chunks = (struct http_chunks){ 0 };
	buf_recycle(&r->text);
	buf_recycle(&r->body);
	buf_recycle(&r->lines);
	buf_recycle(&r->out);
	r->raw_path = r->path = r->query = r->id = (struct span){ 0 };
	r->nparams = 0;
	r->last = r->continue_due = r->paused = r->gated = false;
	r->stream = NULL;
	r->stream_arg = NULL;
	r->streamed = 0;
	if (r->arena != NULL)
		arena_reset(r->arena);
}

void
http_request_release(struct http_request *r)
{
	struct http_server *s;

	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	s = r->s;
	list_remove(&r->node);
	r->magic = 0;
	r->c = NULL;
	if (s == NULL || s->pooled == POOL_MAX) {
		http_budget_give(r);
		http_request_free(r);
		return;
	}
	request_reset(r);
	http_budget_give(r);
	s->pooled++;
	list_unshift(&s->pool, &r->node);
}

void
http_request_free(struct http_request *r)
{
	http_head_free(&r->head);
	buf_free(&r->text);
	buf_free(&r->body);
	buf_free(&r->lines);
	buf_free(&r->out);
	arena_free(&r->arena);
	mem_free(&r);
}

/* --- reading the head ------------------------------------------------------------------------------------------------------- */

enum http_method
http_method_of(struct span name)
{
	static const struct {
		const char *name;
		enum http_method method;
	} known[] = {
		{ "GET", HTTP_GET },
		{ "POST", HTTP_POST },
		{ "HEAD", HTTP_HEAD },
		{ "PUT", HTTP_PUT },
		{ "DELETE", HTTP_DELETE },
		{ "OPTIONS", HTTP_OPTIONS },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(known); i++)
		if (span_is(name, known[i].name))
			return known[i].method;
	return HTTP_OTHER;
}

static bool
id_is_plain(struct span id)
{
	size_t i;

	for (i = 0; i < id.len; i++) {
		unsigned char ch = (unsigned char)id.ptr[i];

		if (!((ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
			strchr("._:+/=-", ch) != NULL) ||
		    ch == '\0')
			return false;
	}
	return id.len >= 1 && id.len <= ID_MAX;
}

void
http_request_name(struct http_request *r)
{
	struct span given = r->text.len != 0 ? http_header(r, "x-request-id") : (struct span){ 0 };
	struct id id;

	if (given.ptr != NULL && id_is_plain(given)) {
		r->id = given;
		return;
	}
	id = id_random();
	id_format(&id, r->id_text);
	r->id = (struct span){ r->id_text, ID_TEXT - 1 };
}

/* The absolute form names the host a second time: it must be the same. */
static bool
authority_is_host(const struct http_request *r, struct span authority)
{
	struct span host = r->frame.host;

	if (authority.ptr == NULL)
		return true;
	return host.len == authority.len && host.len != 0 && strncasecmp(host.ptr, authority.ptr, host.len) == 0;
}

/* The decoded path goes behind the head; the query is decoded there only to see that it can be. */
static bool
read_target(struct http_request *r, struct http_bad *bad)
{
	struct http_target t;
	char *out = r->text.data + r->text.len;
	size_t n;

	if (!http_target_split((struct span){ r->text.data + r->head.target, r->head.target_len }, &t, bad))
		return false;
	if (!authority_is_host(r, t.authority))
		return http_refuse(bad, 400, "bad_request", "authority of the request target is not Host");
	if (!http_percent_decode(t.query, true, out, &n))
		return http_refuse(bad, 400, "bad_request", "an escape in the query is malformed, NUL or not UTF-8");
	if (!http_path_decode(t.path, out, &n, bad))
		return false;
	r->raw_path = t.path;
	r->query = t.query;
	r->path = (struct span){ out, n };
	r->text.len += n;
	return true;
}

bool
http_request_read_head(struct http_request *r, const char *bytes, struct http_bad *bad)
{
	buf_reserve(&r->text, r->head.at + r->head.target_len + 1); /* no move after this */
	buf_put(&r->text, bytes, r->head.at);
	http_request_name(r);
	r->method = http_method_of(http_method_name(r));
	return http_frame_read(&r->head, r->text.data, &r->frame, bad) && read_target(r, bad);
}

bool
http_request_has_body(const struct http_request *r)
{
	return r->frame.chunked || r->frame.content_length > 0;
}

/* --- for handlers -------------------------------------------------------------------------------------------------------------- */

struct span
http_method_name(const struct http_request *r)
{
	return (struct span){ r->text.data + r->head.start, r->head.method_len };
}

enum http_method
http_method(const struct http_request *r)
{
	return r->method;
}

struct span
http_query(const struct http_request *r)
{
	return r->query;
}

struct span
http_param(const struct http_request *r, const char *name)
{
	int i;

	for (i = 0; i < r->nparams; i++)
		if (span_is(r->params[i].name, name))
			return r->params[i].value;
	UNREACHABLE("the route has no such path parameter");
}

int
http_flags(const struct http_request *r)
{
	ASSERT(r->s != NULL && r->route >= 0);
	return r->s->o.routes[r->route].flags;
}

/* The next header line of this name from number `i` on; null: none. */
static const struct http_field *
next_field(const struct http_request *r, const char *name, int i)
{
	size_t len = strlen(name);
	const struct http_field *f;

	for (; i < r->head.nfields; i++) {
		f = &r->head.fields[i];
		if (f->name_len == len && strncasecmp(r->text.data + f->name, name, len) == 0)
			return f;
	}
	return NULL;
}

struct span
http_header(const struct http_request *r, const char *name)
{
	return http_header_line(r, name, 0);
}

int
http_header_count(const struct http_request *r, const char *name)
{
	const struct http_field *f = next_field(r, name, 0);
	int n = 0;

	for (; f != NULL; f = next_field(r, name, (int)(f - r->head.fields) + 1))
		n++;
	return n;
}

struct span
http_header_line(const struct http_request *r, const char *name, int n)
{
	const struct http_field *f = next_field(r, name, 0);

	while (f != NULL && n-- > 0)
		f = next_field(r, name, (int)(f - r->head.fields) + 1);
	return f != NULL ? http_field_value(f, r->text.data) : (struct span){ 0 };
}

struct span
http_body(const struct http_request *r)
{
	return buf_span(&r->body);
}

void
http_body_drop(struct http_request *r)
{
	buf_free(&r->body);
	http_budget_dropped(r);
}

bool
http_client_left(const struct http_request *r)
{
	return r->c == NULL || http_conn_left(r->c);
}

bool
http_is_next(const struct http_request *r)
{
	return r->c == NULL || list_first(&r->c->queue) == &r->node;
}

struct arena *
http_arena(struct http_request *r)
{
	if (r->arena == NULL)
		r->arena = arena_new(ARENA_FIRST);
	return r->arena;
}

int64_t
http_received_at(const struct http_request *r)
{
	return r->received_at;
}

struct span
http_request_id(const struct http_request *r)
{
	return r->id;
}

struct http_query
http_query_begin(struct http_request *r)
{
	return (struct http_query){ r, r->query };
}

/* Takes what stands before `mark` off the front of `s`. */
static struct span
cut(struct span *s, char mark)
{
	const char *at = memchr(s->ptr, mark, s->len);
	struct span part = { s->ptr, at != NULL ? (size_t)(at - s->ptr) : s->len };
	size_t used = part.len + (at != NULL);

	*s = (struct span){ s->ptr + used, s->len - used };
	return part;
}

static struct span
decoded(struct http_request *r, struct span raw)
{
	char *out = arena_alloc(http_arena(r), raw.len + 1);
	size_t n;

	MUST(http_percent_decode(raw, true, out, &n)); /* checked with the head; a cut at & or = splits no escape */
	return (struct span){ out, n };
}

bool
http_query_next(struct http_query *q, struct span *name_r, struct span *value_r)
{
	struct span pair = { 0 };

	while (q->rest.len != 0 && pair.len == 0)
		pair = cut(&q->rest, '&');
	if (pair.len == 0)
		return false;
	*name_r = decoded(q->r, cut(&pair, '='));
	*value_r = decoded(q->r, pair);
	return true;
}
