/* super_policy_test.c - when a child is started again; how many generations fit. */
#include "stats/stats.h"
#include "super/super_int.h"

#include "tap.h"

static void
test_delays(void)
{
	static const struct {
		int early;
		int64_t delay;
	} rows[] = { { 0, 0 }, { 1, 0 }, { 2, 100 * CLOCK_MS }, { 3, 200 * CLOCK_MS }, { 4, 400 * CLOCK_MS },
		{ 11, 51200 * CLOCK_MS }, { 12, 60 * CLOCK_SECOND }, { 13, 60 * CLOCK_SECOND },
		{ 1000000, 60 * CLOCK_SECOND } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		is_int(super_throttle_delay(rows[i].early), rows[i].delay, "after %d early deaths", rows[i].early);
}

static void
test_throttle(void)
{
	struct super_throttle t = { 0 };
	int64_t now = 1000 * CLOCK_SECOND;

	ok(super_throttle_open(&t, now), "open at first");
	super_throttle_started(&t, now);
	ok(super_throttle_open(&t, now), "for all of a role at once");
	super_throttle_died_early(&t, now);
	ok(super_throttle_open(&t, now), "one early death costs nothing");
	super_throttle_died_early(&t, now);
	ok(!super_throttle_open(&t, now + 99 * CLOCK_MS), "two are slowed");
	ok(super_throttle_open(&t, now + 100 * CLOCK_MS), "not for ever");
	now += 100 * CLOCK_MS;
	super_throttle_started(&t, now);
	ok(!super_throttle_open(&t, now + 500 * CLOCK_MS), "then one at a time");
	super_throttle_died_early(&t, now + 10 * CLOCK_MS);
	ok(super_throttle_open(&t, now + 210 * CLOCK_MS), "the next after a longer delay");
	super_throttle_proven(&t);
	ok(super_throttle_open(&t, now), "one that proves itself lifts the delay");
	is_int(super_throttle_delay(t.early), 0, "and forgets it");
}

static void
test_room(void)
{
	is_int(super_room_for(10, 10, 10), SUPER_ROOM_NOW, "two small generations");
	is_int(super_room_for(10, 10, STATS_SLOTS - 11), SUPER_ROOM_NOW, "just enough slots");
	is_int(super_room_for(10, 10, STATS_SLOTS - 10), SUPER_ROOM_LATER, "when earlier ones have ended");
	is_int(
	    super_room_for(STATS_SLOTS / 2, STATS_SLOTS / 2, 5), SUPER_ROOM_NEVER, "not even beside the serving one");
}

int
main(void)
{
	test_delays();
	test_throttle();
	test_room();
	return done();
}
