/* run_replay.h - how many dead letters the handler of a task type bears now: a replay must not be the second wave of what failed.
 *
 * Nothing while its breaker is open, as many as there are probes when it is half open; else what the retry budget and an adaptive window leave.
 * What was replayed is paid from the retry budget.  It is what this node knows; a handler that is not of this node bears any number.
 */
#ifndef RUN_RUN_REPLAY_H
#define RUN_RUN_REPLAY_H

#include "conf/conf.h"
#include "sys/guard.h"

struct run_replay {
	const struct conf *conf;
	struct guard *guard; /* null: nobody guards */
};

/* Functions of struct store_sweep_guard; the argument is a struct run_replay. */
int run_replay_room(void *arg, struct span task_type) MUSTCHECK; /* INT_MAX: any */
void run_replay_moved(void *arg, struct span task_type, int n);

#endif
