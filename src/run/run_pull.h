/* run_pull.h - what a client gets of a queue, and in which order: the same turns as workers take (run_order.h).
 *
 * Of one process and one queue.  A look tells what there is; each choice asks for what is next of it, by groups in turns and within one by
 * rank, and the answer moves it on.  Lanes with exact limits, those of a limited queue and those in order, are asked apart
 * from others, and so is a handler whose breaker is not closed: it is given no more than its probes.  What was found empty is cold until
 * the next look.
 *
 * No I/O: the caller looks, claims, and has one claim under way at a time.
 */
#ifndef RUN_RUN_PULL_H
#define RUN_RUN_PULL_H

#include "conf/conf.h"
#include "store/store.h"
#include "sys/guard.h"
#include "sys/wake.h"

struct run_pull;

struct run_pull *run_pull_new(
    const struct conf *c, struct guard *g, struct span queue) MUSTCHECK; /* null guard: nobody guards the handlers */
void run_pull_free(struct run_pull **p);

void run_pull_seen(struct run_pull *p, const struct store_look *look); /* instead of what was known */
int32_t run_pull_after(const struct run_pull *p) MUSTCHECK;            /* where the next look begins */
/* Fills probes, turns and limits of a claim for at most `max` tasks of these types, none: of all.  It lives until the next look.  False: there is
 * nothing now; *again_r is then when to ask again, clock_now(); INT64_MAX: when there is news. */
bool run_pull_choose(struct run_pull *p, const struct span *types, int ntypes, int max, struct store_pull *in_r,
    int64_t *again_r) MUSTCHECK;
void run_pull_took(struct run_pull *p, const struct store_pulled *a); /* the answer to what was chosen last */
/* Before a task is given out: false, its handler is in trouble, and lets none go now. */
bool run_pull_lend(struct run_pull *p, struct span task_type) MUSTCHECK;
/* The end of a lease, as it tells of its handler; wish: us that the handler wants to be left alone, -1: it does not say. */
void run_pull_ended(const struct conf *c, struct guard *g, struct wake *w, const struct store_held *held,
    enum guard_result result, int64_t wish);

#endif
