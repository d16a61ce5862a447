/* run_outcome.h - from the end of a run to what becomes of the task.  Pure: no clock, no dice of its own, no store.
 *
 *	success                                   SUCCEEDED
 *	TRANSIENT, RATE_LIMITED, PERSISTENT       charged; retry after the back-off (RATE_LIMITED and who else asks: as long as it asked;
 *	                                          PERSISTENT: five times the back-off); none left: buried, RETRY_EXHAUSTED
 *	AUTH                                      retry after a minute, not charged
 *	NON_RETRYABLE                             charged; buried with the handler's code as reason
 *	a class that nobody knows                 charged; buried, UNKNOWN_CLASS
 *	crash                                     not charged but counted; retry after the back-off; after work.crash_max of them:
 *	                                          buried, QUARANTINED
 */
#ifndef RUN_RUN_OUTCOME_H
#define RUN_RUN_OUTCOME_H

#include "store/store.h"

#include "run/exec.h"

/* What is known of the task before this run. */
struct run_history {
	int run;      /* starts before this one */
	int attempts; /* charged before this one */
	int crashes;
	int max_attempts;
	int crash_max;
	struct task_backoff backoff;
};

struct run_verdict {
	enum store_outcome_kind kind;
	const char *reason; /* BURY; static, or the code of the failure */
	int64_t delay;      /* RETRY */
	bool charge;
	bool crash;
};

/* `dice` in [0, 1).  The verdict may point into `end`. */
struct run_verdict run_outcome_decide(const struct run_history *h, const struct exec_end *end, double dice);
struct task_backoff run_outcome_backoff(const struct conf_handler *handler); /* null: the defaults */

#endif
