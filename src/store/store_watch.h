/* store_watch.h - one look at when something is due, instead of one look of each duty. */
#ifndef STORE_STORE_WATCH_H
#define STORE_STORE_WATCH_H

#include "store/store.h"

enum store_due {
	STORE_DUE_NONE,
	STORE_DUE_PROMOTE,
	STORE_DUE_LAPSE,
	STORE_DUE_EXPIRE,
	STORE_DUE_REAP,
	STORE_DUE_PAUSES,
	STORE_DUE_SWEEP,
	STORE_DUE_LETTERS, /* one is not filed, or was resolved and is not counted */
	STORE_DUE_CAUSES,  /* what is open, or whose it is, or what is said of it, is not what it was */
	STORE_DUES
};

/* count: what is due now; next: the watch must come again so soon, or silence would not be seen in time. */
void store_watch(struct store *s, store_count_fn *fn, void *arg);
/* Reads what is paused, for those of the node who must not ask the database. */
void store_watch_pauses(struct store *s, store_count_fn *fn, void *arg);
/* When the duty is due, by clock_now(), as the last watch saw it; INT64_MAX: not that it knew. */
int64_t store_due(const struct store *s, enum store_due what);

#endif
