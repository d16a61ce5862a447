/* store_result.c - what queues say of results: how long they may be, whether they are stored, and for how long they are shown.
 *
 * A row of `done` is written once, so a result that is not shown any more is there still, until its day's partition goes.  Logs nothing.
 * Next: store_read.c, store_hold_write.c, run/run_result.c.
 */
#include "store/store_int.h"

int64_t
store_result_max(const struct conf *c, struct span queue)
{
	const struct conf_queue *q = conf_queue_find(c, queue);

	return q != NULL ? q->result_max : INT64_MAX;
}

int64_t
store_result_life(const struct conf *c, struct span queue)
{
	const struct conf_queue *q = conf_queue_find(c, queue);

	return q != NULL ? q->results : INT64_MAX;
}
