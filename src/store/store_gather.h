/* store_gather.h - whether what was collected leaves now or waits for company. */
#ifndef STORE_STORE_GATHER_H
#define STORE_STORE_GATHER_H

#include "store/store.h"

struct gather {
	bool alone;        /* no other process submits here: the server would idle while we wait */
	int flying;        /* batches under way */
	int expected;      /* submissions worth waiting for after the last one landed */
	int64_t since;     /* when the first of those that wait came; 0: nobody waits */
	int64_t landed_at; /* clock_now() */
	int64_t took;      /* us of a commit, lately */
};
void gather_left(struct gather *g);
void gather_landed(struct gather *g, int tasks, int64_t took, int waiting, int64_t now);
int64_t gather_hold(struct gather *g, int waiting, int64_t now) MUSTCHECK; /* us; 0: go */

#endif
