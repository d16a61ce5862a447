/* sys_guard_test.c - the breaker opens, probes and closes; a dead prober blocks nothing; the budget holds retries back; the window moves. */
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/guard.h"
#include "t/unit/tap.h"

#define T0 (1000 * CLOCK_SECOND)

static struct guard_rule
rule(void)
{
	return (struct guard_rule){
		.breaker = true,
		.window = 16 * CLOCK_SECOND,
		.least = 10,
		.share = 50,
		.pause = CLOCK_SECOND,
		.pause_max = 8 * CLOCK_SECOND,
		.probes = 2,
		.patience = 5 * CLOCK_SECOND,
		.retry_floor = 1,
	};
}

static struct guard_handler *
fresh(void)
{
	struct guard *g = guard_new();

	MUST(g != NULL);
	return guard_of(g, SPAN("h"));
}

static struct guard_pass
leave(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	return guard_may_start(h, r, 1, now);
}

static enum guard_event
ended(struct guard_handler *h, const struct guard_rule *r, struct guard_pass pass, enum guard_result result,
    int64_t wish, int64_t now)
{
	struct guard_end end = { .result = result, .first = true, .wish = wish };

	return guard_ended(h, r, 1, pass, &end, now);
}

/* One run from its start to its end; the event. */
static enum guard_event
run(struct guard_handler *h, const struct guard_rule *r, enum guard_result result, int64_t now)
{
	return ended(h, r, leave(h, r, now), result, -1, now);
}

static enum guard_event
runs(struct guard_handler *h, const struct guard_rule *r, int n, enum guard_result result, int64_t now)
{
	enum guard_event last = GUARD_SAME;

	while (n-- > 0)
		last = run(h, r, result, now);
	return last;
}

static struct guard_seen
look(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	struct guard_seen seen;

	guard_look(h, r, now, &seen);
	return seen;
}

static int
room(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	int64_t again;

	return guard_room(h, r, now, &again);
}

/* --- opening ----------------------------------------------------------------------------------------------------------------------- */

static void
test_opens(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	int64_t again;

	is_int(runs(h, &r, 9, GUARD_FAILED, T0), GUARD_SAME, "nine failures are too few");
	is_int(room(h, &r, T0), INT_MAX, "everything may start");
	is_int(run(h, &r, GUARD_FAILED, T0), GUARD_OPENED, "the tenth opens it");
	is_int(look(h, &r, T0).state, GUARD_STATE_OPEN, "which is seen");
	is_int(look(h, &r, T0).until, CLOCK_SECOND, "until");
	is_int(look(h, &r, T0).failures, 10, "why");
	is_int(look(h, &r, T0).opened, 1, "once");
	is_int(leave(h, &r, T0).leave, GUARD_NO, "nothing starts");
	is_int(guard_room(h, &r, T0 + CLOCK_MS, &again), 0, "nothing is claimed");
	is_int(again, 999 * CLOCK_MS, "until then");
	r.breaker = false;
	is_int(leave(h, &r, T0).leave, GUARD_YES, "a breaker that was switched off holds nothing up");
}

static void
test_share(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();

	runs(h, &r, 20, GUARD_GOOD, T0);
	is_int(runs(h, &r, 19, GUARD_FAILED, T0), GUARD_SAME, "19 of 39 are less than half");
	is_int(runs(h, &r, 3, GUARD_NONE, T0), GUARD_SAME, "runs that tell nothing do not count");
	is_int(run(h, &r, GUARD_FAILED, T0), GUARD_OPENED, "20 of 40 are half");
	h = fresh();
	is_int(
	    runs(h, &r, 50, GUARD_GOOD, T0) == GUARD_SAME && look(h, &r, T0).runs == 50, true, "success opens nothing");
}

/* Old failures are forgotten, and the ring comes round. */
static void
test_slides(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	int64_t now = T0, wrap = (INT64_C(1) << 24) * CLOCK_SECOND;

	for (int i = 0; i < 100; i++, now += 2 * CLOCK_SECOND)
		if (run(h, &r, GUARD_FAILED, now) != GUARD_SAME)
			break;
	is_int(now, T0 + 200 * CLOCK_SECOND, "one failure in two seconds never makes ten in sixteen");
	is_int(look(h, &r, now - 2 * CLOCK_SECOND).runs, 8, "eight are in the window");
	is_int(look(h, &r, now + 30 * CLOCK_SECOND).runs, 0, "and none of them later");
	h = fresh();
	runs(h, &r, 5, GUARD_FAILED, wrap - CLOCK_SECOND);
	runs(h, &r, 4, GUARD_FAILED, wrap);
	is_int(look(h, &r, wrap).failures, 9, "the window goes on where its epochs begin again");
	is_int(run(h, &r, GUARD_FAILED, wrap + 8 * CLOCK_SECOND), GUARD_OPENED, "and opens there");
}

/* --- probes ------------------------------------------------------------------------------------------------------------------------ */

static struct guard_handler *
opened(const struct guard_rule *r)
{
	struct guard_handler *h = fresh();

	MUST(runs(h, r, 10, GUARD_FAILED, T0) == GUARD_OPENED);
	return h;
}

static void
test_probes(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = opened(&r);
	int64_t now = T0 + CLOCK_SECOND;
	struct guard_pass a, b;

	is_int(leave(h, &r, now - 1).leave, GUARD_NO, "not before the pause is over");
	is_int(look(h, &r, now).state, GUARD_STATE_HALF, "then it is half open");
	is_int(room(h, &r, now), 2, "for two");
	a = leave(h, &r, now);
	is_int(a.leave, GUARD_PROBE, "a probe");
	is_int(room(h, &r, now), 1, "for one more");
	b = leave(h, &r, now);
	is_int(b.leave, GUARD_PROBE, "another probe");
	is_int(leave(h, &r, now).leave, GUARD_NO, "and no third");
	is_int(room(h, &r, now), 0, "no room");
	is_int(ended(h, &r, a, GUARD_GOOD, -1, now), GUARD_SAME, "one good probe is not enough");
	is_int(leave(h, &r, now).leave, GUARD_NO, "still no third");
	is_int(ended(h, &r, b, GUARD_GOOD, -1, now), GUARD_CLOSED, "both good: closed");
	is_int(look(h, &r, now).failures, 0, "the past is forgotten");
	is_int(run(h, &r, GUARD_FAILED, now), GUARD_SAME, "so that one failure does not open it again");
	is_int(look(h, &r, now).running, 0, "nothing is left running");
}

static void
test_doubling(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = opened(&r);
	static const int seconds[] = { 1, 2, 4, 8, 8, 8 };
	int64_t now = T0;

	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		is_int(look(h, &r, now).until, seconds[i] * CLOCK_SECOND, "pause %zu", i + 1);
		now += seconds[i] * CLOCK_SECOND;
		is_int(run(h, &r, GUARD_FAILED, now), GUARD_OPENED, "a failed probe opens again");
	}
	now += 8 * CLOCK_SECOND;
	runs(h, &r, 2, GUARD_GOOD, now);
	MUST(runs(h, &r, 10, GUARD_FAILED, now) == GUARD_OPENED);
	is_int(look(h, &r, now).until, CLOCK_SECOND, "after it was closed the pause is short again");
}

static void
test_late(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	struct guard_pass early = leave(h, &r, T0), a, b;
	int64_t now = T0 + CLOCK_SECOND;

	runs(h, &r, 10, GUARD_FAILED, T0);
	a = leave(h, &r, now);
	b = leave(h, &r, now);
	is_int(ended(h, &r, early, GUARD_GOOD, -1, now), GUARD_SAME, "what began before has no say");
	is_int(ended(h, &r, a, GUARD_FAILED, -1, now), GUARD_OPENED, "a probe has");
	is_int(ended(h, &r, b, GUARD_GOOD, -1, now), GUARD_SAME, "the other one comes too late");
	is_int(look(h, &r, now).until, 2 * CLOCK_SECOND, "and changes nothing");
	h = opened(&r);
	a = leave(h, &r, now);
	b = leave(h, &r, now);
	ended(h, &r, a, GUARD_FAILED, -1, now);
	now += 2 * CLOCK_SECOND;
	is_int(run(h, &r, GUARD_GOOD, now), GUARD_SAME, "half open again, and one probe is good");
	is_int(ended(h, &r, b, GUARD_GOOD, -1, now), GUARD_SAME, "one of the last time is not the second");
	is_int(room(h, &r, now), 1, "which is still wanted");
}

static void
test_stopped_probe(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = opened(&r);
	int64_t now = T0 + CLOCK_SECOND;

	run(h, &r, GUARD_NONE, now);
	run(h, &r, GUARD_NONE, now);
	is_int(room(h, &r, now), 2, "probes that were stopped are given again");
	is_int(runs(h, &r, 2, GUARD_GOOD, now), GUARD_CLOSED, "and close");
}

static void
test_wish(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();

	runs(h, &r, 9, GUARD_FAILED, T0);
	ended(h, &r, leave(h, &r, T0), GUARD_FAILED, 3 * CLOCK_SECOND, T0);
	is_int(look(h, &r, T0).until, 3 * CLOCK_SECOND, "the pause is as long as the handler asked");
	h = fresh();
	runs(h, &r, 9, GUARD_FAILED, T0);
	ended(h, &r, leave(h, &r, T0), GUARD_FAILED, 3600 * CLOCK_SECOND, T0);
	is_int(look(h, &r, T0).until, 8 * CLOCK_SECOND, "but no longer than the greatest");
}

static void
test_lasting(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	int64_t now = T0 + 5 * CLOCK_SECOND;
	struct guard_pass canary;

	is_int(run(h, &r, GUARD_LASTING, T0), GUARD_OPENED, "one lasting failure opens at once");
	is_int(look(h, &r, T0).until, 5 * CLOCK_SECOND, "for longer");
	is_int(room(h, &r, now), 1, "then for one");
	canary = leave(h, &r, now);
	is_int(canary.leave, GUARD_PROBE, "the canary");
	is_int(leave(h, &r, now).leave, GUARD_NO, "alone");
	is_int(ended(h, &r, canary, GUARD_GOOD, -1, now), GUARD_CLOSED, "which closes it");
	r.breaker = false;
	is_int(run(h, &r, GUARD_LASTING, now), GUARD_SAME, "without a breaker nothing opens");
}

static void
test_reset(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = opened(&r);
	struct guard_pass probe = leave(h, &r, T0 + CLOCK_SECOND);

	guard_reset(h);
	is_int(look(h, &r, T0).state, GUARD_STATE_CLOSED, "closed by hand");
	is_int(look(h, &r, T0).failures, 0, "and nothing remembered");
	is_int(look(h, &r, T0).opened, 1, "but the count of openings, which never goes back");
	is_int(ended(h, &r, probe, GUARD_FAILED, -1, T0), GUARD_SAME, "a probe of before has no say");
	is_int(leave(h, &r, T0).leave, GUARD_YES, "all may start");
}

/* --- death of processes -------------------------------------------------------------------------------------------------------------- */

static void
test_lost_probe(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = opened(&r);
	int64_t now = T0 + CLOCK_SECOND, again;
	struct guard_pass lost = leave(h, &r, now);

	run(h, &r, GUARD_GOOD, now);
	is_int(guard_room(h, &r, now, &again), 0, "one is good, one silent: nobody may start");
	ok(again > 0 && again <= CLOCK_SECOND, "but ask again");
	now += r.patience;
	is_int(room(h, &r, now), 1, "after its patience it is lost");
	is_int(leave(h, &r, now).leave, GUARD_PROBE, "and another goes");
	is_int(leave(h, &r, now).leave, GUARD_NO, "one only");
	is_int(ended(h, &r, lost, GUARD_GOOD, -1, now), GUARD_CLOSED, "late is good enough");
}

static void
test_dead_process(void)
{
	struct guard *g = guard_new();
	struct guard_rule r = rule();
	struct guard_handler *h;
	int64_t now = T0 + CLOCK_SECOND;
	pid_t pid;

	MUST(g != NULL);
	h = guard_of(g, SPAN("h"));
	runs(h, &r, 10, GUARD_FAILED, T0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 2; i++)
			if (guard_may_start(h, &r, 7, now).leave != GUARD_PROBE)
				_exit(1);
		abort();
	}
	MUST(pid > 0 && waitpid(pid, NULL, 0) == pid);
	is_int(look(h, &r, now).running, 2, "a dead process left two probes");
	is_int(leave(h, &r, now).leave, GUARD_NO, "which keep others away");
	guard_slot_clear(g, 8);
	is_int(look(h, &r, now).running, 2, "another slot is not it");
	guard_slot_clear(g, 7);
	is_int(look(h, &r, now).running, 0, "its runs are taken back");
	is_int(room(h, &r, now), 2, "and its probes");
	is_int(runs(h, &r, 2, GUARD_GOOD, now), GUARD_CLOSED, "others do it");
}

static enum guard_event
lent_ended(struct guard_handler *h, const struct guard_rule *r, int64_t since, enum guard_result result, int64_t now)
{
	return guard_lent_ended(h, r, since, &(struct guard_end){ .result = result, .first = true, .wish = -1 }, now);
}

/* What is lent has no process: when it began tells what it was. */
static void
test_lent(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	int64_t half = T0 + 2 * CLOCK_SECOND;
	int i;

	for (i = 0; i < 9; i++)
		is_int(lent_ended(h, &r, T0, GUARD_FAILED, T0), GUARD_SAME, "failure %d", i);
	is_int(lent_ended(h, &r, T0, GUARD_FAILED, T0), GUARD_OPENED, "opens");
	is_int(guard_lend(h, &r, T0), GUARD_NO, "then none is lent");
	is_int(guard_lend(h, &r, half), GUARD_PROBE, "a probe is");
	is_int(guard_lend(h, &r, half), GUARD_PROBE, "and a second");
	is_int(guard_lend(h, &r, half), GUARD_NO, "but no third");
	is_int(lent_ended(h, &r, T0 - CLOCK_SECOND, GUARD_FAILED, half), GUARD_SAME,
	    "what began before it opened tells nothing");
	is_int(lent_ended(h, &r, half, GUARD_NONE, half), GUARD_SAME, "one is given back");
	is_int(guard_lend(h, &r, half), GUARD_PROBE, "and given to another");
	is_int(lent_ended(h, &r, half, GUARD_GOOD, half), GUARD_SAME, "one is good");
	is_int(lent_ended(h, &r, half, GUARD_GOOD, half), GUARD_CLOSED, "both are");
	is_int(guard_lend(h, &r, half), GUARD_YES, "closed");
	is_int(look(h, &r, half).running, 0, "nothing of it is counted as running here");
}

/* Four processes want to probe: exactly as many may as there are probes, each time. */
static void
test_processes(void)
{
	struct guard *g = guard_new();
	struct guard_rule r = rule();
	struct guard_handler *h;
	int pipes[2], n, total = 0, status;
	pid_t pids[4];

	MUST(g != NULL && pipe(pipes) == 0);
	h = guard_of(g, SPAN("h"));
	r.probes = 20;
	runs(h, &r, 10, GUARD_FAILED, T0);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			for (n = 0; guard_may_start(h, &r, i, T0 + CLOCK_SECOND).leave == GUARD_PROBE;)
				n++;
			_exit(write(pipes[1], &n, sizeof(n)) != sizeof(n));
		}
		MUST(pids[i] > 0);
	}
	for (int i = 0; i < 4; i++) {
		MUST(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
		MUST(read(pipes[0], &n, sizeof(n)) == sizeof(n));
		total += n;
	}
	is_int(total, 20, "four processes share twenty probes");
	is_int(look(h, &r, T0).running, 20, "which all run");
}

/* Ends of several processes are all counted, and one of them opens. */
static void
test_counting(void)
{
	struct guard *g = guard_new();
	struct guard_rule r = rule();
	struct guard_handler *h;
	struct guard_end end = { .result = GUARD_FAILED, .wish = -1 };
	int status, opened_by = 0;
	pid_t pids[4];

	MUST(g != NULL);
	h = guard_of(g, SPAN("h"));
	r.least = 4000;
	r.share = 100;
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			int n = 0;

			for (int k = 0; k < 1000; k++)
				n += guard_ended(h, &r, i, guard_may_start(h, &r, i, T0), &end, T0) == GUARD_OPENED;
			_exit(n);
		}
		MUST(pids[i] > 0);
	}
	for (int i = 0; i < 4; i++) {
		MUST(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status));
		opened_by += WEXITSTATUS(status);
	}
	is_int(look(h, &r, T0).failures, 4000, "no end is lost");
	is_int(opened_by, 1, "one process opens");
}

/* --- the budget --------------------------------------------------------------------------------------------------------------------- */

static void
test_budget(void)
{
	struct guard_rule r = rule();
	struct guard_handler *h = fresh();
	int64_t now = T0;
	int at_once = 0, i;

	r.retry_window = 10 * CLOCK_SECOND;
	r.retry_floor = 10;
	r.retry_share = 20;
	is_int(look(h, &r, now).retries_left, 10, "the floor is there at once");
	while (at_once < 1000 && guard_retry(h, &r, now) == 0)
		at_once++;
	is_int(at_once, 10, "and no more");
	is_int(look(h, &r, now).refused, 1, "the next has to wait");
	is_int(guard_retry(h, &r, now), 2 * CLOCK_SECOND, "each a second longer than the one before");
	is_int(guard_retry(h, &r, now), 3 * CLOCK_SECOND, "and on");
	is_int(look(h, &r, now).retries_left, 0, "none left");
	now += 13 * CLOCK_SECOND;
	is_int(look(h, &r, now).retries_left, 10, "when all is paid the budget is full again");
	for (i = 0; i < 100; i++)
		run(h, &r, GUARD_GOOD, now);
	is_int(look(h, &r, now).retries_left, 30, "first runs earn their share");
	is_int(guard_retry(h, &r, now), 0, "a retry goes");
	is_int(look(h, &r, now).retries_left, 29, "of which one is used");
	is_int(look(h, &r, now + 30 * CLOCK_SECOND).retries_left, 10, "the share goes with its window");
	for (i = 0; i < 100; i++)
		at_once += guard_retry(h, &r, now) == 0;
	is_int(at_once, 10 + 29, "nor more than those");
	guard_reset(h);
	is_int(look(h, &r, now).retries_left, 30, "a reset refills it");
	r.retry_window = 0;
	for (at_once = 0; at_once < 1000 && guard_retry(h, &r, now) == 0;)
		at_once++;
	is_int(at_once, 1000, "without a window there is no budget");
}

/* --- the window ------------------------------------------------------------------------------------------------------------------------ */

static struct guard_rule
adaptive(void)
{
	struct guard_rule r = rule();

	r.adaptive = true;
	r.start = 2;
	r.most = 6;
	r.cohorts = 3;
	r.least = 1000;
	return r;
}

/* As many as may run at once. */
static int
fill(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	int n = 0;

	while (leave(h, r, now).leave != GUARD_NO)
		n++;
	return n;
}

static enum guard_event
all_end(struct guard_handler *h, const struct guard_rule *r, int n, enum guard_result result, int64_t now)
{
	struct guard_pass pass = { .leave = GUARD_YES };
	enum guard_event event = GUARD_SAME;

	for (; n > 0 && event == GUARD_SAME; n--)
		event = ended(h, r, pass, result, -1, now);
	for (; n > 0; n--)
		(void)ended(h, r, pass, GUARD_NONE, -1, now);
	return event;
}

static void
test_window(void)
{
	struct guard_rule r = adaptive();
	struct guard_handler *h = fresh();
	int n = 0, before;

	is_int(room(h, &r, T0), 2, "the window begins small");
	is_int(n = fill(h, &r, T0), 2, "so many start");
	is_int(room(h, &r, T0), 0, "no room");
	for (int i = 0; i < 20; i++) {
		before = n;
		all_end(h, &r, n, GUARD_GOOD, T0);
		n = fill(h, &r, T0);
		if (n > before + 1)
			break;
	}
	is_int(n, 6, "it grows, by one for a windowful at most, up to its limit");
	all_end(h, &r, 2, GUARD_FAILED, T0);
	is_int(look(h, &r, T0).window, 4, "two failures take two");
	all_end(h, &r, 4, GUARD_NONE, T0);
	for (int i = 0; i < 100; i++)
		run(h, &r, GUARD_GOOD, T0);
	is_int(look(h, &r, T0).window, 4, "one at a time is no reason to grow");
	guard_reset(h);
	is_int(look(h, &r, T0).window, 2, "a reset begins anew");
	r.most = 1;
	is_int(look(h, &r, T0).window, 1, "a lower limit holds at once");
}

static void
test_dead_destination(void)
{
	struct guard_rule r = adaptive();
	struct guard_handler *h = fresh();
	int failures = 1;

	while (failures < 100 && run(h, &r, GUARD_FAILED, T0) == GUARD_SAME)
		failures++;
	is_int(failures, 4, "1/2 + 1 + 1 + 1 windowfuls of failures: dead");
	is_int(look(h, &r, T0).state, GUARD_STATE_OPEN, "so the breaker opens, long before its own count");
	is_int(look(h, &r, T0).window, 2, "and the window is as at first");
	h = fresh();
	for (int i = 0; i < 50; i++)
		run(h, &r, i % 3 == 2 ? GUARD_GOOD : GUARD_FAILED, T0);
	is_int(look(h, &r, T0).state, GUARD_STATE_CLOSED, "a success now and then is life");
	is_int(look(h, &r, T0).window, 1, "at the least");
	r.breaker = false;
	h = fresh();
	runs(h, &r, 50, GUARD_FAILED, T0);
	is_int(leave(h, &r, T0).leave, GUARD_YES, "without a breaker one at a time goes on");
}

/* --- the table ------------------------------------------------------------------------------------------------------------------------- */

static void
test_table(void)
{
	struct guard *g = guard_new();
	struct guard_rule r = rule();
	struct guard_handler *h, *first;
	char name[16];
	int known = 0;

	MUST(g != NULL);
	first = guard_of(g, SPAN("0"));
	for (int i = 0; i < GUARD_HANDLERS; i++) {
		snprintf(name, sizeof(name), "%d", i);
		known += guard_of(g, span_of(name)) != NULL;
	}
	is_int(known, GUARD_HANDLERS, "each name has a place");
	ok(guard_of(g, SPAN("0")) == first, "the same one each time");
	h = guard_of(g, SPAN("one too many"));
	ok(h == NULL, "until the table is full");
	is_int(runs(h, &r, 100, GUARD_FAILED, T0), GUARD_SAME, "then nobody guards");
	is_int(room(h, &r, T0), INT_MAX, "and all may start");
	is_int(look(h, &r, T0).state, GUARD_STATE_CLOSED, "which is seen so");
	is_int(guard_retry(h, &r, T0), 0, "and retries go");
	guard_reset(h);
	runs(first, &r, 10, GUARD_FAILED, T0);
	is_int(look(guard_of(g, SPAN("1")), &r, T0).state, GUARD_STATE_CLOSED, "one handler is not another");
	is_str(guard_state_name(look(first, &r, T0).state), "open", "by name");
}

int
main(void)
{
	test_opens();
	test_share();
	test_slides();
	test_probes();
	test_doubling();
	test_late();
	test_stopped_probe();
	test_wish();
	test_lasting();
	test_reset();
	test_lost_probe();
	test_dead_process();
	test_lent();
	test_processes();
	test_counting();
	test_budget();
	test_window();
	test_dead_destination();
	test_table();
	return done();
}
