/* store_deliver.h - outcomes of a worker that is dead, which were kept on the disk of its node.
 *
 * They are written like those of a living one, and fenced by the same leases: what was written already counts as written, what belongs to
 * somebody else by now is stale.  The leases stay: whoever delivers releases the worker afterwards.  store_deliver.c
 */
#ifndef STORE_STORE_DELIVER_H
#define STORE_STORE_DELIVER_H

#include "store/store.h"

/* Names the database of this store among all: outcomes of another are not for it.  0: not connected yet. */
uint64_t store_place(const struct store *s) MUSTCHECK;

/* One commit.  The outcomes are borrowed until the callback; no task is in them twice.  OK: `accepted` has an element for each.
 * REFUSED: one of them is at fault.  Else nothing is known, and the same may be asked again. */
typedef void store_deliver_fn(void *arg, enum store_status status, const bool *accepted);
void store_deliver(struct store *s, const struct store_outcome *outcomes, int n, store_deliver_fn *fn, void *arg);

#endif
