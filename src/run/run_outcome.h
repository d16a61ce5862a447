/* run_outcome.h - from the end of a run to what becomes of the task.  Pure: no clock, no dice of its own, no store.
 *
 *	success                                   SUCCEEDED
 *	TRANSIENT, RATE_LIMITED, PERSISTENT       charged; retry after the back-off (RATE_LIMITED and who else asks: as long as it asked, at
 *	                                          most handler.retry_after_max; PERSISTENT: handler.retry_persistent times the back-off);
 *	                                          none left: buried, RETRY_EXHAUSTED
 *	AUTH                                      not charged; the handler is paused for all, the task comes back after the first back-off
 *	put off, by whatever it is said           not charged; back after exactly that time, at most 365 days
 *	NON_RETRYABLE                             charged; buried with the handler's code as reason
 *	a class, or a code without a class, that  charged; buried, UNKNOWN_CLASS or UNKNOWN_CODE
 *	nobody knows
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
	int64_t delay;      /* RETRY, PUT_OFF */
	bool charge;
	bool crash;
	bool pause; /* the handler must not run again before somebody has looked at it */
};

/* Settles what a failure is, by the rules of its handler (null: none has any) and what the handler said: before the verdict, once. */
void run_outcome_judge(const struct task_rules *rules, struct exec_end *end);
/* `dice` in [0, 1).  The verdict may point into `end`. */
struct run_verdict run_outcome_decide(const struct run_history *h, const struct exec_end *end, double dice);
struct task_backoff run_outcome_backoff(const struct conf_handler *handler); /* null: the defaults */

#endif
