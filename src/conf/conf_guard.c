/* conf_guard.c - from the options of a handler to the rule of its guard, the same for who starts runs and who shows them. */
#include "base/clock.h"
#include "sys/guard.h"

#include "conf/conf.h"

#define PROBE_SLACK \
	(15 * CLOCK_SECOND) /* for the report of an end that had to be forced, or of a lease that ended in silence */

void
conf_guard_rule(const struct conf *c, const struct conf_handler *h, struct guard_rule *r)
{
	int64_t run = h->kind != CONF_HANDLER_LEASE ? h->timeout + c->kill_grace : h->lease_default;
	int slots = h->concurrency > 0 && h->concurrency < c->work.slots ? h->concurrency : c->work.slots;

	*r = (struct guard_rule){
		.breaker = h->breaker,
		.window = h->breaker_window,
		.least = h->breaker_min,
		.share = h->breaker_share,
		.pause = h->breaker_pause,
		.pause_max = h->breaker_pause_max,
		.probes = h->breaker_probes,
		.patience = run + PROBE_SLACK,
		.retry_window = h->retry_window,
		.retry_floor = h->retry_floor,
		.retry_share = h->retry_share,
		.adaptive = h->adaptive,
		.start = h->adaptive_start,
		.most = slots * (c->workers > 0 ? c->workers : 1),
		.cohorts = h->adaptive_cohorts,
	};
}
