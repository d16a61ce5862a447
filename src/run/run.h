/* run.h - claim -> execute -> outcome, as steps.
 *
 * A worker process has one struct run.  It asks the store for tasks it has free slots (and a small prefetch) for, starts each by
 * its handler, gathers outcomes and hands them back in the next step.  It never holds a transaction while a handler runs.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "conf/conf.h"
#include "store/store.h"
#include "sys/loop.h"
#include "sys/wake.h"

struct run;

struct run_options {
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct wake *wake;
	int index;               /* of the worker, for its bell */
	const char *launch_path; /* the launcher's socket */
	void (*drained)(void *arg, bool clean); /* after run_drain(): all is written or given back; clean: nothing was left behind */
	void *arg;
};

struct run *run_new(const struct run_options *o) MUSTCHECK;
void run_free(struct run **r);
void run_drain(struct run *r);  /* no more claims; the unstarted is given back; waits for the running */
void run_now(struct run *r);    /* stops the running (TERM, KILL) and gives them back */

#endif
