/* http_conn.c - a connection: reads, writes, waits, ends.
 *
 * Whatever happens (bytes came, the socket takes bytes again, a handler answered, a deadline passed) ends in
 * http_conn_settle(): answers leave the queue in order, buffered bytes become requests while there is room, everything is
 * written with one send, and conn_rest() decides what to wait for.  Only conn_rest() and deadlines close, as their last act, so
 * nothing above them on the stack touches a connection that is gone.
 *
 *	open ──last request received or refused──> ended ──all written──> lingering ──client closes, 2 MB or 2 s──> closed
 *
 * Lingering: write, shut down our side, discard what the client still sends.  Closing at once would make the kernel answer those
 * bytes with a reset, and the reset can overtake the answer.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "stats/stats.h"

#include "http/http_int.h"

#define READ_MORE (16 * 1024)
#define LINGER_BYTES (2 * 1024 * 1024)
#define BUF_KEEP 4096 /* an idle connection keeps no greater buffer */

/* --- life ----------------------------------------------------------------------------------------------------------------- */

void
http_conn_open(struct http_server *s, int fd)
{
	struct http_conn *c = mem_zalloc(sizeof(*c));

	c->magic = HTTP_CONN_MAGIC;
	c->s = s;
	c->fd = fd;
	c->reading.c = c->writing.c = c;
	list_init(&c->reading.node);
	list_init(&c->writing.node);
	list_init(&c->queue);
	list_init(&c->touched);
	list_push(&s->conns, &c->node);
	c->want = LOOP_READ;
	c->watch = loop_fd_new(s->o.loop, fd, c->want, http_conn_event, c);
	http_wait_begin(s, &c->reading, HTTP_WAIT_IDLE);
}

/* What a handler still holds lives on without a client; the rest goes. */
static void
let_go(struct http_request *r)
{
	list_remove(&r->node);
	if (r->state == HTTP_REQUEST_WORK || r->state == HTTP_REQUEST_STREAM || r->state == HTTP_REQUEST_FLOW) {
		r->c = NULL;
		list_push(&r->s->orphans, &r->node);
		if (r->state == HTTP_REQUEST_STREAM)
			http_stream_cut(r, NULL);
		else if (r->state == HTTP_REQUEST_FLOW)
			http_flow_cut(r);
		return;
	}
	if (r->state == HTTP_REQUEST_BODY)
		stats_add(S_HTTP_IN_FLIGHT, -1);
	http_request_release(r);
}

void
http_conn_close(struct http_conn *c)
{
	struct http_server *s;
	struct list *node;

	MAGIC_CHECK(c, HTTP_CONN_MAGIC);
	s = c->s;
	if (c->current != NULL && c->current->state == HTTP_REQUEST_HEAD)
		let_go(c->current);
	while ((node = list_first(&c->queue)) != NULL)
		let_go(container_of(node, struct http_request, node));
	http_wait_end(&c->reading);
	http_wait_end(&c->writing);
	list_remove(&c->touched);
	list_remove(&c->node);
	loop_fd_free(&c->watch);
	(void)close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	c->magic = 0;
	mem_free(&c);
	http_server_conn_gone(s);
}

void
http_conn_rest(struct http_conn *c)
{
	MAGIC_CHECK(c, HTTP_CONN_MAGIC);
	if (c->in.len == 0)
		buf_free(&c->in);
	if (c->out.len == 0)
		buf_free(&c->out);
}

/* --- bytes --------------------------------------------------------------------------------------------------------------------- */

static void
conn_eof(struct http_conn *c)
{
	static const struct http_bad cut_off = { 400, "bad_request", "request was cut off" };

	c->eof = true;
	if (c->current != NULL)
		http_receive_refuse(c, &cut_off);
}

/* While nothing is read, behind a full pipeline or a last request, the end of the stream comes unheard: the kernel is asked. */
bool
http_conn_left(const struct http_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	if (c->eof || c->broken)
		return true;
	return (c->want & LOOP_READ) == 0 && poll(&p, 1, 0) > 0;
}

/* One read: into the server's scratch when nothing is left over from the last one, so that a whole request never lies in a buffer of
 * the connection. */
static void
conn_read(struct http_conn *c)
{
	bool fresh = c->in_at == c->in.len;
	char *to = c->s->scratch;
	size_t room = HTTP_SCRATCH, used;
	ssize_t n;

	if (!http_receive_open(c))
		return;
	if (!fresh) {
		buf_consume(&c->in, c->in_at);
		c->in_at = 0;
		buf_reserve(&c->in, READ_MORE);
		to = c->in.data + c->in.len;
		room = READ_MORE;
	}
	n = recv(c->fd, to, room, 0);
	if (n == 0)
		conn_eof(c);
	else if (n < 0)
		c->broken = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
	else if (!fresh)
		c->in.len += (size_t)n;
	else if ((used = http_receive(c, to, (size_t)n)) < (size_t)n && !c->ended)
		buf_put(&c->in, to + used, (size_t)n - used);
}

/* True: something was taken from the buffer. */
static bool
conn_feed(struct http_conn *c)
{
	size_t used;

	if (c->in_at == c->in.len)
		return false;
	used = http_receive(c, c->in.data + c->in_at, c->in.len - c->in_at);
	c->in_at += used;
	if (c->in_at == c->in.len || c->ended) {
		buf_free(&c->in);
		c->in_at = 0;
	}
	return used != 0 || c->ended;
}

/* Answers whose turn it is go to the output. */
static void
conn_collect(struct http_conn *c)
{
	struct list *node;

	while ((node = list_first(&c->queue)) != NULL) {
		struct http_request *r = container_of(node, struct http_request, node);

		if (r->continue_due) {
			buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
			r->continue_due = false;
		}
		if ((r->state != HTTP_REQUEST_DONE && r->state != HTTP_REQUEST_FLOW) || c->broken)
			break;
		buf_putspan(&c->out, buf_span(&r->out));
		buf_reset(&r->out);
		if (r->state == HTTP_REQUEST_FLOW)
			break;
		c->queued--;
		http_request_release(r);
	}
}

static void
out_flushed(struct http_conn *c)
{
	c->out_at = 0;
	if (c->out.cap > BUF_KEEP)
		buf_free(&c->out);
	else
		buf_reset(&c->out);
	http_wait_end(&c->writing);
}

static void
conn_write(struct http_conn *c)
{
	ssize_t n;

	while (c->out_at < c->out.len) {
		n = send(c->fd, c->out.data + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = errno != EAGAIN && errno != EWOULDBLOCK;
			break;
		}
		c->out_at += (size_t)n;
		c->sent += (uint64_t)n;
	}
	if (c->out_at == c->out.len) {
		out_flushed(c);
		return;
	}
	if (c->out_at >= HTTP_OUT_HIGH) {
		buf_consume(&c->out, c->out_at);
		c->out_at = 0;
	}
	if (c->writing.kind == HTTP_WAIT_NONE || c->sent >= c->mark) {
		c->mark = c->sent + c->out.len - c->out_at;
		http_wait_begin(c->s, &c->writing, HTTP_WAIT_WRITE);
	}
}

/* --- what to wait for ------------------------------------------------------------------------------------------------------------ */

static void
conn_want(struct http_conn *c, int want)
{
	if (c->want != want)
		loop_fd_want(c->watch, want);
	c->want = want;
}

static void
linger_begin(struct http_conn *c)
{
	if (shutdown(c->fd, SHUT_WR) != 0) {
		http_conn_close(c);
		return;
	}
	c->lingering = true;
	buf_free(&c->in);
	c->in_at = 0;
	conn_want(c, LOOP_READ);
	http_wait_begin(c->s, &c->reading, HTTP_WAIT_LINGER);
}

static void
linger_read(struct http_conn *c)
{
	ssize_t n = recv(c->fd, c->s->scratch, HTTP_SCRATCH, 0);

	if (n > 0)
		c->discarded += (size_t)n;
	if (n == 0 || c->discarded > LINGER_BYTES || (n < 0 && errno != EAGAIN && errno != EINTR))
		http_conn_close(c);
}

static enum http_wait_kind
conn_waits_for(const struct http_conn *c, bool reading, bool writing)
{
	if (!reading)
		return HTTP_WAIT_NONE;
	if (c->current == NULL && (c->queued != 0 || writing))
		return HTTP_WAIT_NONE;
	if (c->current == NULL)
		return c->s->draining ? HTTP_WAIT_FIRST : HTTP_WAIT_IDLE;
	if (c->current->state == HTTP_REQUEST_STREAM)
		return HTTP_WAIT_STREAM;
	return c->current->state == HTTP_REQUEST_HEAD ? HTTP_WAIT_HEAD : HTTP_WAIT_BODY;
}

/* Nothing is in flight and nothing will be asked.  While draining that is so once there was an answer, for clients know that a kept
 * connection may close; but one who has just come has his request on the way. */
static bool
conn_is_over(const struct http_conn *c)
{
	return c->eof || (c->s->draining && !c->ended && c->sent > 0);
}

/* Everything that can be done now is done. */
static void
conn_rest(struct http_conn *c)
{
	bool writing = c->out_at < c->out.len, reading = http_receive_open(c);
	bool quiet = c->queued == 0 && c->current == NULL && !writing;
	enum http_wait_kind kind = conn_waits_for(c, reading, writing);

	if (c->broken || (quiet && conn_is_over(c))) {
		http_conn_close(c);
		return;
	}
	if (quiet && c->ended) {
		linger_begin(c);
		return;
	}
	conn_want(c, (reading ? LOOP_READ : 0) | (writing ? LOOP_WRITE : 0));
	if (kind == HTTP_WAIT_NONE)
		http_wait_end(&c->reading);
	else if (kind != c->reading.kind || kind == HTTP_WAIT_IDLE || kind == HTTP_WAIT_STREAM)
		http_wait_begin(c->s, &c->reading, kind);
}

void
http_conn_settle(struct http_conn *c)
{
	bool open;

	MAGIC_CHECK(c, HTTP_CONN_MAGIC);
	if (c->lingering)
		return;
	c->settling = true;
	do {
		do {
			conn_collect(c);
			open = http_receive_open(c);
		} while (open && conn_feed(c));
		conn_write(c);
	} while (http_flow_next(c) || (!open && http_receive_open(c))); /* the write made room */
	c->settling = false;
	conn_rest(c);
}

/* --- events -------------------------------------------------------------------------------------------------------------------- */

void
http_conn_event(void *conn, int events)
{
	struct http_conn *c = conn;

	MAGIC_CHECK(c, HTTP_CONN_MAGIC);
	if (c->lingering) {
		linger_read(c);
		return;
	}
	c->settling = true;
	if ((events & LOOP_READ) != 0)
		conn_read(c);
	http_conn_settle(c);
}

void
http_conn_touch(struct http_conn *c)
{
	if (c->settling || !list_empty(&c->touched))
		return;
	list_push(&c->s->touched, &c->touched);
	if (!loop_timer_is_set(c->s->flush))
		loop_timer_set(c->s->flush, 0);
}

void
http_conn_expired(struct http_conn *c, enum http_wait_kind kind)
{
	static const struct http_bad late_head = { 408, "request_timeout", "the head of the request took too long" };
	static const struct http_bad late_body = { 408, "request_timeout", "the body of the request took too long" };
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	MAGIC_CHECK(c, HTTP_CONN_MAGIC);
	if (kind == HTTP_WAIT_HEAD || kind == HTTP_WAIT_BODY || kind == HTTP_WAIT_STREAM) {
		c->settling = true;
		http_receive_refuse(c, kind == HTTP_WAIT_HEAD ? &late_head : &late_body);
		http_conn_settle(c);
		return;
	}
	if (kind == HTTP_WAIT_WRITE) /* the kernel need not keep for minutes what nobody takes */
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	http_conn_close(c);
}

/* A request may lie in the socket already: it is answered; conn_rest() closes a connection that is over. */
void
http_conn_drain(struct http_conn *c)
{
	if (!c->lingering && c->queued == 0 && c->current == NULL && c->out_at == c->out.len)
		http_conn_event(c, LOOP_READ);
}
