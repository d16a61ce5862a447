/* wake.h - wake-ups between the processes of one node.
 *
 * Made by the supervisor before the first fork: an eventfd for each worker slot, one for each acceptor, one for the keeper, and a page of shared
 * counters.  An acceptor that has committed tasks marks their lanes and rings; a worker that wakes looks at the counters to
 * see which lanes moved.  All of it is a hint: a lost one costs time (the poll finds the rows), never a task.
 */
#ifndef SYS_WAKE_H
#define SYS_WAKE_H

#include "base/base.h"

#define WAKE_LANES 1024  /* lane ids are folded into this many counters; a collision costs one empty claim */
#define WAKE_WORKERS 128 /* worker indices that can have a bell */

#define WAKE_ACCEPTORS \
	128 /* acceptor indices that have one: they are rung like workers, for clients that wait for tasks */

struct wake;

/* Anonymous shared memory + eventfds (non-blocking, close-on-exec).  Null + errno: the caller ends, so what was made is left. */
struct wake *wake_new(void) MUSTCHECK;

int wake_worker_fd(const struct wake *w, int worker); /* readable after a ring */
void wake_worker_hungry(
    struct wake *w, int worker, bool hungry); /* only hungry workers are rung; a ring makes them not hungry */
bool wake_workers_waiting(const struct wake *w); /* one is hungry */
void wake_workers_ring(struct wake *w);
int wake_acceptor_fd(const struct wake *w, int acceptor);
void wake_acceptor_hungry(struct wake *w, int acceptor, bool hungry);
int wake_keeper_fd(const struct wake *w);
void wake_keeper_ring(struct wake *w);
void wake_letter(struct wake *w); /* a dead letter was written: rings the keeper, who is told by ... */
bool wake_letter_take(struct wake *w);
void wake_hush(int fd); /* drains an eventfd */

/* `ready`: new rows at the end of the lane.  `lower`: rows were put below the low-water mark (promotion, give-back, reap):
 * a claimer forgets its mark. */
void wake_lane_ready(struct wake *w, int32_t lane);
void wake_lane_lower(struct wake *w, int32_t lane);
/* What may be started changed: every worker is rung, hungry or not, and looks again before it starts more. */
void wake_pauses_changed(struct wake *w);
uint32_t wake_pauses_count(const struct wake *w);
/* An act for many dead letters began or was told otherwise: the keeper is rung, and looks. */
void wake_sweeps_changed(struct wake *w);
uint32_t wake_sweeps_count(const struct wake *w);
/* What is paused, as the keeper of this node saw it last: for those who must not ask the database.  One writer. */
#define WAKE_PAUSED 64
struct wake_paused {
	int what; /* of the store */
	char name[65];
};
void wake_paused_set(struct wake *w, const struct wake_paused *all, int n); /* the first WAKE_PAUSED */
int wake_paused(const struct wake *w, struct wake_paused all_r[WAKE_PAUSED]);
/* Another daemon has the name of this node and lives: the keeper saw it. */
void wake_namesake_set(struct wake *w, bool lives);
bool wake_namesake(const struct wake *w);
/* A worker looked at all lanes at that time by clock_now() and found nothing to do: for a while the others of the node need not. */
void wake_looked(struct wake *w, int64_t at);
int64_t wake_looked_at(const struct wake *w); /* 0: nobody did */
/* Open dead letters, likewise: the queues with most of them. */
#define WAKE_DEAD 64
struct wake_dead {
	struct wake_dead_queue {
		char name[65];
		int64_t open;
		int64_t oldest_at; /* of the database's clock */
	} queues[WAKE_DEAD];
	int n;
	int64_t unfiled; /* letters that were not filed yet; 10001: or more */
};
void wake_dead_set(struct wake *w, const struct wake_dead *all);
void wake_dead(const struct wake *w, struct wake_dead *all_r);
uint32_t wake_lane_ready_count(const struct wake *w, int32_t lane);
uint32_t wake_lane_lower_count(const struct wake *w, int32_t lane);

#endif
