/* sys_ration_test.c - rates are kept to the unit, over processes too; queues are counted and measured. */
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/ration.h"
#include "t/unit/tap.h"

static const struct span alice = SPAN("alice"), bob = SPAN("bob");

/* How many single ones are granted at this moment. */
static int
drain(struct ration *r, struct span who, const struct ration_rate *rate, int64_t now)
{
	int n = 0;

	while (ration_take(r, who, rate, 1, now).granted)
		n++;
	return n;
}

static void
test_rate(void)
{
	struct ration *r = ration_new();
	struct ration_rate rate = { 100, 20 };
	struct ration_share s;
	int64_t now = 1000 * CLOCK_SECOND, t;
	int n;

	s = ration_take(r, alice, &rate, 1, now);
	ok(s.granted && s.left == 19 && s.again == 10 * CLOCK_MS, "the first leaves a burst less one");
	is_int(drain(r, alice, &rate, now), 19, "then the rest of the burst");
	s = ration_take(r, alice, &rate, 1, now);
	ok(!s.granted && s.left == 0 && s.again == 10 * CLOCK_MS, "then one in 10 ms");
	ok(!ration_take(r, alice, &rate, 1, now + 9999).granted, "not before");
	ok(ration_take(r, alice, &rate, 1, now + 10000).granted, "but then");
	is_int(drain(r, bob, &rate, now), 20, "another has his own");
	for (n = 0, t = now + CLOCK_SECOND; t < now + 3 * CLOCK_SECOND; t += 100)
		n += ration_take(r, alice, &rate, 1, t).granted;
	is_int(n, 20 + 199, "two seconds of trying give a burst and the rate");
	is_int(drain(r, alice, &rate, now + 3600 * CLOCK_SECOND), 20, "an hour of silence gives no more than a burst");
}

static void
test_many(void)
{
	struct ration *r = ration_new();
	struct ration_rate rate = { 100, 20 };
	struct ration_share s;
	int64_t now = 1000 * CLOCK_SECOND;

	ok(ration_take(r, alice, &rate, 15, now).granted, "15 of 20");
	s = ration_take(r, alice, &rate, 15, now);
	ok(!s.granted && s.left == 5 && s.again == 100 * CLOCK_MS, "15 more want 10 more, so 100 ms");
	ok(ration_take(r, alice, &rate, 5, now).granted, "what was refused was not counted");
	now += CLOCK_SECOND;
	ok(ration_take(r, alice, &rate, 200, now).granted, "more than a burst after a pause");
	s = ration_take(r, alice, &rate, 1, now);
	ok(!s.granted && s.again == 1810 * CLOCK_MS, "and that is paid for");
	s = ration_take(r, alice, &rate, 200, now + CLOCK_SECOND);
	ok(!s.granted && s.again == CLOCK_SECOND, "a second one of that kind waits until all is paid");
	ok(ration_take(r, alice, &rate, 200, now + 2 * CLOCK_SECOND).granted, "which is then");
}

static void
test_processes(void)
{
	struct ration *r = ration_new();
	struct ration_rate rate = { 10, 30000 };
	int granted = 0, i, pipes[2], n;
	pid_t pids[4];

	MUST(pipe(pipes) == 0);
	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			n = drain(r, alice, &rate, CLOCK_SECOND);
			_exit(write(pipes[1], &n, sizeof(n)) != sizeof(n));
		}
	}
	for (i = 0; i < 4; i++) {
		MUST(read(pipes[0], &n, sizeof(n)) == sizeof(n));
		granted += n;
		MUST(waitpid(pids[i], NULL, 0) == pids[i]);
	}
	is_int(granted, 30000, "four processes together get the burst, to the unit");
}

static void
test_queues(void)
{
	struct ration *r = ration_new();
	struct ration_place p = { .waits = -1 };

	ok(ration_queue_enter(r, alice, 8, 10, &p) && p.waits == 0, "8 of 10");
	ration_queue_settle(r, alice, 8, &p, true);
	ok(!ration_queue_enter(r, alice, 3, 10, &p) && p.waits == 8, "not 3 more");
	ok(ration_queue_enter(r, alice, 2, 10, &p), "but 2");
	ration_queue_settle(r, alice, 2, &p, false);
	ok(ration_queue_enter(r, alice, 2, 10, &p) && p.waits == 8, "and again, when those were not stored");
	ok(ration_queue_enter(r, bob, 10, 10, &p), "another queue has its own");
	ration_queue_leave(r, alice, 4);
	ok(ration_queue_enter(r, alice, 4, 10, &p) && p.waits == 6, "room again after 4 left");
	ration_queue_leave(r, alice, 100);
	ok(ration_queue_enter(r, alice, 10, 10, &p) && p.waits == 0, "never below nothing");
}

static void
test_measure(void)
{
	struct ration *r = ration_new();
	static struct ration_measure m;
	struct ration_place p, q, now;

	MUST(ration_queue_enter(r, alice, 10, 100, &p) && ration_queue_enter(r, bob, 10, 100, &q));
	ration_measure_begin(r, &m);
	ration_queue_leave(r, alice, 1);
	ration_measure_found(r, &m, alice, 5);
	ration_measure_end(r, &m);
	ok(ration_queue_enter(r, alice, 1, 100, &now) && now.waits == 4,
	    "5 were found, and one has left since the measurement began");
	ration_queue_settle(r, alice, 10, &p, true);
	ok(ration_queue_enter(r, alice, 1, 100, &now) && now.waits == 15,
	    "what was in flight then counts once it is stored");
	ration_queue_settle(r, bob, 10, &q, false);
	ok(ration_queue_enter(r, bob, 1, 100, &now) && now.waits == 0, "and not when it is not");
	ration_measure_begin(r, &m);
	ration_measure_end(r, &m);
	ok(ration_queue_enter(r, alice, 1, 100, &now) && now.waits == 0, "a queue that is not named is empty");
}

static void
test_full_tables(void)
{
	struct ration *r = ration_new();
	struct ration_rate rate = { 1, 1 };
	char name[16];
	int i, granted = 0;

	for (i = 0; i < 2 * RATION_TAKERS; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		granted += ration_take(r, span_of(name), &rate, 1, CLOCK_SECOND).granted;
	}
	is_int(granted, RATION_TAKERS, "names beyond the table share what it has");
}

int
main(void)
{
	test_rate();
	test_many();
	test_processes();
	test_queues();
	test_measure();
	test_full_tables();
	return done();
}
