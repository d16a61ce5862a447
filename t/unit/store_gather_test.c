/* store_gather_test.c - when a batch leaves: alone at once, in company when the company is sure to come. */
#include "store/store_int.h"

#include "tap.h"

#define T0 (100 * CLOCK_SECOND)

static void
test_alone(void)
{
	struct gather g = { 0 };

	is_int(gather_hold(&g, 1, T0), 0, "the first submission leaves at once");
	gather_left(&g);
	gather_landed(&g, 1, 2 * CLOCK_MS, 0, T0);
	is_int(gather_hold(&g, 1, T0), 0, "one that comes alone never waits");
}

static void
test_company(void)
{
	struct gather g = { 0 };

	gather_left(&g);
	gather_landed(&g, 16, 2 * CLOCK_MS, 16, T0);
	is_int(gather_hold(&g, 16, T0), 2 * CLOCK_MS, "after a batch of many the next waits for those it answered");
	is_int(gather_hold(&g, 27, T0 + 100), 2 * CLOCK_MS - 100, "until most are back");
	is_int(gather_hold(&g, 28, T0 + 100), 0, "and then it goes");
	is_int(gather_hold(&g, 16, T0 + 2 * CLOCK_MS), 0, "or when a commit's time has passed");
	gather_left(&g);
	gather_landed(&g, 16, 100 * CLOCK_SECOND, 16, T0);
	ok(gather_hold(&g, 16, T0) <= 4 * CLOCK_MS, "slow commits do not make it wait longer than 4 ms");
}

static void
test_only_one(void)
{
	struct gather g = { .alone = true };

	gather_left(&g);
	gather_landed(&g, 16, 2 * CLOCK_MS, 16, T0);
	is_int(gather_hold(&g, 16, T0), 0, "the only process that submits does not let the server idle");
}

static void
test_beside(void)
{
	struct gather g = { 0 };

	gather_left(&g);
	gather_landed(&g, 16, 3 * CLOCK_MS, 0, T0);
	gather_left(&g);
	is_int(gather_hold(&g, 1, T0), 5 * CLOCK_MS, "beside a batch under way one waits");
	is_int(gather_hold(&g, 200, T0 + CLOCK_MS), 4 * CLOCK_MS,
	    "and so do many, counted from when the first of them came");
	is_int(gather_hold(&g, 1000, T0 + CLOCK_MS), 0, "a full batch leaves");
	is_int(gather_hold(&g, 1, T0 + 5 * CLOCK_MS), 0, "and few leave when the one under way must be stuck");
	g.alone = true;
	is_int(
	    gather_hold(&g, 1, T0 + 3 * CLOCK_MS), 0, "the only process that submits waits for the time of a commit");
	gather_left(&g);
	g.took = 100 * CLOCK_SECOND;
	ok(gather_hold(&g, 1, T0) <= 5 * CLOCK_MS, "a batch that is stuck delays nobody for longer than 5 ms");
}

int
main(void)
{
	test_alone();
	test_company();
	test_only_one();
	test_beside();
	return done();
}
