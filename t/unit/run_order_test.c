/* run_order_test.c - turns and ranks, without a machine. */
#include <string.h>

#include "base/clock.h"
#include "run/run_order.h"

#include "tap.h"

#define MOST 5000
#define AGING (60 * CLOCK_SECOND)

static struct run_taker all[MOST];
static struct run_takers takers;
static int64_t left[MOST]; /* tasks that wait, of a group */

/* Queue 0 .. queues - 1, then the groups of each. */
static void
begin(int queues, const int *groups)
{
	memset(all, 0, sizeof(all));
	memset(left, 0, sizeof(left));
	takers = (struct run_takers){ .all = all };
	for (int q = 0; q < queues; q++)
		all[takers.n++].queue = q;
	for (int q = 0; q < queues; q++)
		for (int g = 0; g < groups[q]; g++)
			all[takers.n++].queue = q;
}

static void
all_wait(void)
{
	run_order_begin(&takers);
	for (int i = 0; i < takers.n; i++)
		if (left[i] > 0)
			run_order_wait(&takers, i, i);
}

/* One claim; how many of `group` are in it. */
static int
claim(int room, int turns, int group)
{
	int got = 0;

	all_wait();
	if (run_order_next(&takers) < 0)
		return 0;
	run_order_deal(&takers, room, turns);
	for (int i = 0; i < takers.n; i++) {
		int n = all[i].queue == i ? 0 : all[i].most < left[i] ? all[i].most : (int)left[i];

		left[i] -= n;
		if (n > 0)
			run_order_took(&takers, i, n);
		if (i == group)
			got = n;
	}
	return got;
}

static void
test_rank(void)
{
	int64_t t = 1700000000 * CLOCK_SECOND;

	ok(run_order_rank(t, 0, AGING) < run_order_rank(t + 1, 0, AGING), "of equal priority the older one");
	ok(run_order_rank(t, -1, AGING) < run_order_rank(t, 0, AGING), "of equal age the more urgent one");
	ok(run_order_rank(t, 100, AGING) < run_order_rank(t + 200 * AGING + 1, -100, AGING),
	    "what waited 200 times aging goes before the most urgent that came after");
	ok(run_order_rank(t, 100, AGING) > run_order_rank(t + 200 * AGING - 1, -100, AGING), "and not sooner");
}

static void
test_two_tenants(void)
{
	int got = 0;

	begin(1, (int[]){ 2 });
	left[1] = 1000;
	for (int i = 0; i < 100; i++)
		claim(1, 64, 1);
	is_int(left[1], 900, "who waits alone gets all");
	left[2] = 10;
	for (int i = 0; i < 20; i++)
		got += claim(1, 64, 2);
	is_int(got, 10, "who comes later gets every second task, not what it did not ask for before");
	is_int(left[1], 890, "and the other the rest");

	begin(1, (int[]){ 2 });
	left[1] = left[2] = 1000;
	is_int(claim(16, 64, 2), 8, "a claim of sixteen is shared in halves");
	left[2] = 0;
	is_int(claim(16, 64, 1), 16, "and is for one when the other has nothing");
	left[2] = 1000;
	claim(16, 64, 2);
	ok(all[2].served - all[1].served <= 16 && all[1].served - all[2].served <= 16, "nobody is ahead for long");
}

static void
test_rounds(void)
{
	int late = 0;

	begin(1, (int[]){ 100 });
	for (int i = 1; i <= 100; i++)
		left[i] = i == 50 ? 1 : 1000;
	for (late = 0; left[50] > 0; late++)
		claim(1, 64, 50);
	ok(late <= 100, "one task waits for at most one of each other group: %d", late);
	for (int i = 0; i < 1000; i++)
		claim(1, 64, 1);
	left[50] = 1;
	for (late = 0; left[50] > 0; late++)
		claim(1, 64, 50);
	ok(late <= 2, "who comes back is served soon: %d", late);
}

static void
test_queues(void)
{
	int got = 0;

	begin(2, (int[]){ 1000, 1 });
	for (int i = 2; i < 1002; i++)
		left[i] = 10;
	left[1002] = 1000;
	for (int i = 0; i < 10; i++)
		got += claim(16, 64, 1002);
	is_int(got, 80, "a queue with many groups takes no more turns than one with few");
	got = 0;
	for (int i = 0; i < 10; i++)
		got += claim(1, 64, 1002);
	is_int(got, 5, "also one by one");
	for (int i = 2; i < 1002; i++)
		if (left[i] < 9)
			ok(false, "group %d was served twice before others once", i);
}

static void
test_wide(void)
{
	int dealt;

	begin(1, (int[]){ 2000 });
	for (int i = 1; i <= 2000; i++)
		left[i] = 1000;
	all_wait();
	run_order_next(&takers);
	dealt = run_order_deal(&takers, 10000, 32);
	is_int(dealt, 32, "a deal has no more turns than there are places");
	is_int(all[0].most, 10000, "and hands out all there is room for");
	run_order_begin(&takers);
	is_int(run_order_next(&takers), -1, "when nobody waits it is nobody's turn");
	is_int(run_order_deal(&takers, 16, 64), 0, "and nothing is dealt");
}

/* A deal is what turn by turn would come, whoever was served how much before. */
static void
test_deal(void)
{
	enum { QUEUES = 20, GROUPS = 50, ALL = QUEUES * (GROUPS + 1), ROUNDS = 20 };
	static struct run_taker was[ALL];
	int counts[QUEUES], differ = 0, dealt = 0;

	srand48(1);
	for (int round = 0; round < ROUNDS; round++) {
		for (int q = 0; q < QUEUES; q++)
			counts[q] = GROUPS;
		begin(QUEUES, counts);
		for (int i = 0; i < takers.n; i++) {
			left[i] = all[i].queue == i ? 0 : lrand48() % 3;
			all[i].served = lrand48() % 10;
		}
		all_wait();
		run_order_next(&takers);
		memcpy(was, all, sizeof(was));
		dealt += run_order_deal(&takers, 60, 64);
		for (int i = 0; i < ALL; i++)
			was[i].most = all[i].most;
		for (int i = 0; i < 60; i++) {
			int group = (all_wait(), run_order_next(&takers));

			all[group].served++;
			all[all[group].queue].served++;
		}
		for (int i = 0; i < ALL; i++)
			differ += all[i].queue != i && left[i] > 0 && all[i].served - was[i].served != was[i].most;
	}
	is_int(differ, 0, "a deal is what turn by turn would come");
	ok(dealt > ROUNDS * QUEUES, "to many: %d", dealt);
}

static void
test_pace(void)
{
	begin(1, (int[]){ 2000 });
	for (int i = 1; i <= 100; i++)
		left[i] = 1000;
	all_wait();
	run_order_next(&takers);
	is_int(run_order_deal(&takers, 500, 64), 62, "of slow tasks a claim has as many turns as it can");
	takers.pace = 30000;
	all_wait();
	is_int(run_order_deal(&takers, 500, 64), RUN_ORDER_TURNS, "of short ones fewer");
	is_int(all[1].most, 500 / RUN_ORDER_TURNS, "with more in each");
	is_int(all[RUN_ORDER_TURNS].most, 500 / RUN_ORDER_TURNS + 500 % RUN_ORDER_TURNS, "the last has the rest");
	takers.pace = 6000;
	all_wait();
	is_int(run_order_deal(&takers, 500, 64), 23, "as many as end in a moment");
	for (int i = 101; i <= 2000; i++)
		left[i] = 1000;
	takers.pace = 30000;
	all_wait();
	is_int(run_order_deal(&takers, 500, 64), 14, "but no more than leaves all who wait a turn in three seconds");
	is_int(all[1].most, 34, "again in equal parts");
	all_wait();
	is_int(run_order_deal(&takers, 1, 64), 1, "where there is room for one, one turn");
	is_int(all[1].most, 1, "of one task");
}

int
main(void)
{
	test_rank();
	test_two_tenants();
	test_rounds();
	test_queues();
	test_wide();
	test_deal();
	test_pace();
	return done();
}
