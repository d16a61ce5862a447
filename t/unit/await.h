/* await.h - a test turns its loop: for a time, or until something holds.
 *
 * The times are deadlines for machines that stall; what a test waits for ends the turn.
 */
#ifndef T_UNIT_AWAIT_H
#define T_UNIT_AWAIT_H

#include "base/clock.h"
#include "sys/loop.h"

#include "tap.h"

#define PATIENCE (20 * CLOCK_SECOND)

TAP_FN void
await_late(void *arg)
{
	loop_stop(arg);
}

/* Until somebody stops the loop, at most so long. */
TAP_FN void
await_stop(struct loop *loop, int64_t us)
{
	struct loop_timer *late = loop_timer_new(loop, await_late, loop);

	loop_timer_set(late, us);
	loop_run(loop);
	loop_timer_free(&late);
}

struct awaiting {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*what)(void);
	bool met;
	int64_t deadline;
};

TAP_FN void
await_look(void *arg)
{
	struct awaiting *t = arg;

	t->met = t->what();
	if (t->met || clock_now() > t->deadline)
		loop_stop(t->loop);
	else
		loop_timer_set(t->timer, CLOCK_MS / 2);
}

/* Until it holds; says so, or not, under that name. */
TAP_FN bool
await(struct loop *loop, bool (*what)(void), const char *name)
{
	struct awaiting t = { .loop = loop, .what = what, .deadline = clock_now() + PATIENCE };

	t.timer = loop_timer_new(loop, await_look, &t);
	loop_timer_set(t.timer, 0);
	loop_run(loop);
	loop_timer_free(&t.timer);
	return ok(t.met, "%s", name);
}

#endif
