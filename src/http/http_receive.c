/* http_receive.c - bytes into requests: begin, head, body, hand over; or refuse, and then nothing follows.
 *
 * The request that is being received is c->current.  Its head whole, it joins the queue, where answers leave in order; so a
 * refusal in the middle of a pipeline waits for the answers before it, and no byte behind it is ever read as a request.
 */
#include "base/clock.h"
#include "stats/stats.h"

#include "http/http_int.h"

#define BODY_FIRST (64 * 1024) /* memory is not promised to a Content-Length, only to bytes that came */

bool
http_receive_open(const struct http_conn *c)
{
	const struct http_request *r = c->current;

	if (c->ended || c->eof || c->broken || c->lingering || c->out.len - c->out_at >= HTTP_OUT_HIGH)
		return false;
	if (r != NULL && (r->state == HTTP_REQUEST_BODY || r->state == HTTP_REQUEST_STREAM))
		return !r->paused;
	return c->queued < HTTP_PIPELINE;
}

static void
enqueue(struct http_conn *c, struct http_request *r)
{
	list_push(&c->queue, &r->node);
	c->queued++;
	r->state = HTTP_REQUEST_WORK;
	r->received_at = clock_now();
	stats_add(S_HTTP_IN_FLIGHT, 1);
}

void
http_receive_refuse(struct http_conn *c, const struct http_bad *bad)
{
	struct http_request *r = c->current;

	ASSERT(r != NULL);
	if (r->state == HTTP_REQUEST_HEAD)
		enqueue(c, r);
	if (r->id.ptr == NULL)
		http_request_name(r);
	c->ended = true;
	c->current = NULL;
	if (r->state == HTTP_REQUEST_STREAM) {
		http_stream_cut(r, bad);
		return;
	}
	r->state = HTTP_REQUEST_WORK;
	r->last = true;
	http_reply_bad(r, bad);
}

static void
hand_over(struct http_conn *c, struct http_request *r)
{
	const struct http_options *o = &c->s->o;

	c->current = NULL;
	c->ended |= r->last;
	r->state = HTTP_REQUEST_WORK;
	r->received_at = clock_now();
	if (!http_budget_whole(r))
		return;
	o->routes[r->route].handle(o->app, r);
}

/* The head is whole: `behind` bytes of the connection are there after it. */
static void
head_done(struct http_conn *c, struct http_request *r, const char *bytes, size_t behind)
{
	struct http_bad bad = { 0 };

	if (!http_request_read_head(r, bytes, &bad)) {
		http_receive_refuse(c, &bad);
		return;
	}
	enqueue(c, r);
	r->last = r->frame.close || http_request_has_body(r); /* should it be answered now: the body will not be read */
	if (!http_route_find(r) || !http_budget_head(r)) {
		c->current = NULL;
		return;
	}
	r->last = r->frame.close;
	r->continue_due = r->frame.expects && behind == 0 && http_request_has_body(r);
	if ((http_flags(r) & HTTP_ROUTE_STREAM) != 0) {
		http_stream_begin(c, r);
		return;
	}
	if (!http_request_has_body(r)) {
		hand_over(c, r);
		return;
	}
	r->state = HTTP_REQUEST_BODY;
	if (!r->frame.chunked)
		buf_reserve(
		    &r->body, r->frame.content_length < BODY_FIRST ? (size_t)r->frame.content_length : BODY_FIRST);
}

/* False: the bytes are taken for now, but the head is not whole; or it was refused. */
static bool
take_head(struct http_conn *c, const char *bytes, size_t len, size_t *used_r)
{
	struct http_request *r = c->current;

	switch (http_head_parse(&r->head, &c->s->limits, bytes, len)) {
	case HTTP_PARSE_DONE:
		*used_r = r->head.at;
		head_done(c, r, bytes, len - r->head.at);
		return true;
	case HTTP_PARSE_BAD:
		http_receive_refuse(c, &r->head.bad);
		return false;
	case HTTP_PARSE_MORE:
		break;
	}
	return false;
}

static enum http_parse
take_length(struct http_request *r, const char *bytes, size_t len, size_t *used_r)
{
	size_t left = (size_t)r->frame.content_length - r->body.len;

	*used_r = left < len ? left : len;
	buf_put(&r->body, bytes, *used_r);
	return *used_r == left ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

static size_t
take_body(struct http_conn *c, const char *bytes, size_t len)
{
	struct http_request *r = c->current;
	const struct http_bad *bad;
	enum http_parse p;
	size_t used;

	r->continue_due = false;
	if (r->frame.chunked)
		p = http_chunks_read(&r->chunks, bytes, len, c->s->max_body, &r->body, &used);
	else
		p = take_length(r, bytes, len, &used);
	if (p == HTTP_PARSE_BAD)
		http_receive_refuse(c, &r->chunks.bad);
	else if ((bad = http_budget_grew(r)) != NULL)
		http_receive_refuse(c, bad);
	else if (p == HTTP_PARSE_DONE)
		hand_over(c, r);
	return used;
}

size_t
http_receive(struct http_conn *c, const char *bytes, size_t len)
{
	size_t at = 0, used;

	while (at < len && http_receive_open(c)) {
		used = 0;
		if (c->current == NULL) {
			c->current = http_request_take(c->s, c);
			http_wait_end(&c->reading); /* its own deadline begins */
		}
		if (c->current->state == HTTP_REQUEST_STREAM)
			used = http_stream_take(c, bytes + at, len - at);
		else if (c->current->state == HTTP_REQUEST_BODY)
			used = take_body(c, bytes + at, len - at);
		else if (!take_head(c, bytes + at, len - at, &used))
			break;
		at += used;
	}
	return at;
}
