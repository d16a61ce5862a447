/* http_answer.c - the answer as bytes: straight into the connection when it is this request's turn, else kept with it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"

#include "http/http_int.h"

#define LINES_FIRST 256

const char *
http_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 400, "Bad Request" },
		{ 404, "Not Found" },
		{ 201, "Created" },
		{ 204, "No Content" },
		{ 207, "Multi-Status" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	UNREACHABLE("a status without a text");
}

void
http_reply_header(struct http_request *r, const char *name, struct span value)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	ASSERT(http_is_token(span_of(name)));
	ASSERT(value.len == 0 ||
	       (memchr(value.ptr, '\r', value.len) == NULL && memchr(value.ptr, '\n', value.len) == NULL &&
		   memchr(value.ptr, '\0', value.len) == NULL));
	buf_reserve(&r->lines, LINES_FIRST);
	buf_puts(&r->lines, name);
	buf_put(&r->lines, ": ", 2);
	buf_putspan(&r->lines, value);
	buf_put(&r->lines, "\r\n", 2);
}

/* True when the connection ends with this answer: the client or a refusal said so, or we are leaving and nothing is behind it. */
bool
http_answer_is_last(const struct http_request *r)
{
	const struct http_conn *c = r->c;

	if (r->last)
		return true;
	return (r->s->draining || c->eof) && c->queue.prev == &r->node && (c->current == NULL || c->current == r);
}

void
http_answer_head(struct http_request *r, struct buf *out, int status, const char *content_type, const char *length)
{
	const char *text = http_status_text(status);

	buf_put(out, "HTTP/1.1 ", 9);
	buf_putu64(out, (uint64_t)status);
	buf_putc(out, ' ');
	buf_puts(out, text);
	if (content_type != NULL) {
		buf_puts(out, "\r\nContent-Type: ");
		buf_puts(out, content_type);
	}
	if (length != NULL) {
		buf_put(out, "\r\n", 2);
		buf_puts(out, length);
	}
	buf_puts(out, "\r\nX-Request-ID: ");
	buf_putspan(out, r->id);
	buf_put(out, "\r\n", 2);
	buf_putspan(out, buf_span(&r->lines));
	if (r->last)
		buf_puts(out, "Connection: close\r\n");
	buf_put(out, "\r\n", 2);
}

static void
put_answer(struct http_request *r, struct buf *out, int status, const char *content_type, struct span body)
{
	char length[48];

	buf_reserve(out, 256 + r->lines.len + r->id.len + body.len);
	(void)snprintf(length, sizeof(length), "Content-Length: %zu", body.len);
	http_answer_head(r, out, status, content_type, status != 204 && status != 304 ? length : NULL);
	if (r->method != HTTP_HEAD)
		buf_putspan(out, body);
}

void
http_answer_count(const struct http_request *r, int status)
{
	int64_t took = clock_now() - r->received_at;

	stats_http(r->route, status, (double)took / (double)CLOCK_SECOND);
	if (log_level() <= LOG_LEVEL_DEBUG)
		log_debug("request answered", log_span("method", http_method_name(r)), log_span("path", r->path),
		    log_int("status", status), log_seconds("took", took), log_span("request_id", r->id));
}

void
http_reply(struct http_request *r, int status, const char *content_type, struct span body)
{
	struct http_conn *c;

	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	http_stream_leave(r);
	ASSERT(r->state == HTTP_REQUEST_WORK);
	ASSERT(content_type != NULL || body.len == 0);
	stats_add(S_HTTP_IN_FLIGHT, -1);
	c = r->c;
	if (c == NULL) {
		http_request_release(r);
		return;
	}
	r->state = HTTP_REQUEST_DONE;
	r->last = http_answer_is_last(r);
	c->ended |= r->last;
	put_answer(r, list_first(&c->queue) == &r->node ? &c->out : &r->out, status, content_type, body);
	http_answer_count(r, status);
	http_conn_touch(c);
}
