/* run_pull_test.c - what a client is asked for, by what a look showed; without a database. */
#include <string.h>

#include "base/clock.h"
#include "run/run_pull.h"
#include "t/unit/tap.h"

static struct conf conf;
static struct conf_handler handlers[2];
static struct conf_queue queues[1];
static struct store_pull in;
static struct guard *guard;

static struct id
id_at(int seconds)
{
	struct id id = { { 0 } };
	int64_t ms = INT64_C(1700000000000) + seconds * 1000;

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	return id;
}

static struct store_lane
head(int lane, const char *group, int prio, int seconds)
{
	return (struct store_lane){ .lane = lane,
		.task_type = SPAN("one"),
		.group = span_of(group),
		.ready = true,
		.prio = prio,
		.head = id_at(seconds) };
}

static struct run_pull *
fresh(const char *queue, const struct store_lane *lanes, int n)
{
	struct run_pull *p = run_pull_new(&conf, guard, span_of(queue));

	run_pull_seen(p, &(struct store_look){ .lanes = lanes, .nlanes = n, .last = INT32_MAX });
	return p;
}

static bool
choose(struct run_pull *p, int max)
{
	int64_t again;

	in = (struct store_pull){ .ttl = 0 };
	return run_pull_choose(p, NULL, 0, max, &in, &again);
}

/* All turns were full, or none was. */
static void
took(struct run_pull *p, const char *group, int n, bool more)
{
	struct store_claimed tasks[8] = { 0 };
	bool full[8] = { more, more, more, more };

	for (int i = 0; i < n; i++)
		tasks[i].row.group = span_of(group);
	run_pull_took(p, &(struct store_pulled){ .status = STORE_OK, .tasks = tasks, .ntasks = n, .full = full });
}

/* The one who was submitted long ago comes before what is more urgent. */
static void
test_aging(void)
{
	const struct store_lane lanes[] = { head(1, "", -5, 1000), head(2, "", 0, 1000), head(3, "", 5, 100) };
	struct run_pull *p = fresh("q", lanes, 3);

	is_int(choose(p, 3), true, "there is something");
	is_int(in.nturns, 1, "one group, one turn");
	is_int(in.turns[0], 3, "for all");
	is_int(in.nprobes, 3, "all lanes are asked");
	is_int(in.probes[0].lane, 3, "the old one first");
	is_int(in.probes[1].lane, 1, "then the urgent one");
	is_int(in.probes[2].lane, 2, "then the other");
	ok(in.exact == NULL, "without limits");
	took(p, "", 1, false);
	is_int(choose(p, 3), false, "what was not full is cold");
	run_pull_free(&p);
}

static void
test_turns(void)
{
	const struct store_lane lanes[] = { head(1, "big", -100, 0), head(2, "small", 100, 1000) };
	struct run_pull *p = fresh("q", lanes, 2);
	int lane[4];

	for (int i = 0; i < 4; i++) {
		is_int(choose(p, 1), true, "something, %d", i);
		lane[i] = in.probes[0].lane;
		took(p, lane[i] == 1 ? "big" : "small", 1, true);
	}
	ok(lane[0] == 1 && lane[1] == 2 && lane[2] == 1 && lane[3] == 2, "one by one they take turns: %d %d %d %d",
	    lane[0], lane[1], lane[2], lane[3]);
	is_int(choose(p, 4), true, "four at once");
	is_int(in.nturns, 2, "are two turns");
	is_int(in.turns[0], 2, "of two");
	is_int(in.turns[1], 2, "each");
	run_pull_free(&p);
}

/* Lanes in order are asked apart, each by one probe; and all lanes of a limited queue. */
static void
test_exact(void)
{
	struct store_lane lanes[] = { head(1, "", 0, 0), head(2, "", -9, 10), head(2, "", 0, 5), head(3, "", 0, 20) };
	struct run_pull *p;

	lanes[1].ordering_key = lanes[2].ordering_key = SPAN("k");
	p = fresh("q", lanes, 4);
	is_int(choose(p, 9), true, "the key first");
	ok(in.exact != NULL && in.nprobes == 1 && in.probes[0].lane == 2, "by its own claim, with one probe");
	took(p, "", 1, true);
	is_int(choose(p, 9), true, "then the others");
	ok(in.exact == NULL && in.nprobes == 2, "together");
	run_pull_free(&p);
	p = fresh("limited", lanes, 4);
	is_int(choose(p, 9), true, "of a limited queue");
	ok(in.exact != NULL && in.exact->concurrency == 3 && in.nprobes == 3, "all are counted");
	took(p, "", 3, true);
	is_int(choose(p, 9), false, "what its limit holds is left alone");
	run_pull_free(&p);
}

static void
test_guard(void)
{
	const struct store_lane lanes[] = { head(1, "", 0, 0) };
	struct run_pull *p = fresh("q", lanes, 1);
	struct store_held held = { .task_type = SPAN("one") };
	int64_t again = 0;

	for (int i = 0; i < 4; i++)
		run_pull_ended(&conf, guard, NULL, &held, GUARD_FAILED, -1);
	is_int(run_pull_choose(p, NULL, 0, 5, &in, &again), false, "nothing while the breaker is open");
	ok(again > clock_now() && again < INT64_MAX, "and it tells until when");
	is_int(run_pull_lend(p, SPAN("one")), false, "what was claimed is not given out either");
	guard_reset(guard_of(guard, SPAN("one")));
	is_int(choose(p, 5), true, "closed");
	is_int(run_pull_lend(p, SPAN("one")), true, "it goes on");
	run_pull_free(&p);
}

int
main(void)
{
	handlers[0] = (struct conf_handler){ .title = "one",
		.kind = CONF_HANDLER_LEASE,
		.breaker = true,
		.breaker_window = 3600 * CLOCK_SECOND,
		.breaker_min = 4,
		.breaker_share = 50,
		.breaker_pause = 3600 * CLOCK_SECOND,
		.breaker_pause_max = 3600 * CLOCK_SECOND,
		.breaker_probes = 1,
		.retry_floor = 1 };
	queues[0] = (struct conf_queue){ .title = "limited", .concurrency = 3 };
	conf.handlers = handlers;
	conf.nhandlers = 1;
	conf.queues = queues;
	conf.nqueues = 1;
	conf.work.aging = 60 * CLOCK_SECOND;
	conf.work.slots = 1;
	guard = guard_new();
	test_aging();
	test_turns();
	test_exact();
	test_guard();
	return done();
}
