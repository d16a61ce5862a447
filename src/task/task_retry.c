/* task_retry.c - how long a task waits before it runs again.
 *
 * base * factor^(attempts - 1), capped, then stretched by the jitter: tasks that failed together come back apart, also
 * at the cap, and never earlier than the schedule says.
 */
#include "task/task.h"

int64_t
task_backoff_delay(const struct task_backoff *b, int attempts, double dice)
{
	double delay = (double)b->base;
	double cap = (double)b->cap;

	ASSERT(b->base >= 0 && b->cap >= 0 && b->factor >= 1 && b->jitter_lo >= 0 && b->jitter_hi >= b->jitter_lo);
	ASSERT(dice >= 0 && dice < 1);
	if (b->factor > 1 && delay > 0)
		for (int n = 1; n < attempts && delay < cap; n++)
			delay *= b->factor;
	if (delay > cap)
		delay = cap;
	return (int64_t)(delay * (1 + b->jitter_lo + dice * (b->jitter_hi - b->jitter_lo)));
}
