/* http_reply.c - trouble in our words: application/problem+json (RFC 9457).
 *
 * `type` is a path that this server can explain itself; `code` is the stable word for programs; `errors` points into the body
 * that was sent; `retryable` tells whether the same request may succeed later; `instance` is the request's id, so that a line of the log can be found from an answer.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"

#include "http/http_int.h"

static void
put_member(struct buf *b, const char *name, struct span value)
{
	buf_printf(b, ",\"%s\":", name);
	buf_json_string(b, value);
}

/* "/problems/" and the code with hyphens: "invalid_json" is explained at /problems/invalid-json. */
static void
put_type(struct buf *b, const char *code)
{
	buf_puts(b, "{\"type\":\"/problems/");
	for (; *code != '\0'; code++)
		buf_putc(b, *code == '_' ? '-' : *code);
	buf_putc(b, '"');
}

static void
put_instance(struct buf *b, struct span id)
{
	struct id parsed;

	if (id_parse(id, &parsed))
		buf_printf(b, ",\"instance\":\"urn:uuid:%.*s\"", (int)id.len, id.ptr);
	else
		put_member(b, "instance", id);
}

/* JSON Pointer as a URI fragment (RFC 6901 §6): "/max_attempts" is "#/max_attempts", a space is %20. */
static void
put_fragment(struct buf *b, const char *pointer)
{
	buf_putc(b, '#');
	for (pointer += *pointer == '#'; *pointer != '\0'; pointer++)
		if (strchr("-._~!$&'()*+,;=:@/?", *pointer) != NULL || isalnum((unsigned char)*pointer))
			buf_putc(b, *pointer);
		else
			buf_printf(b, "%%%02X", (unsigned char)*pointer);
}

void
http_put_pointer(struct buf *b, const char *pointer)
{
	struct buf fragment = { 0 };

	put_fragment(&fragment, pointer);
	buf_json_string(b, buf_span(&fragment));
	buf_free(&fragment);
}

static void
put_errors(struct buf *b, const struct http_problem *p)
{
	buf_puts(b, ",\"errors\":[{\"pointer\":");
	http_put_pointer(b, p->pointer);
	put_member(b, "detail", span_of(p->detail));
	buf_puts(b, "}]");
}

static void
put_lines(struct http_request *r, const struct http_problem *p)
{
	const char *outcome = p->outcome;
	char seconds[16];

	if (p->retry_after > 0) {
		(void)snprintf(seconds, sizeof(seconds), "%d", p->retry_after);
		http_reply_header(r, "Retry-After", span_of(seconds));
	}
	if (outcome == NULL && p->status >= 500)
		outcome = "none"; /* it only asked: see http_reply_problem() */
	if (outcome != NULL)
		http_reply_header(r, "Taskq-Outcome", span_of(outcome));
}

/* The same request may succeed later: its bytes came too slowly, or the trouble is ours and passes. */
static bool
is_retryable(const struct http_problem *p)
{
	return p->retryable || p->retry_after > 0 || p->status == 408 || p->status == 503;
}

void
http_reply_problem(struct http_request *r, const struct http_problem *p)
{
	struct buf b = { 0 };

	ASSERT(p->status < 500 || http_method(r) != HTTP_POST || p->outcome != NULL); /* whoever sent it must know */
	put_type(&b, p->code);
	put_member(&b, "title", span_of(http_status_text(p->status)));
	buf_printf(&b, ",\"status\":%d", p->status);
	put_member(&b, "detail", span_of(p->detail));
	put_instance(&b, http_request_id(r));
	put_member(&b, "code", span_of(p->code));
	put_member(&b, "request_id", http_request_id(r));
	if (p->pointer != NULL)
		put_errors(&b, p);
	if (p->task_id != NULL)
		put_member(&b, "task_id", span_of(p->task_id));
	buf_printf(&b, ",\"retryable\":%s", is_retryable(p) ? "true" : "false");
	if (p->retry_after > 0)
		buf_printf(&b, ",\"retry_after\":%d", p->retry_after);
	buf_putspan(&b, p->more);
	buf_puts(&b, "}\n");
	put_lines(r, p);
	http_reply(r, p->status, "application/problem+json", buf_span(&b));
	buf_free(&b);
}

/* The parsers say which limit was met; what it is, only the configuration knows. */
static const char *
detail_with_limit(struct http_request *r, const struct http_bad *bad)
{
	const struct http_limits *lim = &r->s->limits;

	switch (bad->status) {
	case 413:
		return arena_printf(http_arena(r), "%s, expected at most %zu bytes", bad->detail, http_body_limit(r));
	case 414:
		return arena_printf(http_arena(r), "%s, expected at most %zu bytes", bad->detail, lim->line);
	case 431:
		return arena_printf(http_arena(r), "%s, expected at most %d lines and %zu bytes in all", bad->detail,
		    lim->fields, lim->head);
	default:
		return bad->detail;
	}
}

void
http_reply_bad(struct http_request *r, const struct http_bad *bad)
{
	struct http_problem p = { .status = bad->status, .code = bad->code, .detail = detail_with_limit(r, bad) };

	if (bad->status >= 500)
		p.outcome = "none"; /* no handler has seen it */
	if (bad->status == 503)
		p.retry_after = 1;
	http_reply_problem(r, &p);
}
