/* run_outcome.c - from the end of a run to what becomes of the task; the table is in run_outcome.h. */
#include "base/clock.h"

#include "run/run_outcome.h"

#define AUTH_DELAY (60 * CLOCK_SECOND)
#define PERSISTENT_FACTOR 5

struct task_backoff
run_outcome_backoff(const struct conf_handler *handler)
{
	struct task_backoff b = {
		.base = 2 * CLOCK_SECOND,
		.factor = 3,
		.cap = 120 * CLOCK_SECOND,
		.jitter_lo = 0.10,
		.jitter_hi = 0.30,
	};

	if (handler != NULL) {
		b.base = handler->retry_base;
		b.cap = handler->retry_cap;
	}
	return b;
}

static struct run_verdict
bury(const char *reason, bool charge)
{
	return (struct run_verdict){ .kind = STORE_BURY, .reason = reason, .charge = charge };
}

static struct run_verdict
decide_crash(const struct run_history *h, double dice)
{
	struct run_verdict v = { .kind = STORE_RETRY, .crash = true };

	if (h->crashes + 1 >= h->crash_max) {
		v.kind = STORE_BURY;
		v.reason = "QUARANTINED";
	} else {
		v.delay = task_backoff_delay(&h->backoff, h->crashes + 1, dice);
	}
	return v;
}

static struct run_verdict
decide_retry(const struct run_history *h, const struct exec_end *end, double dice)
{
	struct run_verdict v = { .kind = STORE_RETRY, .charge = end->failure->class != TASK_AUTH };
	int attempts = h->attempts + 1;

	if (v.charge && attempts >= h->max_attempts)
		return bury("RETRY_EXHAUSTED", true);
	v.delay = v.charge ? task_backoff_delay(&h->backoff, attempts, dice) : AUTH_DELAY;
	if (end->failure->class == TASK_PERSISTENT)
		v.delay *= PERSISTENT_FACTOR;
	if (end->retry_after >= 0)
		v.delay = end->retry_after;
	return v;
}

struct run_verdict
run_outcome_decide(const struct run_history *h, const struct exec_end *end, double dice)
{
	struct run_verdict v = { .kind = STORE_SUCCEEDED, .charge = true };

	if (end->ending == EXEC_SUCCESS)
		return v;
	ASSERT(end->failure != NULL);
	if (end->unknown_class)
		return bury("UNKNOWN_CLASS", true);
	if (end->ending == EXEC_CRASH)
		v = decide_crash(h, dice);
	else if (end->failure->class == TASK_NON_RETRYABLE)
		v = bury(end->failure->code, true);
	else
		v = decide_retry(h, end, dice);
	/* The counter of starts is bounded; a task that is never charged must end some day too. */
	if (v.kind == STORE_RETRY && h->run + 1 >= TASK_RUN_MAX)
		return bury("RETRY_EXHAUSTED", v.charge);
	return v;
}
