/* keep.h - the keeper's duties: what must happen in time although nobody asks.
 *
 *	release     a worker of this node died and its handlers are gone: its leases return at once
 *	boot        once, at the start: workers of this node from before it; again while another daemon has its name
 *	watch       one look at when promote, reap, lapse, expire, sweep and pauses are due, and at whether file, letters and escalate have something
 *	            new to look at, so that they need not look
 *	file        dead letters get their causes, and resolutions are counted; letters tells the node how many there are, and
 *	            purge letters deletes old ones that were resolved
 *	promote     waiting tasks that are due become ready
 *	reap        leases of silent workers, of absent ones, and expired ones become ready
 *	lapse       the same of clients that hold leases and are silent
 *	expire      tasks that were not started in time become dead letters
 *	pauses      this node hears what is paused
 *	partitions  the coming ones are made
 *	depth       how many tasks wait in each queue is measured, where somebody wants to know
 *	purge       expired keys of finished tasks are deleted, in small batches; progress does so with what was told of runs that are over
 *	spool       outcomes that dead workers left on the disk are delivered; also before each release, and before boot
 *	escalate    dead letters that are overdue are told: keep_escalate.h
 *	sweep       one step of a replay, a discard or a fix of many dead letters
 *	upkeep      who keeps dead rows in the database is named, and a table is vacuumed where autovacuum does not come
 *	names       unique names that nobody holds any more are deleted, in small batches
 *
 * Duties run one at a time on one connection.  Several keepers (of other nodes) may do the same at the same time; the store sees to
 * that.  A duty that fails is repeated with growing pauses, and said once in the log until it works again.
 */
#ifndef KEEP_KEEP_H
#define KEEP_KEEP_H

#include "store/store.h"

#include "keep/keep_spool.h"

struct keep;

struct keep_options {
	struct loop *loop;
	struct store *store;
	struct wake *wake;   /* null in tests */
	struct marks *marks; /* what workers had started; null: nobody knows */
	const int *
	    gone_pipe; /* [0] brings an int64_t inc for each dead worker; [1] takes back what a leaving keeper did not do */
	struct keep_spool *spool; /* null: nothing is kept on disk */
	/* looks for what is overdue, and tells it; null in tests */
	void (*escalate)(void *escalator, store_count_fn *fn, void *arg);
	void *escalator;
	bool measure; /* the depth of queues is wanted; the store has a ration */
	void (*drained)(void *arg);
	void *arg;
};

struct keep *keep_new(const struct keep_options *o) MUSTCHECK;
void keep_free(struct keep **k); /* after store_close() */
/* Finishes the duty under way and the releases, unless the database is away: drained() follows on a later turn. */
void keep_drain(struct keep *k);

#endif
