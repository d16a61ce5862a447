/* store_list.h - a page of tasks on its way: what store_list.c, which knows who asks, and store_page.c, which looks, share. */
#ifndef STORE_STORE_LIST_H
#define STORE_STORE_LIST_H

#include "base/arena.h"

#include "store/store_int.h"

#define LIST_MAGIC 0x5c0a1157U
#define LIST_ROUNDS 10 /* and one more when a stretch ends */

struct listing {
	unsigned magic;
	struct list node;
	struct lister *lister;
	struct store *store;
	struct list callers;
	store_list_fn *fn; /* of all of them */
	int64_t asked_at;  /* clock_now(), by the first */
	bool begun;
	struct request *first;       /* its first question, until it is answered: */
	const struct question *look; /* one or the other */
	struct store_filter f;
	struct arena *arena;   /* of the filter's words, the ids and the rows */
	struct task_row *rows; /* room for limit + 1 */
	int nrows, skip;
	int32_t *lanes;
	int nlanes;
	bool by_lane;
	struct id before; /* this round looks at tasks before this one, */
	struct id from;   /* and not before this one: the end of the stretch */
	int examine, rounds;
	struct id *ids; /* which it found: room for limit + 1; those from next_id on are still to be read */
	int nids, next_id, asked;
	bool plain;           /* everything fits: what is looked at is read at once */
	bool ended;           /* the round ended before the stretch did, */
	struct id end;        /* here */
	int64_t bytes;        /* of the rows so far */
	bool full;            /* they are enough */
	struct looked **kept; /* what the rows point into: room for limit + 1 */
	int nkept;
};

/* Asks its first question; answered by list_answer(). */
void page_begin(struct listing *l);
void list_answer(struct listing *l, enum store_status status, bool more, const struct id *next);

#endif
