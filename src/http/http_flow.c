/* http_flow.c - answers of unknown length, in pieces: chunks for HTTP/1.1, bytes up to the end of the connection for HTTP/1.0.
 *
 * The handler makes the next piece only when it is asked for: when all answers before it are out, and the socket has taken every byte
 * of the piece before.  So there is one piece in memory however slowly the client reads; one that does not read at all meets
 * http.write_timeout.  An answer that cannot be finished ends with its connection, without the last chunk: nobody takes it for whole.
 */
#include "stats/stats.h"

#include "http/http_int.h"

static bool
is_chunked(const struct http_request *r)
{
	return r->head.minor > 0;
}

static struct buf *
out_of(struct http_request *r)
{
	return list_first(&r->c->queue) == &r->node ? &r->c->out : &r->out;
}

static void
flow_done(struct http_request *r)
{
	r->state = HTTP_REQUEST_DONE;
	http_answer_count(r, r->flow_status);
	http_conn_touch(r->c);
}

bool
http_reply_begin(struct http_request *r, int status, const char *content_type, const struct http_flow *f, void *arg)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	ASSERT(r->state == HTTP_REQUEST_WORK);
	if (r->c == NULL) {
		stats_add(S_HTTP_IN_FLIGHT, -1);
		http_request_release(r);
		return false;
	}
	r->last = !is_chunked(r) || http_answer_is_last(r);
	r->c->ended |= r->last;
	http_answer_head(r, out_of(r), status, content_type, is_chunked(r) ? "Transfer-Encoding: chunked" : NULL);
	r->flow = f;
	r->flow_arg = arg;
	r->flow_status = status;
	if (r->method == HTTP_HEAD) {
		stats_add(S_HTTP_IN_FLIGHT, -1);
		flow_done(r);
		return false;
	}
	r->state = HTTP_REQUEST_FLOW;
	r->flow_waits = true;
	http_conn_touch(r->c);
	return true;
}

bool
http_reply_piece(struct http_request *r, struct span piece)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	ASSERT(r->state == HTTP_REQUEST_FLOW && !r->flow_waits);
	if (r->c == NULL)
		return false;
	if (is_chunked(r) && piece.len > 0) /* an empty chunk would be the end */
		buf_printf(&r->c->out, "%zx\r\n", piece.len);
	buf_putspan(&r->c->out, piece);
	if (is_chunked(r) && piece.len > 0)
		buf_puts(&r->c->out, "\r\n");
	r->flow_waits = true;
	http_conn_touch(r->c);
	return true;
}

void
http_reply_end(struct http_request *r, bool whole)
{
	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	ASSERT(r->state == HTTP_REQUEST_FLOW && !r->flow_waits);
	stats_add(S_HTTP_IN_FLIGHT, -1);
	if (r->c == NULL) {
		http_request_release(r);
		return;
	}
	if (!whole)
		r->c->broken = true;
	else if (is_chunked(r))
		buf_puts(&r->c->out, "0\r\n\r\n");
	flow_done(r);
}

/* --- for the connection ---------------------------------------------------------------------------------------------------- */

bool
http_flow_next(struct http_conn *c)
{
	struct list *node = list_first(&c->queue);
	struct http_request *r = node != NULL ? container_of(node, struct http_request, node) : NULL;

	if (r == NULL || r->state != HTTP_REQUEST_FLOW || !r->flow_waits || c->broken || c->out_at < c->out.len)
		return false;
	r->flow_waits = false;
	r->flow->more(r->flow_arg, false);
	return true;
}

void
http_flow_cut(struct http_request *r)
{
	ASSERT(r->state == HTTP_REQUEST_FLOW && r->c == NULL);
	if (!r->flow_waits)
		return; /* its next piece tells */
	r->flow_waits = false;
	r->flow->more(r->flow_arg, true);
}
