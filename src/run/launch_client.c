/* launch_client.c - a worker's line to the launcher; see launch_client.h.
 *
 * Messages are kept in order in a queue of their own when the socket is full.  Trouble is only noted where it is met; the
 * line is cut and the runs are told on the next turn, from a timer, so that no caller is called back inside its call.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "log/log.h"
#include "sys/sys.h"

#include "run/launch_client.h"

#define LAUNCH_BUCKETS 256
#define LAUNCH_PAUSE_MIN (20 * CLOCK_MS)
#define LAUNCH_PAUSE_MAX CLOCK_SECOND
#define LAUNCH_BURST 64 /* messages read in one turn */

struct letter {
	struct list node;
	struct launch_msg msg;
	int fds[3];
	int nfds;
};

struct launch {
	unsigned magic;
	struct loop *loop;
	char *path;
	int64_t inc; /* 0: not known yet, no line */
	int fd;      /* -1: no line */
	struct loop_fd *watch;
	struct loop_timer *timer; /* cut what is broken, or connect again */
	const char *broken;       /* why, until the timer has cut it */
	int64_t pause;
	void (*changed)(void *arg);
	void *arg;
	uint64_t last_token;
	struct list letters; /* not sent yet */
	struct list runs[LAUNCH_BUCKETS];
};
#define LAUNCH_MAGIC 0x6c617563u

static void
letter_free(struct letter *m)
{
	list_remove(&m->node);
	for (int i = 0; i < m->nfds; i++)
		MUST(close(m->fds[i]) == 0);
	mem_free(&m);
}

static void
letters_free(struct launch *l)
{
	struct list *pos;

	while ((pos = list_first(&l->letters)) != NULL)
		letter_free(container_of(pos, struct letter, node));
}

static void
line_close(struct launch *l)
{
	letters_free(l);
	loop_fd_free(&l->watch);
	if (l->fd >= 0)
		MUST(close(l->fd) == 0);
	l->fd = -1;
	l->broken = NULL;
}

static void
line_break(struct launch *l, const char *why)
{
	if (l->broken != NULL || l->fd < 0)
		return;
	l->broken = why;
	loop_fd_want(l->watch, 0);
	loop_timer_set(l->timer, 0);
}

/* --- sending ---------------------------------------------------------------------------------------------------------------- */

static void
letters_send(struct launch *l)
{
	struct list *pos;

	while (l->broken == NULL && (pos = list_first(&l->letters)) != NULL) {
		struct letter *m = container_of(pos, struct letter, node);

		if (!sock_send_fds(l->fd, &m->msg, sizeof(m->msg), m->fds, m->nfds)) {
			if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ENOBUFS)
				line_break(l, "could not send to the launcher");
			break;
		}
		letter_free(m);
	}
	if (l->broken == NULL && l->watch != NULL)
		loop_fd_want(l->watch, list_empty(&l->letters) ? LOOP_READ : LOOP_READ | LOOP_WRITE);
}

static void
letter_send(struct launch *l, const struct launch_msg *msg, const int *fds, int nfds)
{
	struct letter *m = mem_zalloc(sizeof(*m));

	m->msg = *msg;
	m->nfds = nfds;
	for (int i = 0; i < nfds; i++)
		m->fds[i] = fds[i];
	list_push(&l->letters, &m->node);
	letters_send(l);
}

/* --- runs ------------------------------------------------------------------------------------------------------------------- */

static struct launch_run *
run_find(struct launch *l, uint64_t token)
{
	struct list *bucket = &l->runs[token % LAUNCH_BUCKETS], *pos;

	for (pos = bucket->next; pos != bucket; pos = pos->next) {
		struct launch_run *w = container_of(pos, struct launch_run, node);

		if (w->token == token)
			return w;
	}
	return NULL;
}

/* Every run hears the end once; the list may change under our feet while they do. */
static void
runs_lost(struct launch *l)
{
	struct list lost = LIST_INIT(lost), *pos;

	for (size_t i = 0; i < LAUNCH_BUCKETS; i++)
		list_append_all(&lost, &l->runs[i]);
	while ((pos = list_first(&lost)) != NULL) {
		struct launch_run *w = container_of(pos, struct launch_run, node);

		list_remove(&w->node);
		w->heard(w, NULL);
	}
}

/* --- hearing ---------------------------------------------------------------------------------------------------------------- */

static void
hear(struct launch *l, const struct launch_msg *m)
{
	struct launch_run *w = run_find(l, m->token);

	if (w == NULL)
		return; /* forgotten */
	if (m->verb == LAUNCH_REFUSED || m->verb == LAUNCH_EXITED)
		list_remove(&w->node);
	else if (m->verb != LAUNCH_STARTED)
		return;
	w->heard(w, m);
}

static void
line_read(struct launch *l)
{
	for (int i = 0; i < LAUNCH_BURST && l->broken == NULL && l->fd >= 0; i++) {
		struct launch_msg m;
		int nfds = 0;
		ssize_t n = sock_recv_fds(l->fd, &m, sizeof(m), NULL, &nfds);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(m)) {
			line_break(l, n == 0 ? "the launcher ended" : "could not read from the launcher");
			return;
		}
		m.text[sizeof(m.text) - 1] = '\0';
		hear(l, &m);
	}
}

static void
line_event(void *arg, int events)
{
	struct launch *l = arg;

	MAGIC_CHECK(l, LAUNCH_MAGIC);
	if (events & LOOP_WRITE)
		letters_send(l);
	if (events & LOOP_READ)
		line_read(l);
}

/* --- connecting --------------------------------------------------------------------------------------------------------------- */

static void
line_open(struct launch *l)
{
	struct launch_msg hello = { .verb = LAUNCH_HELLO, .inc = l->inc };

	l->fd = sock_seqpacket_connect(l->path);
	if (l->fd < 0) {
		log_warning("could not connect to the launcher", log_str("path", l->path), log_errno(errno));
		loop_timer_set(l->timer, l->pause);
		l->pause = l->pause * 2 < LAUNCH_PAUSE_MAX ? l->pause * 2 : LAUNCH_PAUSE_MAX;
		return;
	}
	l->pause = LAUNCH_PAUSE_MIN;
	l->watch = loop_fd_new(l->loop, l->fd, LOOP_READ, line_event, l);
	letter_send(l, &hello, NULL, 0);
	l->changed(l->arg);
}

static void
line_timer(void *arg)
{
	struct launch *l = arg;

	MAGIC_CHECK(l, LAUNCH_MAGIC);
	if (l->broken != NULL) {
		log_warning("lost the launcher", log_str("why", l->broken));
		line_close(l);
		loop_timer_set(l->timer, l->pause);
		runs_lost(l);
		l->changed(l->arg);
		return;
	}
	if (l->fd < 0 && l->inc != 0)
		line_open(l);
}

/* --- public ------------------------------------------------------------------------------------------------------------------- */

bool
launch_pipes(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++)
		ours[i] = -1;
	for (int i = 0; i < 3; i++) {
		int ends[2], mine = i == STDIN_FILENO ? 1 : 0;

		if (pipe2(ends, O_CLOEXEC) != 0) {
			log_warning("could not make a pipe for a command", log_errno(errno));
			while (--i >= 0)
				MUST(close(theirs[i]) == 0);
			return false;
		}
		ours[i] = ends[mine];
		theirs[i] = ends[!mine];
		MUST(fcntl(ours[i], F_SETFL, O_NONBLOCK) == 0);
	}
	return true;
}

bool
launch_pour(int fd, struct buf *b)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < b->len) {
		n = write(fd, b->data + done, b->len - done);
		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	n = n < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
	buf_consume(b, done);
	return n == 0;
}

struct launch *
launch_new(struct loop *loop, const char *path, void (*changed)(void *arg), void *arg)
{
	struct launch *l = mem_zalloc(sizeof(*l));

	l->magic = LAUNCH_MAGIC;
	l->loop = loop;
	l->path = mem_strdup(path);
	l->changed = changed;
	l->arg = arg;
	l->fd = -1;
	l->pause = LAUNCH_PAUSE_MIN;
	l->timer = loop_timer_new(loop, line_timer, l);
	list_init(&l->letters);
	for (size_t i = 0; i < LAUNCH_BUCKETS; i++)
		list_init(&l->runs[i]);
	return l;
}

void
launch_free(struct launch **lp)
{
	struct launch *l = *lp;

	if (l == NULL)
		return;
	MAGIC_CHECK(l, LAUNCH_MAGIC);
	line_close(l);
	for (size_t i = 0; i < LAUNCH_BUCKETS; i++)
		while (list_first(&l->runs[i]) != NULL)
			list_remove(list_first(&l->runs[i]));
	loop_timer_free(&l->timer);
	mem_free(&l->path);
	l->magic = 0;
	mem_free(lp);
}

void
launch_hello(struct launch *l, int64_t inc)
{
	if (inc == 0 || inc == l->inc)
		return;
	l->inc = inc;
	if (l->fd >= 0)
		line_break(l, "this worker has a new identity");
	else if (l->broken == NULL && !loop_timer_is_set(l->timer))
		line_open(l);
}

bool
launch_ready(const struct launch *l)
{
	return l->fd >= 0 && l->broken == NULL;
}

void
launch_start(struct launch *l, struct launch_run *w, int handler, const int fds[3])
{
	struct launch_msg m = { .verb = LAUNCH_START, .handler = handler, .inc = l->inc };

	ASSERT(launch_ready(l));
	m.value = w->quiet ? LAUNCH_QUIET : 0;
	m.token = w->token = ++l->last_token;
	list_push(&l->runs[w->token % LAUNCH_BUCKETS], &w->node);
	letter_send(l, &m, fds, 3);
}

void
launch_kill(struct launch *l, const struct launch_run *w, int sig)
{
	struct launch_msg m = { .verb = LAUNCH_KILL, .token = w->token, .value = sig, .inc = l->inc };

	if (launch_ready(l))
		letter_send(l, &m, NULL, 0);
}

void
launch_forget(struct launch *l, struct launch_run *w)
{
	(void)l;
	list_remove(&w->node);
}

void
launch_cut(struct launch *l, const char *why)
{
	line_break(l, why);
}
