/* run_outcome.c - from the end of a run to what becomes of the task; the table is in run_outcome.h. */
#include "base/clock.h"

#include "run/run_outcome.h"

#define SLOWER 5
#define ASKED_MAX (86400 * CLOCK_SECOND)
#define PUT_OFF_MAX (INT64_C(365) * 86400 * CLOCK_SECOND)

struct task_backoff
run_outcome_backoff(const struct conf_handler *handler)
{
	struct task_backoff b = {
		.base = 2 * CLOCK_SECOND,
		.factor = 3,
		.cap = 120 * CLOCK_SECOND,
		.jitter_lo = 0.10,
		.jitter_hi = 0.30,
		.slower = SLOWER,
		.asked_max = ASKED_MAX,
	};

	if (handler != NULL) {
		b.base = handler->retry_base;
		b.cap = handler->retry_cap;
		b.slower = handler->retry_persistent;
		b.asked_max = handler->retry_after_max;
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

/* The pause of the handler is what keeps tasks from running again, not their own delay: when somebody ends it they should be there. */
static struct run_verdict
decide_auth(const struct run_history *h, double dice)
{
	return (struct run_verdict){
		.kind = STORE_RETRY, .pause = true, .delay = task_backoff_delay(&h->backoff, 1, dice)
	};
}

static struct run_verdict
decide_retry(const struct run_history *h, const struct exec_end *end, double dice)
{
	const struct task_backoff *b = &h->backoff;
	struct run_verdict v = { .kind = STORE_RETRY, .charge = true };
	int attempts = h->attempts + 1;

	if (attempts >= h->max_attempts)
		return bury("RETRY_EXHAUSTED", true);
	v.delay = task_backoff_delay(b, attempts, dice);
	if (end->failure->class == TASK_PERSISTENT)
		v.delay = (int64_t)((double)v.delay * b->slower);
	if (end->retry_after >= 0)
		v.delay = end->retry_after < b->asked_max ? end->retry_after : b->asked_max;
	return v;
}

/* To the moment: the handler knows when, so there is no jitter. */
static struct run_verdict
decide_put_off(const struct exec_end *end)
{
	return (struct run_verdict){ .kind = STORE_PUT_OFF,
		.delay = end->snooze < PUT_OFF_MAX ? end->snooze : PUT_OFF_MAX };
}

void
run_outcome_judge(const struct task_rules *rules, struct exec_end *end)
{
	enum task_judgement j;

	if (end->ending == EXEC_SUCCESS || end->snooze >= 0)
		return;
	ASSERT(end->failure != NULL);
	j = task_rules_judge(rules, &end->said, end->failure);
	end->unknown_class = j == TASK_UNKNOWN_CLASS;
	end->unknown_code = j == TASK_UNKNOWN_CODE;
	end->ending = end->failure->class == TASK_CRASH ? EXEC_CRASH : EXEC_FAILURE;
}

struct run_verdict
run_outcome_decide(const struct run_history *h, const struct exec_end *end, double dice)
{
	struct run_verdict v = { .kind = STORE_SUCCEEDED, .charge = true };

	if (end->ending == EXEC_SUCCESS)
		return v;
	ASSERT(end->failure != NULL);
	if (end->snooze < 0 && end->unknown_class)
		return bury("UNKNOWN_CLASS", true);
	if (end->snooze < 0 && end->unknown_code)
		return bury("UNKNOWN_CODE", true);
	if (end->snooze >= 0)
		v = decide_put_off(end);
	else if (end->ending == EXEC_CRASH)
		v = decide_crash(h, dice);
	else if (end->failure->class == TASK_AUTH)
		v = decide_auth(h, dice);
	else if (end->failure->class == TASK_NON_RETRYABLE)
		v = bury(task_dead_reason(span_of(end->failure->code)), true);
	else
		v = decide_retry(h, end, dice);
	/* The counter of starts is bounded; a task that is never charged must end some day too. */
	if ((v.kind == STORE_RETRY || v.kind == STORE_PUT_OFF) && h->run + 1 >= TASK_RUN_MAX)
		return bury("RETRY_EXHAUSTED", v.charge);
	return v;
}
