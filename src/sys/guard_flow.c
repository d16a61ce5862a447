/* guard_flow.c - how many retries, and how many runs at once; see guard.h.
 *
 * The budget is one time, as in ration.c: when the debt of all retries so far is paid.  It may lie a window ahead; a retry that would push
 * it further waits for the rest, and its cost is added all the same, so each later one waits longer and they come out one by one.
 *
 * The window is kept with its fractions, and beside it the failures since the last success in windowfuls, as one word.
 */
#include "sys/guard_int.h"

/* --- the budget -------------------------------------------------------------------------------------------------------------------- */

static int64_t
retries_allowed(const struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	int64_t firsts = guard_ring_sum(&h->firsts, r->retry_window, now).runs;

	return r->retry_floor + firsts * r->retry_share / 100;
}

static int64_t
retry_cost(const struct guard_rule *r, int64_t allowed)
{
	int64_t cost = r->retry_window / allowed;

	return cost > 0 ? cost : 1;
}

int64_t
guard_retry(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	int64_t paid, cost, ahead;

	if (h == NULL || r->retry_window == 0)
		return 0;
	cost = retry_cost(r, retries_allowed(h, r, now));
	paid = atomic_load(&h->paid);
	do {
		ahead = (paid > now ? paid - now : 0) + cost;
	} while (!atomic_compare_exchange_weak(&h->paid, &paid, now + ahead));
	if (ahead <= r->retry_window)
		return 0;
	atomic_fetch_add(&h->refused, 1);
	return ahead - r->retry_window;
}

int64_t
guard_budget_left(const struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	int64_t paid = atomic_load(&h->paid), ahead = paid > now ? paid - now : 0;

	if (r->retry_window == 0 || ahead >= r->retry_window)
		return 0;
	return (r->retry_window - ahead) / retry_cost(r, retries_allowed(h, r, now));
}

/* --- the window -------------------------------------------------------------------------------------------------------------------- */

#define ONE UINT32_C(65536) /* fractions of both halves */
#define WINDOW_MOST 32767
#define ROUNDED 64 /* what the fractions of a few failures may lack */

static uint32_t
window_limit(const struct guard_rule *r)
{
	return (uint32_t)(r->most < WINDOW_MOST ? r->most : WINDOW_MOST) * ONE;
}

static uint32_t
window_of(uint64_t word, const struct guard_rule *r)
{
	uint32_t window = (uint32_t)(word >> 32), limit = window_limit(r);

	if (window == 0)
		window = (uint32_t)(r->start < WINDOW_MOST ? r->start : WINDOW_MOST) * ONE;
	return window < limit ? window : limit;
}

int
guard_window(const struct guard_handler *h, const struct guard_rule *r)
{
	return (int)(window_of(atomic_load_explicit(&h->window, memory_order_relaxed), r) / ONE);
}

/* A window that is not used tells nothing by its successes: it grows only while at least half of it runs. */
static uint64_t
window_up(const struct guard_rule *r, uint32_t window, int running)
{
	uint32_t limit = window_limit(r), step = (uint32_t)((uint64_t)ONE * ONE / window);

	if ((uint64_t)running * 2 * ONE >= window)
		window = limit - window > step ? window + step : limit;
	return (uint64_t)window << 32;
}

static uint64_t
window_down(uint32_t window, uint64_t failed)
{
	failed += (uint64_t)ONE * ONE / window;
	window = window > 2 * ONE ? window - ONE : ONE;
	return (uint64_t)window << 32 | (failed < UINT32_MAX ? failed : UINT32_MAX);
}

/* Dead: the window is as at first, for the time when it lives again. */
bool
guard_window_ended(struct guard_handler *h, const struct guard_rule *r, bool good)
{
	uint64_t word = atomic_load(&h->window), to;
	int running = good ? guard_running(h) : 0;
	bool dead;

	do {
		uint32_t window = window_of(word, r);

		to = good ? window_up(r, window, running) : window_down(window, (uint32_t)word);
		dead = (to & UINT32_MAX) + ROUNDED >= (uint64_t)r->cohorts * ONE;
		if (dead && r->breaker)
			to = 0;
	} while (!atomic_compare_exchange_weak(&h->window, &word, to));
	return dead;
}
