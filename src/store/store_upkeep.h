/* store_upkeep.h - dead rows: who keeps them in the database, and vacuum where autovacuum does not come. */
#ifndef STORE_STORE_UPKEEP_H
#define STORE_STORE_UPKEEP_H

#include "store/store.h"

/* One look at who holds the oldest xmin, who is named when postgres.xmin_warn has passed, and at the tables with too many dead rows: one that
 * stayed so for postgres.vacuum_late without a vacuum gets one, aside, on a connection of its own.  count: vacuums begun. */
void store_upkeep(struct store *s, store_count_fn *fn, void *arg);

#endif
