/* pool_child.c - one child of a pool: its pipes, its task, its end; see pool.h for its states.
 *
 * A task whose envelope the child has not begun to read when it dies was never started: it is put off, and no attempt is charged.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "sys/proc.h"
#include "task/task_msgpack.h"

#include "run/pool.h"

#define CHUNKS 16                  /* read from one pipe in one turn */
#define CHUNKS_AT_END 1024         /* of what a dead child left */
#define WEIGH_EACH (50 * CLOCK_MS) /* the memory of a child is looked at so often at most */

static const char does_not_read[] = "expected it to read its task whole, but it closed its standard input";

/* --- pipes ----------------------------------------------------------------------------------------------------------------------- */

void
pool_child_close(struct pool_child *c, int which)
{
	loop_fd_free(&c->watch[which]);
	if (c->fd[which] >= 0)
		MUST(close(c->fd[which]) == 0);
	c->fd[which] = -1;
}

static bool
pipes_open(struct pool_child *c, int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int ends[2];
		int ours = i == STDIN_FILENO ? 1 : 0;

		if (pipe2(ends, O_CLOEXEC) != 0) {
			log_warning("could not make a pipe for a pool child", log_errno(errno));
			while (--i >= 0)
				MUST(close(theirs[i]) == 0);
			return false;
		}
		c->fd[i] = ends[ours];
		theirs[i] = ends[!ours];
		MUST(fcntl(c->fd[i], F_SETFL, O_NONBLOCK) == 0);
	}
	return true;
}

/* False when the child does not read any more. */
static bool
stdin_write(struct pool_child *c)
{
	while (c->out.len > 0) {
		ssize_t n = write(c->fd[0], c->out.data, c->out.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		buf_consume(&c->out, (size_t)n);
	}
	loop_fd_want(c->watch[0], c->out.len > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return true;
}

/* --- states ---------------------------------------------------------------------------------------------------------------------- */

static bool
state_is_up(enum pool_state s)
{
	return s == POOL_IDLE || s == POOL_BUSY;
}

void
pool_child_move(struct pool_child *c, enum pool_state to)
{
	c->pool->up += state_is_up(to) - state_is_up(c->state);
	c->state = to;
	list_remove(&c->of_idle);
	if (to == POOL_IDLE)
		list_unshift(&c->pool->idle, &c->of_idle);
}

void
pool_child_doom(struct pool_child *c, int sig)
{
	pool_child_move(c, POOL_DOOMED);
	if (c->fd[0] >= 0)
		loop_fd_want(c->watch[0], 0);
	launch_kill(c->pool->env->launch, &c->line, sig);
}

/* Its task has an end.  The pool hears of the child first: the turn after it may give it the next one. */
void
pool_child_over(struct pool_child *c)
{
	struct exec_run *x = c->x;

	x->state = NULL;
	c->x = NULL;
	c->decided = false;
	x->ended(x);
}

/* Without stdin it has nothing to wait for. */
static void
child_leave(struct pool_child *c)
{
	pool_child_move(c, POOL_LEAVING);
	pool_child_close(c, STDIN_FILENO);
	loop_timer_set(c->timer, c->pool->env->conf->kill_grace);
}

/* --- events ---------------------------------------------------------------------------------------------------------------------- */

/* The child has not taken a byte of its envelope: what was written of it is in the pipe still. */
static bool
envelope_is_unread(const struct pool_child *c)
{
	int there = 0;

	return c->fd[0] >= 0 && ioctl(c->fd[0], FIONREAD, &there) == 0 && (size_t)there + c->out.len >= c->sent;
}

/* Nobody reads there any more.  Who has read its task whole may still answer it. */
static void
stdin_closed(struct pool_child *c)
{
	c->deaf = true;
	loop_fd_want(c->watch[0], 0);
	if (c->state == POOL_IDLE || (c->state == POOL_BUSY && envelope_is_unread(c)))
		pool_child_doom(c, SIGKILL);
	else if (c->state == POOL_BUSY && c->out.len > 0)
		pool_hear_wrong(c, does_not_read, (struct span){ 0 });
}

/* Our end is for writing only: it is readable when the other end is closed. */
static void
stdin_event(void *arg, int events)
{
	struct pool_child *c = arg;

	MAGIC_CHECK(c, POOL_CHILD_MAGIC);
	if (events & LOOP_READ || !stdin_write(c))
		stdin_closed(c);
}

static void
stdout_event(void *arg, int events UNUSED)
{
	struct pool_child *c = arg;

	MAGIC_CHECK(c, POOL_CHILD_MAGIC);
	pool_hear_answers(c, CHUNKS);
	if (c->fd[STDOUT_FILENO] < 0 && c->state == POOL_IDLE)
		child_leave(c);
	else if (c->fd[STDOUT_FILENO] < 0 && c->state == POOL_BUSY)
		loop_timer_set(c->timer, c->pool->env->conf->kill_grace);
}

static void
stderr_event(void *arg, int events UNUSED)
{
	struct pool_child *c = arg;

	MAGIC_CHECK(c, POOL_CHILD_MAGIC);
	pool_hear_stderr(c, CHUNKS);
}

/* --- the end --------------------------------------------------------------------------------------------------------------------- */

static void
end_by_status(struct pool_child *c, int status)
{
	struct exec_run *x = c->x;
	struct task_failure f = { .exit = status };
	char text[64];

	proc_status_text(status, text, sizeof(text));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		exec_fail(x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("the child ended without an answer"))->exit =
		    status;
		return;
	}
	task_class_of_exit(status, &f);
	if (f.class == TASK_CRASH)
		exec_crash(x, f.code, status, span_of(text));
	else
		exec_fail(x, f.class, f.code, span_of(c->said[0] != '\0' ? c->said : text))->exit = status;
}

static void
end_by_exit(struct pool_child *c, int status)
{
	int64_t pause = 0;
	char text[64];

	/* What it wrote last is in the pipes still. */
	pool_hear_answers(c, CHUNKS_AT_END);
	pool_hear_stderr(c, CHUNKS_AT_END);
	proc_status_text(status, text, sizeof(text));
	if (!c->ours)
		pause = pool_bereft(c, text);
	if (c->x == NULL || c->decided)
		return;
	if (envelope_is_unread(c) && exec_snooze(c->x, (double)pause / (double)CLOCK_SECOND))
		(void)exec_fail(c->x, TASK_TRANSIENT, "CHILD_LOST", SPAN("the child ended before it read the task"));
	else
		end_by_status(c, status);
}

static void
end_refused(struct pool_child *c, const struct launch_msg *m)
{
	char why[256];

	snprintf(why, sizeof(why), "%s: %s", m->text[0] != '\0' ? m->text : "could not start the command",
	    strerror(m->value));
	(void)pool_bereft(c, why);
}

static void
child_started(struct pool_child *c)
{
	if (c->state != POOL_STARTING)
		return;
	pool_child_move(c, POOL_IDLE);
	if (c->deaf)
		pool_child_doom(c, SIGKILL);
	else if (c->fd[STDOUT_FILENO] < 0)
		child_leave(c);
	else
		pool_rest(c);
}

static void
child_heard(struct launch_run *line, const struct launch_msg *m)
{
	struct pool_child *c = container_of(line, struct pool_child, line);

	MAGIC_CHECK(c, POOL_CHILD_MAGIC);
	if (m != NULL && m->verb == LAUNCH_STARTED) {
		c->pid = m->pid;
		child_started(c);
		return;
	}
	if (m != NULL && m->verb == LAUNCH_EXITED)
		end_by_exit(c, m->value);
	else if (m != NULL)
		end_refused(c, m);
	else if (c->x != NULL && !c->decided)
		exec_crash(c->x, "LAUNCHER_LOST", -1, SPAN("the launcher of the child is gone"));
	pool_gone(c);
	if (c->x != NULL)
		pool_child_over(c);
	pool_child_free(&c);
}

/* Leaving: asked, then killed.  Busy: it can answer no more, and does not end. */
static void
child_late(void *arg)
{
	struct pool_child *c = arg;

	MAGIC_CHECK(c, POOL_CHILD_MAGIC);
	if (c->state == POOL_LEAVING)
		pool_child_hurry(c, c->asked ? 0 : c->pool->env->conf->kill_grace);
	else if (c->state == POOL_BUSY && c->fd[STDOUT_FILENO] < 0)
		pool_hear_wrong(c, "expected it to keep its standard output open", (struct span){ 0 });
}

/* --- public ---------------------------------------------------------------------------------------------------------------------- */

struct pool_child *
pool_child_new(struct pool *p)
{
	static loop_fd_fn *const events[3] = { stdin_event, stdout_event, stderr_event };
	struct pool_child *c = mem_zalloc(sizeof(*c));
	int theirs[3];

	c->magic = POOL_CHILD_MAGIC;
	c->pool = p;
	c->line.heard = child_heard;
	c->in.msgpack = p->handler->format == CONF_FORMAT_MSGPACK;
	c->in.max = (size_t)p->env->conf->work.output_max + POOL_FRAME_EXTRA;
	list_init(&c->line.node);
	list_init(&c->of_idle);
	list_init(&c->node);
	for (int i = 0; i < 3; i++)
		c->fd[i] = -1;
	if (!pipes_open(c, theirs)) {
		pool_child_free(&c);
		return NULL;
	}
	list_push(&p->children, &c->node);
	p->total++;
	c->born_at = clock_now();
	c->timer = loop_timer_new(p->env->loop, child_late, c);
	for (int i = 0; i < 3; i++)
		c->watch[i] = loop_fd_new(p->env->loop, c->fd[i], LOOP_READ, events[i], c);
	launch_start(p->env->launch, &c->line, (int)(p->handler - p->env->conf->handlers), theirs);
	return c;
}

void
pool_child_free(struct pool_child **cp)
{
	struct pool_child *c = *cp;

	for (int i = 0; i < 3; i++)
		pool_child_close(c, i);
	if (!list_empty(&c->node))
		c->pool->total--;
	pool_child_move(c, POOL_DOOMED);
	list_remove(&c->node);
	launch_forget(c->pool->env->launch, &c->line);
	loop_timer_free(&c->timer);
	pool_frames_free(&c->in);
	buf_free(&c->out);
	buf_free(&c->room);
	buf_free(&c->err);
	c->magic = 0;
	mem_free(cp);
}

/* The envelope into `out`, its lease into `lease`. */
static void
envelope_write(struct pool_child *c, const struct exec_run *x)
{
	struct task_envelope e = {
		.row = x->row, .attempt = x->attempt, .lease_id = x->lease_id, .deadline = x->deadline
	};
	struct buf *b = c->in.msgpack ? &c->room : &c->out;

	buf_reset(&c->out);
	buf_reset(b);
	task_envelope_json(b, &e);
	task_lease_format(&x->row->id, x->lease_id, c->lease);
	if (c->in.msgpack)
		task_msgpack_put(&c->out, buf_span(b));
	else
		pool_envelope_line(b, 0);
	c->sent = c->out.len;
}

bool
pool_child_give(struct pool_child *c, struct exec_run *x)
{
	bool reads;

	ASSERT(c->state == POOL_IDLE && c->x == NULL);
	envelope_write(c, x);
	reads = stdin_write(c);
	if (!reads && c->out.len == c->sent) {
		pool_child_doom(c, SIGKILL);
		return false;
	}
	pool_child_move(c, POOL_BUSY);
	c->given_at = clock_now();
	c->x = x;
	x->state = c;
	if (!reads)
		pool_hear_wrong(c, does_not_read, (struct span){ 0 });
	return true;
}

void
pool_child_stop(struct pool_child *c, int sig)
{
	c->ours = true;
	pool_child_doom(c, sig);
}

void
pool_child_forget(struct pool_child *c)
{
	c->x->state = NULL;
	c->x = NULL;
}

void
pool_child_leave(struct pool_child *c)
{
	ASSERT(c->state == POOL_IDLE);
	c->ours = true;
	child_leave(c);
}

void
pool_child_hurry(struct pool_child *c, int64_t grace)
{
	launch_kill(c->pool->env->launch, &c->line, c->asked ? SIGKILL : SIGTERM);
	c->asked = true;
	if (grace > 0)
		loop_timer_set(c->timer, grace);
}

bool
pool_child_overdue(struct pool_child *c)
{
	const struct conf_handler *h = c->pool->handler;
	int64_t now = clock_now();
	struct proc_usage u;

	/* Deaf, or it answered before it had read all: what it would read next is the rest. */
	if (c->deaf || c->out.len > 0)
		return true;
	if (h->recycle_tasks > 0 && c->done >= h->recycle_tasks)
		return true;
	if (h->recycle_after > 0 && now - c->born_at >= h->recycle_after)
		return true;
	if (h->recycle_memory == 0 || c->done == 0 || now - c->weighed_at < WEIGH_EACH)
		return false;
	c->weighed_at = now;
	return proc_usage(c->pid, &u) && u.resident >= h->recycle_memory;
}
