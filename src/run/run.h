/* run.h - claim -> execute -> outcome, as steps.
 *
 * A worker process has one struct run.  It asks the store for tasks it has free slots (and a small prefetch) for, starts each by
 * its handler, gathers outcomes and hands them back in the next step.  It never holds a transaction while a handler runs.
 *
 * One step is under way at a time; what ends meanwhile gathers for the next one, so batches grow with the load by themselves.  Outcomes
 * wait while the database is away, and nothing new is claimed then: claims travel in the same step.
 *
 *	claimed -> queued -> running -> ended -> sent -> (forgotten)
 *	              \__________\_______________________> given back with its lease
 *
 * run.c        the life of the machine and its turn       run_task.c     one task: start, limits of time, end
 * run_step.c   outcomes, give-backs and claims as a step  run_lease.c    leases, give-backs, heartbeat, loss of identity
 * run_lane.c   what is known of lanes                     run_order.c    whose turn it is, and what comes first in it
 * run_choose.c what a claim asks
 * run_claim.c  which lanes are worth asking, and when     run_outcome.c  what follows from an end
 * run_pause.c  what is not started now                    run_progress.c how far running tasks are
 * run_result.c which results are kept                     run_spool.c    outcomes on disk while the database is away
 * run_auth.c   a handler that is not let in is paused
 * run_guard.c  breakers, retry budgets, adaptive windows
 * run_mark.c   what is started is marked
 * exec.h       the kinds of work
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/clock.h"
#include "conf/conf.h"
#include "store/store.h"
#include "sys/guard.h"
#include "sys/marks.h"
#include "sys/loop.h"
#include "sys/ration.h"
#include "sys/wake.h"

struct run;

struct run_options {
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct wake *wake;       /* null in tests */
	struct ration *ration;   /* told what leaves the queues; null: nobody wants to know */
	struct guard *guard;     /* null: nobody guards */
	struct marks *marks;     /* where what is started is marked; null: nowhere */
	int slot;                /* of this process, for the guard */
	int index;               /* of the worker, for its bell */
	const char *node;        /* whose outcomes are kept on disk while the database is away; null: none are */
	const char *launch_path; /* the launcher's socket; null: no commands */
	/* After run_drain() or run_now(), once, on a turn of its own: all is written or given back; clean: nothing was left behind. */
	void (*drained)(void *arg, bool clean);
	void *arg;
};

struct run *run_new(const struct run_options *o) MUSTCHECK;
void run_free(struct run **r); /* after store_close(); whatever runs is forgotten */
void run_drain(struct run *r); /* no more claims; the unstarted is given back; waits for the running */
/* Drains in haste: stops the running (SIGTERM, after `grace` SIGKILL) and gives them back, no attempt charged.  drained() follows within
 * grace + RUN_NOW_PATIENCE, not clean when the database did not take everything. */
void run_now(struct run *r, int64_t grace);
#define RUN_NOW_PATIENCE (1500 * CLOCK_MS)

#endif
