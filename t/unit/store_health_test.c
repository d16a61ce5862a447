/* store_health_test.c - what a server must be before a node is ready. */
#include "store/store_int.h"

#include "tap.h"

static struct store_server
good(void)
{
	return (struct store_server){ .version = STORE_SERVER_MIN,
		.fsync = true,
		.full_page_writes = true,
		.synchronous_commit = true,
		.schema = SQL_SCHEMA_VERSION,
		.days_ahead = 7,
		.clock = 1000 * CLOCK_SECOND };
}

static void
test_lies(void)
{
	struct store_server v = good();

	ok(health_lie(&v) == NULL, "a server that writes is believed");
	v.fsync = false;
	is_str(health_lie(&v), "postgres runs with fsync = off", "fsync");
	v = good();
	v.full_page_writes = false;
	is_str(health_lie(&v), "postgres runs with full_page_writes = off", "full_page_writes");
	v = good();
	v.synchronous_commit = false;
	is_str(health_lie(&v), "postgres runs with synchronous_commit = off", "synchronous_commit");
}

static void
test_clock(void)
{
	struct store_server old = good(), now = good();

	now.clock = old.clock + CLOCK_SECOND;
	ok(!health_clock_moved(&old, &now), "a second is forgiven");
	now.clock++;
	ok(health_clock_moved(&old, &now), "more is not");
	now.clock = old.clock - CLOCK_SECOND - 1;
	ok(health_clock_moved(&old, &now), "nor backwards");
	now.clock_within = CLOCK_MS;
	ok(!health_clock_moved(&old, &now), "what a slow answer cannot tell is not told");
}

static void
test_trouble(void)
{
	struct store_server v = good();
	char why[160];

	ok(health_trouble(&v, true, why, sizeof(why)) == NULL, "a week ahead is enough");
	v.days_ahead = 6;
	is_str(health_trouble(&v, true, why, sizeof(why)), "partitions are ready for 6 days ahead, expected 7",
	    "less is not");
	v = good();
	is_str(health_trouble(&v, false, why, sizeof(why)), "the clock of postgres moved by more than a second",
	    "the clock");
	v.schema = SQL_SCHEMA_VERSION + 1;
	ok(strncmp(health_trouble(&v, true, why, sizeof(why)), "schema is version ", 18) == 0, "a schema of tomorrow");
}

int
main(void)
{
	test_lies();
	test_clock();
	test_trouble();
	return done();
}
