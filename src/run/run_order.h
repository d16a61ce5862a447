/* run_order.h - in which order tasks are taken; pure functions, see run_order.c. */
#ifndef RUN_RUN_ORDER_H
#define RUN_RUN_ORDER_H

#include "base/base.h"
#include "task/task.h"

#define RUN_ORDER_TURNS 8 /* of a deal at least, when room and those who wait are enough */

/* Who takes turns: a queue, and in it each group; tasks without a group are one of the groups of their queue. */
struct run_taker {
	uint64_t key;
	int queue;      /* index of its queue among the takers; that of itself: it is a queue */
	int64_t served; /* tasks taken; who comes back from having nothing is lifted to those who waited */
	int64_t clock;  /* of a queue: the least that one of its waiting groups was served */
	bool waits;     /* has something to be taken now */
	int64_t rank;   /* of the best of it */
	int most;       /* dealt: tasks that may be taken now; of a queue the sum */
	int turn;       /* dealt: from 0 in the order of the turns; -1: none */
};

struct run_takers {
	struct run_taker *all;
	int n;
	int64_t clock; /* as in a queue, for the queues */
	int pace;      /* tasks that ended lately, in a second */
};

/* Less is sooner: when it was submitted, and `aging` later for each step that it is less urgent; us. */
int64_t run_order_rank(int64_t submitted_at, int prio, int64_t aging);

void run_order_begin(struct run_takers *t);                         /* nobody waits */
void run_order_wait(struct run_takers *t, int group, int64_t rank); /* this one does, and its queue */
/* The group whose turn it is; -1: nobody waits.  Asked when all who wait are there: it sets the clocks. */
int run_order_next(struct run_takers *t);
/* Deals room for so many tasks to those who wait, perhaps only some, to at most `turns` of them; how many have a turn. */
int run_order_deal(struct run_takers *t, int room, int turns);
void run_order_took(struct run_takers *t, int group, int tasks);

#endif
