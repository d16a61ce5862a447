/* run_exact.c - lanes with exact limits: those of a queue that the configuration limits, and those in order.
 *
 * Their tasks are claimed by a statement of their own, which counts what runs on all nodes and takes no more than there is room for.
 */
#include "run/run_int.h"

bool
run_exact_limits(const struct conf *c, struct span queue, struct store_limits *limits_r)
{
	const struct conf_queue *q = conf_queue_find(c, queue);

	*limits_r = (struct store_limits){ 0 };
	if (q == NULL)
		return false;
	limits_r->concurrency = q->concurrency;
	limits_r->group_concurrency = q->group_concurrency;
	limits_r->interval = conf_rate_interval(q->rate);
	limits_r->group_interval = conf_rate_interval(q->group_rate);
	limits_r->burst = q->burst;
	limits_r->group_burst = q->group_burst;
	return limits_r->concurrency > 0 || limits_r->group_concurrency > 0 || limits_r->interval > 0 ||
	       limits_r->group_interval > 0;
}
