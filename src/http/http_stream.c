/* http_stream.c - bodies that are handed over in pieces, for rows with HTTP_ROUTE_STREAM.
 *
 * The handler is called when the head is read.  It has the request from then on, while its bytes are still being received: data() for
 * each piece, then end() once, with why when the body will never be whole.  While it has paused, nothing is read from the socket, and TCP
 * makes the client wait.  A piece is at most what one read of the connection brought.
 *
 * Between two pieces http.body_timeout may pass, for the whole body http.batch_timeout; a pause costs the client nothing of the
 * first, for nobody reads then.
 */
#include "base/clock.h"

#include "http/http_int.h"

static const struct http_bad cut_off = { 400, "bad_request", "request was cut off" };

void
http_stream(struct http_request *r, const struct http_stream *s, void *arg)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	ASSERT(r->stream == NULL && (http_flags(r) & HTTP_ROUTE_STREAM) != 0);
	r->stream = s;
	r->stream_arg = arg;
}

void
http_stream_pause(struct http_request *r)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	r->paused = true;
}

void
http_stream_resume(struct http_request *r)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	if (!r->paused)
		return;
	r->paused = false;
	if (r->c != NULL)
		http_conn_touch(r->c);
}

size_t
http_body_limit(const struct http_request *r)
{
	bool stream = r->route >= 0 && (http_flags(r) & HTTP_ROUTE_STREAM) != 0;

	return stream ? r->s->max_batch : r->s->max_body;
}

/* --- for the connection -------------------------------------------------------------------------------------------------- */

/* No byte of its body comes any more. */
static void
stream_over(struct http_request *r, const struct http_bad *why)
{
	const struct http_stream *s = r->stream;

	r->state = HTTP_REQUEST_WORK;
	r->paused = r->continue_due = false;
	s->end(r->stream_arg, why);
}

void
http_stream_begin(struct http_conn *c, struct http_request *r)
{
	const struct http_options *o = &c->s->o;
	bool empty = !http_request_has_body(r);

	if (empty) {
		c->current = NULL;
		c->ended |= r->last;
	} else {
		r->state = HTTP_REQUEST_STREAM;
	}
	o->routes[r->route].handle(o->app, r);
	ASSERT(r->state == HTTP_REQUEST_DONE || r->stream != NULL);
	if (empty && r->state != HTTP_REQUEST_DONE)
		stream_over(r, NULL);
}

static void
give(struct http_request *r, struct span piece)
{
	r->streamed += piece.len;
	if (piece.len != 0)
		r->stream->data(r->stream_arg, piece);
}

static enum http_parse
take_pieces(struct http_conn *c, struct http_request *r, const char *bytes, size_t len, size_t *used_r)
{
	uint64_t left;
	enum http_parse p;

	if (r->frame.chunked) {
		p = http_chunks_read(&r->chunks, bytes, len, c->s->max_batch - r->streamed, &r->body, used_r);
		give(r, buf_span(&r->body));
		buf_reset(&r->body);
		return p;
	}
	left = (uint64_t)r->frame.content_length - r->streamed;
	*used_r = left < len ? (size_t)left : len;
	give(r, (struct span){ bytes, *used_r });
	return *used_r == left ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

size_t
http_stream_take(struct http_conn *c, const char *bytes, size_t len)
{
	static const struct http_bad late = { 408, "request_timeout", "the body of the request took too long" };
	struct http_request *r = c->current;
	enum http_parse p;
	size_t used;

	if (clock_now() - r->received_at > c->s->batch_time) {
		http_receive_refuse(c, &late);
		return 0;
	}
	r->continue_due = false;
	p = take_pieces(c, r, bytes, len, &used);
	if (c->current != r) /* answered meanwhile */
		return used;
	if (p == HTTP_PARSE_BAD) {
		http_receive_refuse(c, &r->chunks.bad);
	} else if (p == HTTP_PARSE_DONE) {
		c->current = NULL;
		c->ended |= r->last;
		stream_over(r, NULL);
	}
	return used;
}

void
http_stream_cut(struct http_request *r, const struct http_bad *why)
{
	ASSERT(r->state == HTTP_REQUEST_STREAM);
	r->last = true;
	stream_over(r, why != NULL ? why : &cut_off);
}

/* What was not read of it cannot be told from a request behind it. */
void
http_stream_leave(struct http_request *r)
{
	if (r->state != HTTP_REQUEST_STREAM)
		return;
	r->state = HTTP_REQUEST_WORK;
	r->continue_due = r->paused = false;
	r->last = true;
	r->c->current = NULL;
	r->c->ended = true;
}
