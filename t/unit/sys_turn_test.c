/* sys_turn_test.c - an id comes after all that were told, whoever asks; and ids do not run away from the clock. */
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/turn.h"

#include "tap.h"

#define NOON INT64_C(1700000000000) /* ms */
#define ROUNDS 20000

static int64_t
next(struct turn *t, uint32_t writer, int64_t now)
{
	int64_t ms = -1;

	return turn_next(t, writer, now, &ms) == TURN_GO ? ms : -1;
}

static void
test_order(void)
{
	struct turn *t = turn_new();

	ok(t != NULL, "a turn");
	is_int(next(t, 1, NOON), 0, "nothing was told: nothing to come after");
	turn_told(t, 1, NOON);
	is_int(next(t, 1, NOON), NOON, "its own millisecond again");
	is_int(next(t, 2, NOON - 5), NOON + 1, "another one begins after it, though its clock is behind");
	turn_told(t, 2, NOON - 3);
	is_int(next(t, 2, NOON), NOON + 1, "what is told late changes nothing");
	turn_told(t, 2, NOON);
	is_int(next(t, 1, NOON), NOON + 1, "of two in one millisecond neither may stay in it");
	is_int(next(t, 2, NOON), NOON + 1, "... nor the other");
	turn_told(t, 2, NOON + 7);
	is_int(next(t, 2, NOON), NOON + 7, "the youngest counts");
}

static void
test_lead(void)
{
	struct turn *t = turn_new();
	int64_t ms, mono = CLOCK_SECOND;
	int told = 0, waits = 0;

	for (int i = 0; i < 4000; i++) { /* four answers in a millisecond, each of another writer than the one before */
		clock_set(mono + i * (CLOCK_MS / 4), 0);
		if (turn_next(t, 1 + (uint32_t)told % 2, NOON + i / 4, &ms) == TURN_GO) {
			ms = ms > NOON + i / 4 ? ms : NOON + i / 4;
			turn_told(t, 1 + (uint32_t)told++ % 2, ms);
		} else {
			waits++;
		}
	}
	ok(ms - NOON - 1000 <= TURN_LEAD_MAX + 1, "ids are at most a quarter of a second ahead");
	ok(waits > 1000 && told > 1000, "then they go as fast as the clock");
	clock_set(mono + 2 * CLOCK_SECOND, 0);
	is_int(next(t, 1, NOON - 8000) > 0, true, "a clock that went back by eight seconds stops nobody");
	clock_unset();
}

static void
test_step(void)
{
	struct turn *t = turn_new();
	int64_t ms;

	clock_set(CLOCK_SECOND, 0);
	turn_told(t, 1, NOON);
	is_int(turn_next(t, 2, NOON - TURN_STEP_MAX + 1, &ms), TURN_WAIT, "not twice in a millisecond");
	clock_set(CLOCK_SECOND + CLOCK_MS, 0);
	is_int(next(t, 2, NOON - TURN_STEP_MAX + 1), NOON + 1, "ten seconds back are borne");
	is_int(turn_next(t, 2, NOON - TURN_STEP_MAX, &ms), TURN_STEP, "more is told");
	is_int(ms, 0, "... and begins anew");
	is_int(next(t, 2, NOON - TURN_STEP_MAX), 0, "once");
	clock_unset();
}

/* Two processes raise it at once; each checks that what it gets comes after what it told. */
static int
race(struct turn *t, uint32_t writer)
{
	int64_t ms, last = 0;

	for (int i = 0; i < ROUNDS; i++) {
		if (turn_next(t, writer, NOON, &ms) != TURN_GO)
			continue;
		if (ms < last)
			return 1;
		last = ms > NOON ? ms : NOON;
		turn_told(t, writer, last);
	}
	return 0;
}

static void
test_race(void)
{
	struct turn *t = turn_new();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(race(t, 1));
	is_int(race(t, 2), 0, "what is told is never taken back");
	ok(waitpid(pid, &status, 0) == pid && status == 0, "... for the other process too");
}

int
main(void)
{
	test_order();
	test_lead();
	test_step();
	test_race();
	return done();
}
