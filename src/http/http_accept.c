/* http_accept.c - which connections this process takes.
 *
 * All acceptors of a node watch the same sockets.  Submissions of one process share a commit, and a process with few of them makes many
 * small commits beside the large ones of the others; so who holds clearly more connections than another leaves a new one to him for a
 * moment, and takes it when nobody came.
 *
 * The sockets stay open when we stop watching them: what waits in a backlog is taken by somebody else.  Out of descriptors, accepting
 * pauses for a moment instead of spinning; at max_connections it stops until one is closed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"
#include "sys/seats.h"

#include "http/http_int.h"

#define ACCEPT_PAUSE (100 * CLOCK_MS) /* after accept() failed for want of descriptors or memory */
#define YIELD_TIME CLOCK_MS           /* for another process to come */

/* The others need not wait for one that takes none. */
static void
seat(const struct http_server *s)
{
	if (s->o.seats == NULL)
		return;
	if (s->listening)
		seats_set(s->o.seats, s->o.index, s->nconns);
	else
		seats_leave(s->o.seats, s->o.index);
}

void
http_accept_update(struct http_server *s)
{
	bool want = !s->draining && !loop_timer_is_set(s->pause) && s->nconns < s->o.conf->http.max_connections;
	int i;

	if (want == s->listening || s->listeners == NULL)
		return;
	s->listening = want;
	for (i = 0; i < s->o.nlisteners; i++)
		loop_fd_want(s->listeners[i], want ? LOOP_READ : 0);
	seat(s);
}

static void
pause_for(struct http_server *s, int64_t us)
{
	loop_timer_set(s->pause, us);
	http_accept_update(s);
}

void
http_accept_resume(void *server)
{
	struct http_server *s = server;

	http_accept_update(s);
}

void
http_accept_count(struct http_server *s, int more)
{
	s->nconns += more;
	stats_set(S_HTTP_CONNECTIONS, s->nconns);
	http_accept_update(s);
	seat(s);
}

static void
accept_failed(struct http_server *s, int error)
{
	if (error == EINTR || error == ECONNABORTED || error == EPROTO || error == EAGAIN || error == EWOULDBLOCK)
		return; /* the loop tells when there is another */
	log_warning("could not accept a connection, pausing", log_errno(error), log_int("connections", s->nconns));
	pause_for(s, ACCEPT_PAUSE);
}

static void
accept_one(struct http_server *s, int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		accept_failed(s, errno);
		return;
	}
	/* fails on unix sockets, where it means nothing */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	stats_inc(S_HTTP_CONNECTIONS_TOTAL);
	http_conn_open(s, fd);
	http_accept_count(s, 1);
}

/* Whether what came is left to another for a moment: once. */
static bool
yield(struct http_server *s)
{
	if (s->yielded || s->o.seats == NULL || !seats_fewer(s->o.seats, s->o.index, s->nconns)) {
		s->yielded = false;
		return false;
	}
	s->yielded = true;
	pause_for(s, YIELD_TIME);
	return true;
}

/* One connection of each listener in a turn: the other processes have turns too. */
void
http_accept_event(void *arg, int events)
{
	struct http_server *s = arg;
	int i;

	(void)events;
	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	if (yield(s))
		return;
	for (i = 0; i < s->o.nlisteners && s->listening; i++)
		accept_one(s, s->o.listeners[i]);
}
