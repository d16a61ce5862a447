/* run_lapse.c - what becomes of a task whose client failed, or fell silent; see run_lapse.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#include "run/run_int.h"
#include "run/run_lapse.h"
#include "run/run_outcome.h"
#include "run/run_pull.h"

/* A run that was as long as it may be ran out of time, as it would in a worker; any other silence is a crash. */
static void
lapse(struct exec_run *x, const struct store_held *h)
{
	int64_t life = x->handler != NULL ? x->handler->timeout : INT64_MAX;
	char message[96];

	if (h->now - h->at >= life) {
		snprintf(message, sizeof(message), "timed out after %g s", (double)life / (double)CLOCK_SECOND);
		(void)exec_fail(x, TASK_TRANSIENT, "TIMEOUT", span_of(message));
	} else {
		exec_crash(x, "LEASE_EXPIRED", -1, SPAN("the lease ended without a word of its holder"));
	}
}

/* us that the retry must wait beyond its delay. */
static int64_t
tell_guard(const struct run_lapse *env, const struct conf *c, const struct store_held *held, const struct exec_end *end,
    enum store_outcome_kind kind)
{
	const struct conf_handler *handler = conf_handler_find(c, held->task_type);
	struct guard_rule rule;

	if (env->guard == NULL || handler == NULL)
		return 0;
	run_pull_ended(c, env->guard, env->wake, held, run_guard_result(end), end->retry_after);
	if (kind != STORE_RETRY || end->failure->class == TASK_AUTH)
		return 0;
	conf_guard_rule(c, handler, &rule);
	return guard_retry(guard_of(env->guard, held->task_type), &rule, clock_now());
}

bool
run_lapse_judge(void *arg, const struct conf *c, struct arena *a, const struct store_held *held, struct span report,
    struct store_outcome *o_r)
{
	const struct conf_handler *handler = conf_handler_find(c, held->task_type);
	struct exec_run x = {
		.magic = EXEC_RUN_MAGIC, .handler = handler, .arena = a, .end = { .retry_after = -1, .snooze = -1 }
	};
	struct run_history h = {
		.run = held->run,
		.attempts = held->attempts,
		.crashes = held->crashes,
		.max_attempts = held->max_attempts,
		.crash_max = c->work.crash_max,
		.backoff = run_outcome_backoff(handler),
	};
	struct run_verdict v;

	if (report.ptr == NULL) {
		lapse(&x, held);
	} else {
		(void)exec_fail(&x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("the client said that it failed"));
		(void)exec_report(&x, report);
	}
	run_outcome_judge(handler != NULL ? conf_handler_rules(c, handler) : NULL, &x.end);
	v = run_outcome_decide(&h, &x.end, drand48());
	o_r->kind = v.kind;
	o_r->failure = x.end.failure;
	o_r->reason = v.reason;
	o_r->delay = v.delay + tell_guard(arg, c, held, &x.end, v.kind);
	o_r->charge = v.charge;
	o_r->crash = v.crash;
	return v.pause;
}
