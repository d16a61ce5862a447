/* run_lapse.h - what becomes of a task that a client leased and did not complete, by the same table as all others (run_outcome.h).
 *
 * The client said fail: as it said.  It said nothing until its lease ended: a crash, not charged but counted; or, when the whole time of a run
 * was over, TRANSIENT, TIMEOUT, charged.
 *
 * The guard hears of an end when it is judged, a moment before it is written: one that is heard twice, or not written at last, counts for
 * no more than one run among many.
 */
#ifndef RUN_RUN_LAPSE_H
#define RUN_RUN_LAPSE_H

#include "run/exec.h"
#include "store/store.h"

/* Who hears of ends on this node; either may be null. */
struct run_lapse {
	struct guard *guard;
	struct wake *wake;
};

/* A store_judge_fn; its argument is a struct run_lapse.  The guard is told, and a retry beyond its budget waits longer. */
bool run_lapse_judge(void *arg, const struct conf *c, struct arena *a, const struct store_held *held,
    struct span report, struct store_outcome *o_r);

#endif
