/* store_shape.h - age against queue: how many tasks of each queue are how old; the same words and promises as store.h. */
#ifndef STORE_STORE_SHAPE_H
#define STORE_STORE_SHAPE_H

#include "store/store.h"

/* Spans of age: up to 5 minutes, 10, 20, 40 ... 1280, and older. */
#define STORE_SHAPE_SPANS 10
extern const int store_shape_minutes[STORE_SHAPE_SPANS - 1];

/* What a look reads at most; http/taskq-api.7 says so. */
#define STORE_SHAPE_LANES 500
#define STORE_SHAPE_RANGES 20 /* of a lane */
#define STORE_SHAPE_WAITING 5000
#define STORE_SHAPE_LEASES 1000
#define STORE_SHAPE_CAUSES 100
#define STORE_SHAPE_LETTERS 1000 /* the oldest of a cause */

enum store_shape_state { STORE_SHAPE_READY = 1, STORE_SHAPE_WAITS, STORE_SHAPE_PROCESSING, STORE_SHAPE_DEAD };

struct store_shape {
	struct span queue;
	struct span task_type; /* empty: all of the queue together */
	enum store_shape_state state;
	int64_t n[STORE_SHAPE_SPANS]; /* the youngest first: since the submission; DEAD: since the death */
};
/* By queue, type and state; of those that have any.  least: a bound was met, there may be more.  queue: empty for all. */
typedef void store_shape_fn(void *arg, enum store_status status, const struct store_shape *shapes, int n, bool least);
void store_shape(struct store *s, struct span queue, bool by_type, store_shape_fn *fn, void *arg);

#endif
