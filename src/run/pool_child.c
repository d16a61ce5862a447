/* pool_child.c - one child of a pool: its pipes, its states (pool.h), its end; what it has to do is in pool_job.c. */
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

/* --- pipes ----------------------------------------------------------------------------------------------------------------------- */

void
pool_child_close(struct pool_child *c, int which)
{
	loop_fd_free(&c->watch[which]);
	if (c->fd[which] >= 0)
		MUST(close(c->fd[which]) == 0);
	c->fd[which] = -1;
}

/* False when the child does not read any more. */
static bool
stdin_write(struct pool_child *c)
{
	if (!launch_pour(c->fd[0], &c->out))
		return false;
	c->full = c->out.len > 0;
	loop_fd_want(c->watch[0], c->full ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return true;
}

uint64_t
pool_child_took(const struct pool_child *c)
{
	uint64_t left = c->out.len;
	int there = 0;

	if (c->fd[0] >= 0 && ioctl(c->fd[0], FIONREAD, &there) == 0)
		left += (uint64_t)there;
	return c->put - left;
}

/* --- states ---------------------------------------------------------------------------------------------------------------------- */

static bool
state_is_up(enum pool_state s)
{
	return s == POOL_IDLE || s == POOL_BUSY;
}

/* For one more job. */
static bool
child_has_room(const struct pool_child *c)
{
	const struct conf_handler *h = c->pool->handler;

	return c->njobs < h->pipeline && !c->deaf && !c->ragged &&
	       (h->recycle_tasks == 0 || c->done + c->njobs < h->recycle_tasks);
}

void
pool_child_move(struct pool_child *c, enum pool_state to)
{
	c->pool->up += state_is_up(to) - state_is_up(c->state);
	c->state = to;
	list_remove(&c->of_open);
	if (!state_is_up(to))
		list_remove(&c->of_unsaid);
	if (to == POOL_IDLE)
		list_unshift(&c->pool->open, &c->of_open);
	else if (to == POOL_BUSY && child_has_room(c))
		list_push(&c->pool->open, &c->of_open);
}

void
pool_child_doom(struct pool_child *c, int sig)
{
	pool_child_move(c, POOL_DOOMED);
	if (c->fd[0] >= 0)
		loop_fd_want(c->watch[0], 0);
	if (c->signal != SIGKILL && c->signal != sig)
		launch_kill(c->pool->env->launch, &c->line, sig);
	c->signal = c->signal != SIGKILL ? sig : SIGKILL;
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

/* Nobody reads there any more. */
static void
stdin_closed(struct pool_child *c)
{
	c->deaf = true;
	loop_fd_want(c->watch[0], 0);
	if (c->state == POOL_IDLE || c->state == POOL_BUSY) {
		list_remove(&c->of_open);
		pool_jobs_deaf(c);
	}
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
end_by_exit(struct pool_child *c, int status)
{
	char text[64];

	/* What it wrote last is in the pipes still. */
	pool_hear_answers(c, CHUNKS_AT_END);
	pool_hear_stderr(c, CHUNKS_AT_END);
	proc_status_text(status, text, sizeof(text));
	if (!c->ours)
		pool_bereft(c, text);
	pool_jobs_judge(c, status);
}

static void
end_refused(struct pool_child *c, const struct launch_msg *m)
{
	char why[256];

	snprintf(why, sizeof(why), "%s: %s", m->text[0] != '\0' ? m->text : "could not start the command",
	    strerror(m->value));
	pool_bereft(c, why);
}

void
pool_child_rest(struct pool_child *c)
{
	pool_child_move(c, c->njobs > 0 ? POOL_BUSY : POOL_IDLE);
	if (c->njobs > 0 && c->deaf)
		pool_jobs_deaf(c);
	else if (c->njobs == 0 && (c->pool->leaving || pool_child_overdue(c)))
		pool_child_leave(c);
	pool_moved(c);
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
		pool_child_rest(c);
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
	else
		pool_jobs_lost(c);
	pool_child_move(c, POOL_DOOMED);
	pool_moved(c);
	pool_jobs_end(c);
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
		pool_hear_wrong(c, NULL, "expected it to keep its standard output open", (struct span){ 0 });
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
	list_init(&c->of_open);
	list_init(&c->of_unsaid);
	list_init(&c->jobs);
	list_init(&c->node);
	if (!launch_pipes(c->fd, theirs)) {
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
	buf_free(&c->tail);
	c->magic = 0;
	mem_free(cp);
}

void
pool_child_say(struct pool_child *c)
{
	list_remove(&c->of_unsaid);
	if (!c->full && !c->deaf && !stdin_write(c))
		stdin_closed(c);
}

void
pool_child_stop(struct pool_child *c, int sig)
{
	c->ours = true;
	pool_child_doom(c, sig);
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
	struct proc_usage u;
	int64_t now;

	if (c->deaf || c->ragged)
		return true;
	if (h->recycle_tasks > 0 && c->done >= h->recycle_tasks)
		return true;
	if (h->recycle_after == 0 && h->recycle_memory == 0)
		return false;
	now = clock_now();
	if (h->recycle_after > 0 && now - c->born_at >= h->recycle_after)
		return true;
	if (h->recycle_memory == 0 || c->done == 0 || now - c->weighed_at < WEIGH_EACH)
		return false;
	c->weighed_at = now;
	return proc_usage(c->pid, &u) && u.resident >= h->recycle_memory;
}
