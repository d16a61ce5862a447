/* run_lapse.h - what becomes of a task that a client leased and did not complete, by the same table as all others (run_outcome.h).
 *
 * The client said fail: as it said.  It said nothing until its lease ended: a crash, not charged but counted; or, when the whole time of a run
 * was over, TRANSIENT, TIMEOUT, charged.
 */
#ifndef RUN_RUN_LAPSE_H
#define RUN_RUN_LAPSE_H

#include "run/exec.h"
#include "store/store.h"

/* A store_judge_fn. */
bool run_lapse_judge(const struct conf *c, struct arena *a, const struct store_held *held, struct span report,
    struct store_outcome *o_r);

#endif
