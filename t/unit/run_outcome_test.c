/* run_outcome_test.c - what becomes of a task, row by row. */
#include <string.h>

#include "base/clock.h"
#include "run/run_outcome.h"

#include "tap.h"

static struct run_history
history(int attempts, int crashes, int max_attempts)
{
	return (struct run_history){
		.attempts = attempts,
		.run = attempts + crashes,
		.crashes = crashes,
		.max_attempts = max_attempts,
		.crash_max = 3,
		.backoff = run_outcome_backoff(NULL),
	};
}

struct row {
	const char *name;
	enum exec_ending ending;
	enum task_class class;
	const char *code;
	int64_t retry_after;
	bool unknown_class;
	int attempts, crashes, max_attempts;
	enum store_outcome_kind kind;
	const char *reason;
	int64_t delay; /* without jitter */
	bool charge, crash;
};

#define S CLOCK_SECOND
static const struct row table[] = {
	{ "success", EXEC_SUCCESS, 0, "", -1, false, 0, 0, 3, STORE_SUCCEEDED, NULL, 0, true, false },
	{ "transient, first", EXEC_FAILURE, TASK_TRANSIENT, "HANDLER_FAILED", -1, false, 0, 0, 3, STORE_RETRY, NULL,
	    2 * S, true, false },
	{ "transient, second", EXEC_FAILURE, TASK_TRANSIENT, "TIMEOUT", -1, false, 1, 0, 3, STORE_RETRY, NULL, 6 * S,
	    true, false },
	{ "transient, last", EXEC_FAILURE, TASK_TRANSIENT, "TIMEOUT", -1, false, 2, 0, 3, STORE_BURY, "RETRY_EXHAUSTED",
	    0, true, false },
	{ "one attempt only", EXEC_FAILURE, TASK_TRANSIENT, "TIMEOUT", -1, false, 0, 0, 1, STORE_BURY,
	    "RETRY_EXHAUSTED", 0, true, false },
	{ "capped", EXEC_FAILURE, TASK_TRANSIENT, "X", -1, false, 20, 0, 100, STORE_RETRY, NULL, 120 * S, true, false },
	{ "as long as it asked", EXEC_FAILURE, TASK_RATE_LIMITED, "LIMIT", 30 * S, false, 0, 0, 3, STORE_RETRY, NULL,
	    30 * S, true, false },
	{ "rate limited without a word", EXEC_FAILURE, TASK_RATE_LIMITED, "LIMIT", -1, false, 0, 0, 3, STORE_RETRY,
	    NULL, 2 * S, true, false },
	{ "persistent is slower", EXEC_FAILURE, TASK_PERSISTENT, "DOWN", -1, false, 0, 0, 3, STORE_RETRY, NULL, 10 * S,
	    true, false },
	{ "asked for more than it may", EXEC_FAILURE, TASK_RATE_LIMITED, "LIMIT", 7 * 86400 * S, false, 0, 0, 3,
	    STORE_RETRY, NULL, 86400 * S, true, false },
	{ "asked for nothing", EXEC_FAILURE, TASK_TRANSIENT, "LIMIT", 0, false, 0, 0, 3, STORE_RETRY, NULL, 0, true,
	    false },
	{ "auth is not charged", EXEC_FAILURE, TASK_AUTH, "EX_NOPERM", -1, false, 0, 0, 3, STORE_RETRY, NULL, 2 * S,
	    false, false },
	{ "auth does not exhaust", EXEC_FAILURE, TASK_AUTH, "EX_NOPERM", -1, false, 2, 0, 3, STORE_RETRY, NULL, 2 * S,
	    false, false },
	{ "non-retryable", EXEC_FAILURE, TASK_NON_RETRYABLE, "EX_DATAERR", -1, false, 0, 0, 3, STORE_BURY, "NON_RETRYABLE",
	    0, true, false },
	{ "a class that nobody knows", EXEC_FAILURE, TASK_NON_RETRYABLE, "X", 5 * S, true, 0, 0, 3, STORE_BURY,
	    "UNKNOWN_CLASS", 0, true, false },
	{ "crash, first", EXEC_CRASH, TASK_CRASH, "SIGSEGV", -1, false, 0, 0, 3, STORE_RETRY, NULL, 2 * S, false,
	    true },
	{ "crash of the last attempt", EXEC_CRASH, TASK_CRASH, "SIGSEGV", -1, false, 2, 1, 3, STORE_RETRY, NULL, 6 * S,
	    false, true },
	{ "crash, third", EXEC_CRASH, TASK_CRASH, "SIGSEGV", -1, false, 0, 2, 3, STORE_BURY, "QUARANTINED", 0, false,
	    true },
};

static void
check(const struct row *r)
{
	struct task_failure f = { .class = r->class, .exit = -1 };
	struct exec_end end = { .ending = r->ending, .failure = &f, .retry_after = r->retry_after, .snooze = -1 };
	struct run_history h = history(r->attempts, r->crashes, r->max_attempts);
	struct run_verdict v;
	bool jittered = r->kind == STORE_RETRY && r->retry_after < 0;

	strcpy(f.code, r->code);
	end.unknown_class = r->unknown_class;
	v = run_outcome_decide(&h, &end, 0.5);
	is_int(v.kind, r->kind, "%s: kind", r->name);
	is_str(v.reason, r->reason, "%s: reason", r->name);
	is_int(v.charge, r->charge, "%s: charge", r->name);
	is_int(v.crash, r->crash, "%s: crash", r->name);
	is_int(v.pause, r->ending == EXEC_FAILURE && r->class == TASK_AUTH, "%s: pause", r->name);
	is_int(v.delay, jittered ? r->delay / 10 * 12 : r->delay, "%s: delay", r->name);
}

/* A rule may turn a crash into a failure and back, and makes known what was not. */
static void
test_judge(void)
{
	static const char *const texts[] = { "signal KILL = TRANSIENT", "exit 137 = CRASH", "code KNOWN = PERSISTENT" };
	struct buf why = { 0 };
	struct task_rules *rules = task_rules_new(texts, 3, &why);
	struct run_history h = history(0, 0, 3);
	struct task_failure f = { .class = TASK_CRASH, .code = "SIGKILL", .exit = 9 };
	struct exec_end end = { .ending = EXEC_CRASH, .failure = &f, .retry_after = -1, .snooze = -1 };

	run_outcome_judge(rules, &end);
	is_int(end.ending, EXEC_FAILURE, "a kill may be a failure");
	ok(run_outcome_decide(&h, &end, 0).charge, "which is charged");
	f = (struct task_failure){ .class = TASK_TRANSIENT, .code = "HANDLER_FAILED", .exit = 137 << 8 };
	run_outcome_judge(rules, &end);
	is_int(end.ending, EXEC_CRASH, "the exit of a shell whose child was killed may be a crash");
	ok(run_outcome_decide(&h, &end, 0).crash, "which is counted");
	f = (struct task_failure){ .class = TASK_TRANSIENT, .code = "NEW", .exit = 1 << 8 };
	end.said.code = true;
	run_outcome_judge(rules, &end);
	is_str(run_outcome_decide(&h, &end, 0).reason, "UNKNOWN_CODE", "a code that no rule knows is dead");
	f = (struct task_failure){ .class = TASK_TRANSIENT, .code = "KNOWN", .exit = 1 << 8 };
	run_outcome_judge(rules, &end);
	is_str(run_outcome_decide(&h, &end, 0).reason, NULL, "one that a rule knows is not");
	is_int(run_outcome_decide(&h, &end, 0).delay, 11 * S, "and as slow as its class");
	end = (struct exec_end){ .ending = EXEC_SUCCESS, .retry_after = -1, .snooze = -1 };
	run_outcome_judge(rules, &end);
	is_int(end.ending, EXEC_SUCCESS, "no rule judges a success");
	task_rules_free(&rules);
	buf_free(&why);
}

static void
test_put_off(void)
{
	struct run_history h = history(2, 0, 3);
	struct task_failure f = { .class = TASK_NON_RETRYABLE, .code = "SNOOZED" };
	struct exec_end end = { .ending = EXEC_FAILURE, .failure = &f, .retry_after = 9 * S, .snooze = 5 * S };
	struct run_verdict v;

	end.unknown_class = end.unknown_code = true;
	v = run_outcome_decide(&h, &end, 0.7);
	is_int(v.kind, STORE_PUT_OFF, "put off, whatever else was said, and with no attempt left");
	is_int(v.delay, 5 * S, "by exactly that");
	ok(!v.charge && !v.crash, "which costs nothing");
	end.snooze = 0;
	is_int(run_outcome_decide(&h, &end, 0.7).delay, 0, "at once, if it says so");
	end.snooze = INT64_MAX;
	is_int(run_outcome_decide(&h, &end, 0.7).delay, INT64_C(365) * 86400 * S, "at most a year");
	h.run = TASK_RUN_MAX - 1;
	v = run_outcome_decide(&h, &end, 0);
	is_str(v.reason, "RETRY_EXHAUSTED", "what is put off for ever ends some day too");
	ok(!v.charge, "not charged even then");
}

int
main(void)
{
	struct run_history h = history(0, 0, 3);
	struct task_failure f = { .class = TASK_AUTH };
	struct exec_end end = { .ending = EXEC_FAILURE, .failure = &f, .retry_after = -1, .snooze = -1 };

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		check(&table[i]);
	h.run = TASK_RUN_MAX - 1;
	is_str(run_outcome_decide(&h, &end, 0).reason, "RETRY_EXHAUSTED", "what is never charged ends some day too");
	test_judge();
	test_put_off();
	return done();
}
