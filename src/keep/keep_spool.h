/* keep_spool.h - what dead workers of this node have left on the disk is delivered, before their leases are taken back.
 *
 * A file goes when all in it was answered.  One that cannot be read whole is delivered as far as it can be and set aside; one of another database
 * stays where it is.  Neither keeps anybody from starting.  keep_spool.c; the files are told in spool/spool.h.
 */
#ifndef KEEP_KEEP_SPOOL_H
#define KEEP_KEEP_SPOOL_H

#include "store/store.h"

struct keep_spool;

struct keep_spool_options {
	struct loop *loop;
	struct store *store;
	const char *dir, *node;
};

struct keep_spool *keep_spool_new(const struct keep_spool_options *o) MUSTCHECK;
void keep_spool_free(struct keep_spool **k); /* after store_close() */

/* All files of a worker, or of all that are dead (0).  One at a time; answers as a duty: OK when no outcome is left that could be delivered, with
 * how many were written. */
void keep_spool_deliver(struct keep_spool *k, int64_t inc, store_count_fn *fn, void *arg);

#endif
