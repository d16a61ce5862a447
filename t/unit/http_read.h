/* http_read.h - the four readers of the edge in a row, without a socket: bytes in, one line of text out.  For the tests of the
 * parser and for its fuzzer.
 *
 *	"POST /a query=q host=h close chunked body=abc left=2"   a request, and how many bytes lie behind it
 *	"more"                                                   not whole yet
 *	"400 bad_request"                                        refused
 */
#ifndef T_UNIT_HTTP_READ_H
#define T_UNIT_HTTP_READ_H

#include "http/http_int.h"

#define READ_BODY_MAX 64
static const struct http_limits read_limits = { .line = 256, .head = 512, .fields = 8 };

struct read_one {
	struct http_head head;
	struct http_frame frame;
	struct http_target target;
	struct http_chunks chunks;
	struct buf body, path;
	size_t body_at; /* bytes of the body, as sent, that were read */
	bool headed;
};

static enum http_parse
read_bad(const struct http_bad *bad, struct buf *out)
{
	buf_reset(out);
	buf_printf(out, "%d %s", bad->status, bad->code);
	return HTTP_PARSE_BAD;
}

static bool
read_target(struct read_one *r, const char *bytes, struct http_bad *bad)
{
	struct span raw = { bytes + r->head.target, r->head.target_len };
	struct buf query = { 0 }; /* only to see that it can be decoded; the head may be read again behind half a body */
	bool good;
	size_t n;

	if (!http_target_split(raw, &r->target, bad))
		return false;
	if (r->target.authority.ptr != NULL &&
	    (r->frame.host.len != r->target.authority.len ||
		strncasecmp(r->frame.host.ptr, r->target.authority.ptr, r->frame.host.len) != 0))
		return http_refuse(bad, 400, "bad_request", "authority is not Host");
	buf_reserve(&r->path, r->target.path.len + 1);
	if (!http_path_decode(r->target.path, r->path.data, &n, bad))
		return false;
	r->path.len = n;
	buf_reserve(&query, r->target.query.len + 1);
	good = http_percent_decode(r->target.query, true, query.data, &n);
	buf_free(&query);
	return good || http_refuse(bad, 400, "bad_request", "query");
}

static void
read_tell(struct read_one *r, const char *bytes, size_t left, struct buf *out)
{
	buf_reset(out);
	buf_put(out, bytes + r->head.start, r->head.method_len);
	buf_putc(out, ' ');
	buf_putspan(out, buf_span(&r->path));
	if (r->target.query.ptr != NULL)
		buf_printf(out, " query=%.*s", (int)r->target.query.len, r->target.query.ptr);
	buf_printf(out, " host=%.*s", (int)r->frame.host.len, r->frame.host.len != 0 ? r->frame.host.ptr : "");
	if (r->frame.close)
		buf_puts(out, " close");
	if (r->frame.expects)
		buf_puts(out, " expects");
	if (r->frame.chunked)
		buf_puts(out, " chunked");
	if (r->frame.chunked || r->frame.content_length >= 0) {
		buf_puts(out, " body=");
		buf_putspan(out, buf_span(&r->body));
	}
	buf_printf(out, " left=%zu", left);
}

static enum http_parse
read_body(struct read_one *r, const char *bytes, size_t len, struct buf *out)
{
	const char *at = bytes + r->head.at + r->body_at;
	size_t left = len - r->head.at - r->body_at, used = 0;
	enum http_parse done = HTTP_PARSE_DONE;

	if (r->frame.chunked) {
		done = http_chunks_read(&r->chunks, at, left, READ_BODY_MAX, &r->body, &used);
	} else if (r->frame.content_length > 0) {
		used = (size_t)r->frame.content_length - r->body.len;
		used = used < left ? used : left;
		buf_put(&r->body, at, used);
		done = r->body.len < (size_t)r->frame.content_length ? HTTP_PARSE_MORE : HTTP_PARSE_DONE;
	}
	r->body_at += used;
	if (done == HTTP_PARSE_BAD)
		return read_bad(&r->chunks.bad, out);
	if (done == HTTP_PARSE_DONE)
		read_tell(r, bytes, left - used, out);
	return done;
}

/* Reads on with the first `len` bytes of the connection. */
static enum http_parse
read_step(struct read_one *r, const char *bytes, size_t len, struct buf *out)
{
	struct http_bad bad = { 0 };
	enum http_parse p;

	buf_reset(out);
	buf_puts(out, "more");
	if (!r->headed) {
		if ((p = http_head_parse(&r->head, &read_limits, bytes, len)) == HTTP_PARSE_BAD)
			return read_bad(&r->head.bad, out);
		if (p == HTTP_PARSE_MORE)
			return p;
		if (!http_frame_read(&r->head, bytes, &r->frame, &bad) || !read_target(r, bytes, &bad))
			return read_bad(&bad, out);
		if (r->frame.content_length > READ_BODY_MAX) {
			(void)http_refuse(&bad, 413, "body_too_large", "");
			return read_bad(&bad, out);
		}
		r->headed = true;
	}
	return read_body(r, bytes, len, out);
}

/* The verdict on bytes that come in pieces of `piece`; in each call they lie at another place, as in a buffer that grows. */
static enum http_parse
read_pieces(const char *bytes, size_t len, size_t piece, struct buf *out)
{
	struct read_one r = { 0 };
	enum http_parse p = HTTP_PARSE_MORE;
	char *copy = NULL;
	size_t at = 0;

	do {
		char *next = mem_alloc(len + 1);

		memcpy(next, bytes, len);
		mem_free(&copy);
		copy = next;
		at = len - at < piece ? len : at + piece;
		/* what a span of an earlier copy would show is gone: the head is read again from the new place */
		if (r.headed &&
		    !(http_frame_read(&r.head, copy, &r.frame, &r.head.bad) && read_target(&r, copy, &r.head.bad)))
			UNREACHABLE("a head was accepted only once");
		p = read_step(&r, copy, at, out);
	} while (p == HTTP_PARSE_MORE && at < len);
	mem_free(&copy);
	http_head_free(&r.head);
	buf_free(&r.body);
	buf_free(&r.path);
	return p;
}

#endif
