/* cache_breaker.c - when Redis is asked at all; a pure machine, time is its caller's.
 *
 *	CLOSED -> OPEN -> HALF -> CLOSED, and from HALF back to OPEN
 *
 * Closed: questions go out.  Five that fail in a row, or a line that breaks, open it: nothing is asked for 100 ms.  Then one probe goes out;
 * when it fails the next wait is twice as long, up to five seconds.  Only an answer that came in time makes the wait short again, so a
 * Redis that takes the probe and is too slow for questions is not tried ten times a second.
 */
#include "cache/cache_int.h"

bool
breaker_failed(struct breaker *b)
{
	return ++b->failures >= BREAKER_FAILURES;
}

int64_t
breaker_open(struct breaker *b)
{
	int64_t delay = b->delay == 0 ? BREAKER_FIRST : b->delay;

	b->state = BREAKER_OPEN;
	b->failures = 0;
	b->delay = delay * 2 < BREAKER_LAST ? delay * 2 : BREAKER_LAST;
	return delay;
}

void
breaker_half(struct breaker *b)
{
	ASSERT(b->state == BREAKER_OPEN);
	b->state = BREAKER_HALF;
}

void
breaker_close(struct breaker *b)
{
	ASSERT(b->state == BREAKER_HALF);
	b->state = BREAKER_CLOSED;
	b->failures = 0;
}

void
breaker_good(struct breaker *b)
{
	b->failures = 0;
	b->delay = 0;
}
