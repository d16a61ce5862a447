/* cache_breaker_test.c - five in a row, waits that grow, a probe that closes or does not. */
#include "cache/cache_int.h"

#include "tap.h"

static void
opens_after_five(void)
{
	struct breaker b = { BREAKER_CLOSED, 0, 0 };
	int n = 0;

	while (n < 100 && !breaker_failed(&b))
		n++;
	is_int(n + 1, 5, "the fifth failure in a row is one too many");
	b = (struct breaker){ BREAKER_CLOSED, 0, 0 };
	for (n = 0; n < 20; n++) {
		if (breaker_failed(&b))
			break;
		if (n % 4 == 3)
			breaker_good(&b);
	}
	is_int(n, 20, "a good answer in between begins the count again");
}

static void
waits_grow(void)
{
	static const int64_t expected[] = { 100000, 200000, 400000, 800000, 1600000, 3200000, 5000000, 5000000 };
	struct breaker b = { BREAKER_CLOSED, 0, 0 };

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		is_int(breaker_open(&b), expected[i], "wait %zu", i + 1);
		is_int(b.state, BREAKER_OPEN, "it is open");
		breaker_half(&b);
		breaker_close(&b);
	}
	is_int(breaker_open(&b), 5000000, "a probe alone does not make the wait short");
	breaker_half(&b);
	is_int(b.state, BREAKER_HALF, "a probe is out");
	breaker_close(&b);
	is_int(b.state, BREAKER_CLOSED, "and back");
	breaker_good(&b);
	is_int(breaker_open(&b), 100000, "an answer in time does");
}

int
main(void)
{
	opens_after_five();
	waits_grow();
	return done();
}
