/* role_launcher.c - the process that starts exec handlers, so that none with a database connection has to fork.
 *
 * Workers connect to the socket of their generation and speak run/launch.h.  A worker that is gone (its connection ended) takes its runs
 * with it: all are killed, and only when the last process of the last one is gone is the worker's inc written to the keeper's
 * pipe, which makes its leases free for others.  When the launcher itself dies its handlers get SIGKILL by their parent-death signal, and the
 * supervisor ends what they had started.
 *
 * Drain: the launcher serves until all workers have gone.  Now: it kills every run, then leaves.  How a process is
 * started: launch_spawn.c; how a run is known to be over: launch_reap.c.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "log/log.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "role/launch_int.h"
#include "role/role.h"

#define LAUNCHER_TURN 64                     /* messages of one worker before others have their turn */
#define LAUNCHER_PIPE_RETRY (50 * CLOCK_MS)  /* when the keeper's pipe is full */
#define LAUNCHER_PATIENCE (3 * CLOCK_SECOND) /* beyond what a worker may take */
#define LAUNCHER_MAGIC 0x6c617563u
#define PEER_MAGIC 0x70656572u

struct launcher {
	unsigned magic;
	const struct super_child *me;
	struct role *role;
	struct loop_fd *listener;
	struct list peers;
	struct launch_runs *runs;
	struct launch_kind *kinds;
	struct loop_timer *pipe_retry;
	uid_t worker_uid; /* who may connect, beside us and root */
	bool killed;      /* runs were ended by us, not by their worker */
};

/* A connected worker. */
struct launch_peer {
	unsigned magic;
	struct list node;
	struct launcher *launcher;
	int fd; /* -1: gone */
	struct loop_fd *watch;
	int64_t inc;
	bool greeted;
	struct list runs;
	struct buf out; /* whole messages it did not take yet */
};

static struct launch_run *
launcher_run_at(struct list *node)
{
	return container_of(node, struct launch_run, of_peer);
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void
launcher_end_if_idle(struct launcher *l)
{
	if (role_draining(l->role) && launch_runs_count(l->runs) == 0 && (list_empty(&l->peers) || l->killed))
		role_done(l->role, l->killed ? EX_TEMPFAIL : EX_OK);
}

/* True when the keeper knows that the worker is gone with all its handlers. */
static bool
peer_announce(struct launch_peer *p)
{
	if (!p->greeted || write(p->launcher->me->gone_pipe[1], &p->inc, sizeof(p->inc)) == (ssize_t)sizeof(p->inc))
		return true;
	/* EPIPE: no keeper will ever read it; leases then end by time. */
	return errno != EAGAIN && errno != EINTR;
}

static void
peer_free(struct launch_peer *p)
{
	loop_fd_free(&p->watch);
	if (p->fd >= 0)
		MUST(close(p->fd) == 0);
	list_remove(&p->node);
	buf_free(&p->out);
	mem_free(&p);
}

/* A worker without connection and without runs is forgotten when it was announced. */
static void
peer_free_if_gone(struct launch_peer *p)
{
	struct launcher *l = p->launcher;

	if (p->fd >= 0 || !list_empty(&p->runs))
		return;
	if (!peer_announce(p)) {
		loop_timer_set(l->pipe_retry, LAUNCHER_PIPE_RETRY);
		return;
	}
	log_debug("worker is gone with all its handlers", log_int("inc", p->inc));
	peer_free(p);
	launcher_end_if_idle(l);
}

static void
launcher_on_pipe_retry(void *arg)
{
	struct launcher *l = arg;
	struct list *at, *next;

	MAGIC_CHECK(l, LAUNCHER_MAGIC);
	LIST_FOREACH_SAFE (at, next, &l->peers)
		peer_free_if_gone(container_of(at, struct launch_peer, node));
}

static void
peer_kill_runs(struct launch_peer *p)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &p->runs)
		launch_run_kill(launcher_run_at(at), SIGKILL);
}

static void
peer_close(struct launch_peer *p)
{
	if (p->fd < 0)
		return;
	if (!list_empty(&p->runs))
		log_notice("worker is gone, its handlers are killed", log_int("inc", p->inc));
	loop_fd_free(&p->watch);
	MUST(close(p->fd) == 0);
	p->fd = -1;
	peer_kill_runs(p);
	peer_free_if_gone(p);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

/* False when the connection broke. */
static bool
peer_flush(struct launch_peer *p)
{
	while (p->out.len > 0) {
		if (!sock_send_fds(p->fd, p->out.data, sizeof(struct launch_msg), NULL, 0)) {
			if (errno != EAGAIN)
				return false;
			loop_fd_want(p->watch, LOOP_READ | LOOP_WRITE);
			return true;
		}
		buf_consume(&p->out, sizeof(struct launch_msg));
	}
	loop_fd_want(p->watch, LOOP_READ);
	return true;
}

/* What breaks here is noticed, as an end of the connection, on the next turn. */
static void
peer_say(struct launch_peer *p, const struct launch_msg *m)
{
	if (p->fd < 0)
		return;
	buf_put(&p->out, m, sizeof(*m));
	if (p->out.len == sizeof(*m))
		(void)peer_flush(p);
}

static void
launcher_on_gone(void *arg, struct launch_run *run)
{
	struct launcher *l = arg;
	struct launch_peer *p = run->peer;
	struct launch_msg m = { .verb = LAUNCH_EXITED, .value = run->status, .token = run->token, .pid = run->pid };

	MAGIC_CHECK(l, LAUNCHER_MAGIC);
	MAGIC_CHECK(p, PEER_MAGIC);
	list_remove(&run->of_peer);
	peer_say(p, &m);
	peer_free_if_gone(p);
	launcher_end_if_idle(l);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static void
peer_on_start(struct launch_peer *p, const struct launch_msg *ask, const int *fds, int nfds)
{
	struct launcher *l = p->launcher;
	struct launch_msg m = { .verb = LAUNCH_REFUSED, .value = EINVAL, .token = ask->token };
	char mark[LAUNCH_MARK];
	pid_t pid = 0;

	launch_mark_next(l->runs, mark);
	if (!p->greeted || nfds != 3 || ask->handler < 0 || ask->handler >= l->me->conf->nhandlers)
		snprintf(m.text, sizeof(m.text), "a start without greeting, handler or descriptors");
	else if (l->killed)
		snprintf(m.text, sizeof(m.text), "the launcher is leaving");
	else
		pid = launch_spawn(&l->kinds[ask->handler], mark, fds, &m);
	if (pid > 0) {
		struct launch_run *run = launch_run_add(l->runs, p, ask->token, pid, mark);

		list_push(&p->runs, &run->of_peer);
		m.verb = LAUNCH_STARTED;
		m.value = 0;
		m.pid = pid;
	}
	if (m.verb != LAUNCH_STARTED || ask->value != LAUNCH_QUIET)
		peer_say(p, &m);
}

static void
peer_on_kill(struct launch_peer *p, const struct launch_msg *ask)
{
	struct list *at, *next;

	if (ask->value <= 0 || ask->value >= NSIG)
		return;
	LIST_FOREACH_SAFE (at, next, &p->runs)
		if (launcher_run_at(at)->token == ask->token)
			launch_run_kill(launcher_run_at(at), ask->value);
}

static void
peer_on_msg(struct launch_peer *p, const struct launch_msg *m, const int *fds, int nfds)
{
	switch (m->verb) {
	case LAUNCH_HELLO:
		p->inc = m->inc;
		p->greeted = true;
		return;
	case LAUNCH_START:
		peer_on_start(p, m, fds, nfds);
		return;
	case LAUNCH_KILL:
		peer_on_kill(p, m);
		return;
	default:
		log_error("worker says what only the launcher says", log_int("verb", m->verb));
	}
}

enum peer_read { PEER_MORE, PEER_NOTHING, PEER_END };

static enum peer_read
peer_read(struct launch_peer *p)
{
	struct launch_msg m;
	int fds[4], nfds = ARRAY_LEN(fds);
	ssize_t n = sock_recv_fds(p->fd, &m, sizeof(m), fds, &nfds);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? PEER_NOTHING : PEER_END;
	if (n == (ssize_t)sizeof(m))
		peer_on_msg(p, &m, fds, nfds);
	for (int i = 0; i < nfds; i++)
		MUST(close(fds[i]) == 0);
	return n == (ssize_t)sizeof(m) ? PEER_MORE : PEER_END;
}

static void
peer_on_io(void *arg, int events)
{
	struct launch_peer *p = arg;
	enum peer_read got = PEER_MORE;

	MAGIC_CHECK(p, PEER_MAGIC);
	if ((events & LOOP_WRITE) != 0 && !peer_flush(p))
		got = PEER_END;
	for (int i = 0; i < LAUNCHER_TURN && got == PEER_MORE; i++)
		got = peer_read(p);
	if (got == PEER_END)
		peer_close(p);
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

/* The user alone is not enough: a handler without one of its own runs as the same.  Workers are children of the supervisor, handlers and
 * what they leave behind are ours.  On a machine that hides processes (hidepid) only root sees the parent of one that hides itself. */
static bool
launcher_knows(const struct launcher *l, int fd)
{
	pid_t pid, parent;
	uid_t uid;

	if (!sock_peer(fd, &pid, &uid) || (uid != 0 && uid != geteuid() && uid != l->worker_uid))
		return false;
	parent = proc_parent(pid);
	if (parent == 0 && geteuid() != 0)
		return kill(pid, 0) == 0;
	return parent == l->me->supervisor || pid == l->me->supervisor;
}

static void
launcher_accept(struct launcher *l, int fd)
{
	struct launch_peer *p;

	if (!launcher_knows(l, fd)) {
		log_warning("connection refused: not a worker of ours");
		MUST(close(fd) == 0);
		return;
	}
	p = mem_zalloc(sizeof(*p));
	p->magic = PEER_MAGIC;
	p->launcher = l;
	p->fd = fd;
	list_init(&p->runs);
	list_push(&l->peers, &p->node);
	p->watch = loop_fd_new(role_loop(l->role), fd, LOOP_READ, peer_on_io, p);
}

static void
launcher_on_connect(void *arg, int events UNUSED)
{
	struct launcher *l = arg;
	int fd;

	MAGIC_CHECK(l, LAUNCHER_MAGIC);
	while ((fd = accept4(l->me->launch_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		launcher_accept(l, fd);
}

/* --- the role ------------------------------------------------------------------------------------------------------- */

static void
launcher_drain(void *arg)
{
	struct launcher *l = arg;

	MAGIC_CHECK(l, LAUNCHER_MAGIC);
	loop_fd_want(l->listener, 0);
	launcher_end_if_idle(l);
}

static void
launcher_now(void *arg)
{
	struct launcher *l = arg;
	struct list *at, *next;

	MAGIC_CHECK(l, LAUNCHER_MAGIC);
	l->killed = true;
	log_notice("all handlers are killed", log_int("count", launch_runs_count(l->runs)));
	LIST_FOREACH_SAFE (at, next, &l->peers)
		peer_kill_runs(container_of(at, struct launch_peer, node));
	launcher_end_if_idle(l);
}

static uid_t
launcher_worker_uid(const struct conf *c)
{
	struct passwd *pw = c->user[0] != '\0' ? getpwnam(c->user) : NULL;

	return pw != NULL ? pw->pw_uid : geteuid();
}

static void
launcher_free(struct launcher *l)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &l->peers)
		peer_free(container_of(at, struct launch_peer, node));
	loop_fd_free(&l->listener);
	loop_timer_free(&l->pipe_retry);
	launch_runs_free(&l->runs);
	launch_kinds_free(&l->kinds, l->me->conf->nhandlers);
}

int
role_launcher(const struct super_child *me)
{
	struct launcher l = { .magic = LAUNCHER_MAGIC, .me = me, .worker_uid = launcher_worker_uid(me->conf) };
	struct role_ops ops = { .name = "launcher",
		.drain = launcher_drain,
		.now = launcher_now,
		.patience = me->conf->kill_grace + LAUNCHER_PATIENCE };
	int code;

	list_init(&l.peers);
	l.role = role_begin(me, &ops, &l);
	l.kinds = launch_kinds_new(me->conf);
	l.runs = launch_runs_new(role_loop(l.role), launcher_on_gone, &l);
	l.pipe_retry = loop_timer_new(role_loop(l.role), launcher_on_pipe_retry, &l);
	l.listener = loop_fd_new(role_loop(l.role), me->launch_listener, LOOP_READ, launcher_on_connect, &l);
	code = role_run(l.role);
	launcher_free(&l);
	return code;
}
