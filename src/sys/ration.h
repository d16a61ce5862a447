/* ration.h - what the processes of one node count together so as to refuse what is too much.
 *
 * Made by the supervisor before the first fork.  Two tables of atomics, keyed by a hash of a name:
 *
 *	takers   how far ahead of its rate each is, as one time (GCRA): exact over all processes, a few instructions, no lock
 *	queues   tasks that wait in each: measured in the database from time to time, moved by what this node does in between
 *
 * Unlike stats, this is acted upon.  A process that dies in between leaves at most what it was about to give back.
 */
#ifndef SYS_RATION_H
#define SYS_RATION_H

#include "base/base.h"

#define RATION_TAKERS 4096
#define RATION_QUEUES 1024

struct ration;
struct ration *ration_new(void) MUSTCHECK; /* null + errno */

/* --- a rate ------------------------------------------------------------------------------------------------------------- */

struct ration_rate {
	int rate;  /* in a second; > 0 */
	int burst; /* at once after a pause; > 0 */
};
struct ration_share {
	bool granted;
	int64_t left;  /* that could be taken now */
	int64_t again; /* us: refused, until the same could be granted; granted, until the whole burst is there */
};
/* Takes n at once or nothing.  More than a burst is granted after a pause long enough for a whole one, and paid for afterwards:
 * nobody else could ever take so much.  `now` is clock_now(). */
struct ration_share ration_take(
    struct ration *r, struct span taker, const struct ration_rate *rate, int n, int64_t now) MUSTCHECK;

/* --- queues --------------------------------------------------------------------------------------------------------------- */

/* n more will wait in the queue, if that is not more than `most`: false, and nothing is counted, when it is. */
struct ration_place {
	int64_t waits;  /* when it was asked */
	unsigned round; /* measurements begun */
};
bool ration_queue_enter(struct ration *r, struct span queue, int n, int64_t most, struct ration_place *p_r) MUSTCHECK;
/* Whether they were stored is known: a measurement that began in between has not seen them. */
void ration_queue_settle(struct ration *r, struct span queue, int n, const struct ration_place *p, bool stored);
void ration_queue_leave(struct ration *r, struct span queue, int n); /* they run now */

/* A measurement replaces what was believed at its begin; what happens while it is made stays counted.  Queues that are not named in it
 * are empty. */
struct ration_measure {
	int64_t believed[RATION_QUEUES];
	int64_t found[RATION_QUEUES];
};
void ration_measure_begin(struct ration *r, struct ration_measure *m);
void ration_measure_found(struct ration *r, struct ration_measure *m, struct span queue, int64_t waits);
void ration_measure_end(struct ration *r, const struct ration_measure *m);

#endif
