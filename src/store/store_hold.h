/* store_hold.h - the words of those who hold leases, on their way: what store_hold.c and store_hold_write.c share. */
#ifndef STORE_STORE_HOLD_H
#define STORE_STORE_HOLD_H

#include "store/store_int.h"

struct hold {
	unsigned magic;
	struct store *store;
	enum store_word word;
	const struct store_saying *in;
	int n;
	store_say_fn *fn;
	store_count_fn *count_fn;
	void *arg;
	int64_t deadline;
	struct arena *arena;
	struct store_reply *replies;
	/* those whose lease is there, about whom something is done */
	struct store_worker step; /* as if one worker had them, each in a lease of its own */
	int *at;                  /* of each outcome: its saying */
	struct store_outcome *outcomes;
	int nacting;
	int at_extend, at_put_off, at_lock, at_given; /* places of statements; -1: not there */
};

void hold_add(struct hold *h, struct request *r);
/* False: a try that was cut may have written what cannot be seen any more. */
bool hold_take(struct hold *h, const struct request *r) MUSTCHECK;

#endif
