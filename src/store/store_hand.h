/* store_hand.h - what an operator does to one task; the same words and promises as store.h. */
#ifndef STORE_STORE_HAND_H
#define STORE_STORE_HAND_H

#include "store/store_audit.h"

/* REFUSED: the state forbids it (row tells it; TASK_DEAD: a block does); OK with a null row: no such task.  `who` must live until then. */
void store_cancel(struct store *s, const struct id *id, const struct store_who *who, store_row_fn *fn, void *arg);
struct store_retry {
	int extra_attempts; /* added to max_attempts */
	bool reset_attempts;
};
void store_retry(struct store *s, const struct id *id, const struct store_retry *how, const struct store_who *who,
    store_row_fn *fn, void *arg);

#endif
