/* exec_builtin.c - handlers inside the worker, for tests, benchmarks and demonstration.
 *
 *   noop    succeeds without a result
 *   echo    its payload is its result
 *   sleep   {"seconds": n}: succeeds after that time
 *   fail    {"error_class", "error_code", "message", "retry_after"}: fails as told; all may be absent
 *
 * A payload of another shape is NON_RETRYABLE, INVALID_PAYLOAD.
 */
#include <string.h>

#include <jansson.h>

#include "base/clock.h"

#include "run/exec.h"

#define SLEEP_MAX (86400 * 7.0) /* seconds */

struct nap {
	struct loop_timer *timer;
	int stopped_by; /* the signal, 0: none */
};

static enum exec_begin
invalid_payload(struct exec_run *x, const char *expected)
{
	(void)exec_fail(x, TASK_NON_RETRYABLE, "INVALID_PAYLOAD", span_of(expected));
	return EXEC_ENDED;
}

static enum exec_begin
noop_start(struct exec_run *x)
{
	exec_succeed(x, (struct span){ 0 });
	return EXEC_ENDED;
}

static enum exec_begin
echo_start(struct exec_run *x)
{
	exec_succeed(x, x->row->payload);
	return EXEC_ENDED;
}

static enum exec_begin
fail_start(struct exec_run *x)
{
	(void)exec_fail(x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("failed as asked"));
	if (!exec_report(x, x->row->payload))
		return invalid_payload(x, "the payload of a fail task must be an object");
	return EXEC_ENDED;
}

static void
nap_free(struct exec_run *x)
{
	struct nap *n = x->state;

	loop_timer_free(&n->timer);
	x->state = NULL;
}

static void
nap_over(void *arg)
{
	struct exec_run *x = arg;
	struct nap *n;

	MAGIC_CHECK(x, EXEC_RUN_MAGIC);
	n = x->state;
	if (n->stopped_by != 0)
		(void)exec_fail(x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("stopped before its time"));
	else
		exec_succeed(x, (struct span){ 0 });
	nap_free(x);
	x->ended(x);
}

static bool
sleep_seconds(struct span payload, double *seconds_r)
{
	json_t *o = json_loadb(payload.ptr, payload.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	json_t *v = json_object_get(o, "seconds");
	bool good = json_is_number(v);

	*seconds_r = good ? json_number_value(v) : 0;
	json_decref(o);
	return good && *seconds_r >= 0 && *seconds_r <= SLEEP_MAX;
}

static enum exec_begin
sleep_start(struct exec_run *x)
{
	struct nap *n;
	double seconds;

	if (!sleep_seconds(x->row->payload, &seconds))
		return invalid_payload(x, "the payload of a sleep task must be {\"seconds\": n}, n from 0 to 604800");
	x->state = n = arena_alloc(x->arena, sizeof(*n));
	n->timer = loop_timer_new(x->env->loop, nap_over, x);
	loop_timer_set(n->timer, (int64_t)(seconds * CLOCK_SECOND));
	return EXEC_BEGUN;
}

static enum exec_begin
builtin_start(struct exec_run *x)
{
	switch ((enum conf_builtin)x->handler->builtin) {
	case CONF_BUILTIN_NOOP:
		return noop_start(x);
	case CONF_BUILTIN_ECHO:
		return echo_start(x);
	case CONF_BUILTIN_SLEEP:
		return sleep_start(x);
	case CONF_BUILTIN_FAIL:
		return fail_start(x);
	}
	UNREACHABLE("no such builtin handler");
}

/* Only sleep is ever seen running. */
static void
builtin_stop(struct exec_run *x, int sig)
{
	struct nap *n = x->state;

	n->stopped_by = sig;
	loop_timer_set(n->timer, 0);
}

const struct exec_kind exec_builtin = {
	.name = "builtin",
	.start = builtin_start,
	.stop = builtin_stop,
	.drop = nap_free,
};
