/* run_time.c - limits of time of running tasks, and how one is stopped.
 *
 * All tasks of a handler have the same limit, so those that began earlier are due earlier: a list for each handler and one timer, which is
 * set for a moment at which the first of the list was due once, and looks again then.  Most tasks never touch a timer.
 *
 * A stop is SIGTERM, and SIGKILL after the grace; the end comes by the same way as any other, and `stop` says what it means then.
 * A task that was asked to stop has no say any more: many programs exit with 0 when they are terminated.  One that waits in its handler
 * is stopped when it is begun: what runs before it in the same process has nothing to do with it.
 */
#include <signal.h>

#include "run/run_int.h"

#define KILL_PATIENCE (10 * CLOCK_SECOND) /* a launcher that does not report a killed run for so long is given up */

static void
task_kill(struct run_task *t)
{
	t->killed = true;
	exec_stop(&t->exec, SIGKILL);
	loop_timer_set(t->timer, KILL_PATIENCE);
}

/* The patience with one that was asked to stop is over. */
static void
task_late(void *arg)
{
	struct run_task *t = arg;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	if (!t->killed)
		task_kill(t);
	else if (t->run->env.launch != NULL)
		launch_cut(t->run->env.launch, "the launcher does not report a killed run");
}

static void
task_patience(struct run_task *t)
{
	list_remove(&t->of_limit);
	if (t->timer == NULL)
		t->timer = loop_timer_new(t->run->o.loop, task_late, t);
	loop_timer_set(t->timer, t->run->grace);
}

/* The graver reason wins: lost, cancelled, then the first. */
void
run_task_stop(struct run_task *t, enum run_stop why)
{
	bool first;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	ASSERT(t->state == RUN_RUNNING);
	first = t->stop == RUN_STOP_NONE;
	if (first || why == RUN_STOP_LOST || (why == RUN_STOP_CANCELLED && t->stop != RUN_STOP_LOST))
		t->stop = why;
	if (t->killed || (t->waits && why != RUN_STOP_LOST))
		return;
	if (why == RUN_STOP_LOST) {
		task_patience(t);
		task_kill(t);
	} else if (first) {
		task_patience(t);
		exec_stop(&t->exec, SIGTERM);
	} else if (why == RUN_STOP_DRAIN) {
		task_patience(t);
	}
}

static void
limit_reached(void *arg)
{
	struct run_handler *h = arg;
	struct list *pos;

	while ((pos = list_first(&h->limits)) != NULL) {
		struct run_task *t = container_of(pos, struct run_task, of_limit);
		int64_t left;

		MAGIC_CHECK(t, RUN_TASK_MAGIC);
		left = t->due_at - clock_now();
		if (left > 0) {
			loop_timer_set(h->limit_timer, left);
			return;
		}
		run_task_stop(t, RUN_STOP_TIMEOUT);
	}
}

/* One that was asked to stop while it waited is stopped now. */
void
run_time_begin(struct run_task *t)
{
	struct run_handler *h = &t->run->handlers[t->handler];

	if (t->stop != RUN_STOP_NONE) {
		task_patience(t);
		exec_stop(&t->exec, SIGTERM);
		return;
	}
	t->due_at = t->started_at + t->exec.handler->timeout;
	list_push(&h->limits, &t->of_limit);
	if (!loop_timer_is_set(h->limit_timer))
		loop_timer_set(h->limit_timer, t->due_at - clock_now());
}

void
run_time_leave(struct run_task *t)
{
	list_remove(&t->of_limit);
	loop_timer_free(&t->timer);
}

void
run_time_open(struct run *r)
{
	for (int i = 0; i < r->conf->nhandlers; i++) {
		list_init(&r->handlers[i].limits);
		r->handlers[i].limit_timer = loop_timer_new(r->o.loop, limit_reached, &r->handlers[i]);
	}
}

void
run_time_close(struct run *r)
{
	for (int i = 0; i < r->conf->nhandlers; i++)
		loop_timer_free(&r->handlers[i].limit_timer);
}
