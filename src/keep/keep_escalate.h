/* keep_escalate.h - what is overdue among dead letters is told: in the log, in the metrics, and to dead.escalate_url.
 *
 * A cause is told once for each due time.  With a URL it counts as told when the service there answered 2xx; until then it is sent again
 * and again, by whichever keeper, after pauses that grow to five minutes.  The event may arrive twice, with the same webhook-id.
 */
#ifndef KEEP_KEEP_ESCALATE_H
#define KEEP_KEEP_ESCALATE_H

#include "store/store.h"

struct escalate;

struct escalate *escalate_new(
    struct loop *loop, struct store *store, const struct conf *conf, const char *node) MUSTCHECK;
void escalate_free(struct escalate **e); /* calls under way are given up: another keeper makes them */
/* One look, or none while it rests from the last.  count: causes to be told; it does not wait for the calls. */
void escalate_look(void *escalator, store_count_fn *fn, void *arg);

#endif
