/* run_guard.c - the machine asks the guard before it starts a run, and tells it how each run ended; see sys/guard.h.
 *
 *	claims     no more than may start: nothing while a breaker is open, as many as there are probes when it is half open, the rest of
 *	           the window when that is adaptive
 *	starts     what was claimed before the breaker opened is refused here, and given back at once (run_lease.c)
 *	ends       what each tells of the handler is in run_guard_result()
 *	verdicts   a retry beyond the budget waits longer
 *
 * Whoever opens or closes a breaker logs it, and rings the other workers when there is work for them again.
 */
#include <limits.h>

#include "run/run_int.h"

void
run_guard_open(struct run *r)
{
	for (int i = 0; i < r->conf->nhandlers; i++) {
		const struct conf_handler *h = &r->conf->handlers[i];

		conf_guard_rule(r->conf, h, &r->handlers[i].rule);
		if (r->o.guard != NULL)
			r->handlers[i].guard = guard_of(r->o.guard, span_of(h->title));
	}
}

/* --- claims ------------------------------------------------------------------------------------------------------------------------ */

int
run_guard_room(const struct run *r, int handler)
{
	const struct run_handler *h = &r->handlers[handler];
	int64_t again;
	int room;

	if (!h->rule.adaptive && guard_is_closed(h->guard, &h->rule))
		return INT_MAX;
	room = guard_room(h->guard, &h->rule, clock_now(), &again);
	if (room == INT_MAX)
		return INT_MAX;
	return room > h->queued ? room - h->queued : 0;
}

bool
run_guard_holds(const struct run *r, int handler)
{
	const struct run_handler *h = &r->handlers[handler];
	int64_t again;

	return !guard_is_closed(h->guard, &h->rule) && guard_room(h->guard, &h->rule, clock_now(), &again) == 0;
}

/* A turn when the first of those that hold their tasks back may let some go. */
void
run_guard_rest(struct run *r)
{
	int64_t next = INT64_MAX, again;

	for (int i = 0; i < r->conf->nhandlers && r->phase == RUN_WORKING; i++) {
		const struct run_handler *h = &r->handlers[i];

		if (!h->rule.adaptive && guard_is_closed(h->guard, &h->rule))
			continue;
		if (guard_room(h->guard, &h->rule, clock_now(), &again) == 0 && again < next)
			next = again;
	}
	if (next == INT64_MAX)
		loop_timer_clear(r->guarded);
	else
		loop_timer_set(r->guarded, next);
}

/* --- runs -------------------------------------------------------------------------------------------------------------------------- */

bool
run_guard_start(struct run_task *t)
{
	const struct run_handler *h = &t->run->handlers[t->handler];

	t->pass = guard_may_start(h->guard, &h->rule, t->run->o.slot, clock_now());
	return t->pass.leave != GUARD_NO;
}

static enum guard_result failure_result(enum task_class class)
{
	switch (class) {
	case TASK_AUTH:
		return GUARD_NONE; /* the handler is paused for it */
	case TASK_NON_RETRYABLE:
		return GUARD_GOOD; /* the fault of the task */
	case TASK_PERSISTENT:
		return GUARD_LASTING;
	default:
		return GUARD_FAILED;
	}
}

enum guard_result
run_guard_result(const struct exec_end *end)
{
	if (end->ending == EXEC_SUCCESS || end->snooze >= 0 || end->unknown_class || end->unknown_code)
		return GUARD_GOOD;
	return end->ending == EXEC_CRASH ? GUARD_FAILED : failure_result(end->failure->class);
}

static void
tell_opened(const struct run_guarded *g, int64_t now)
{
	struct guard_seen seen;

	guard_look(g->guard, g->rule, now, &seen);
	log_warning("circuit breaker open: tasks of the handler wait", log_str("handler", g->handler->title),
	    log_int("runs", seen.runs), log_int("failures", seen.failures), log_seconds("until_probe", seen.until));
}

void
run_guard_tell(const struct run_guarded *g, enum guard_event event, int64_t now)
{
	if (event == GUARD_OPENED)
		tell_opened(g, now);
	if (event != GUARD_CLOSED)
		return;
	log_notice("circuit breaker closed: the handler works again", log_str("handler", g->handler->title));
	if (g->wake != NULL)
		wake_workers_ring(g->wake);
}

static void
guard_told(struct run_task *t, enum guard_result result, int64_t wish)
{
	const struct run_handler *h = &t->run->handlers[t->handler];
	struct guard_end end = {
		.result = result,
		.first = t->history.run == 0,
		.wish = wish,
	};
	struct run_guarded g = { &t->run->conf->handlers[t->handler], h->guard, &h->rule, t->run->o.wake };
	int64_t now = clock_now();

	run_guard_tell(&g, guard_ended(h->guard, &h->rule, t->run->o.slot, t->pass, &end, now), now);
}

void
run_guard_forget(struct run_task *t)
{
	guard_told(t, GUARD_NONE, -1);
}

/* A task that was put off, and one whose handler is paused for lack of rights, is no retry. */
void
run_guard_ended(struct run_task *t)
{
	const struct run_handler *h = &t->run->handlers[t->handler];
	const struct exec_end *end = &t->exec.end;

	guard_told(t, run_guard_result(end), end->retry_after);
	if (t->verdict.kind == STORE_RETRY && end->snooze < 0 && end->failure->class != TASK_AUTH)
		t->verdict.delay += guard_retry(h->guard, &h->rule, clock_now());
}
