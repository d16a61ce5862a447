/* stats_int.h - the layout of the region, for the files of this room. */
#ifndef STATS_STATS_INT_H
#define STATS_STATS_INT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "stats/stats.h"

#define STATS_MAGIC UINT64_C(0x746173717374617a)
#define STATS_NAME 72 /* bytes of a name of a queue, type or path, with its NUL */

/* How many bounds a bucket set has, how many series a label set. */
enum {
#define BUCKETS(name, ...) BUCKETS_##name = sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double),
#include "stats/counters.def"
	BUCKETS_END
};
enum {
#define LABELS(name, series) SET_##name = (series),
#include "stats/counters.def"
	SET_END
};
/* A histogram series: a cell for each bound (not cumulative), one for what is greater, one for the sum in millionths. */
#define HISTOGRAM_CELLS(buckets) (BUCKETS_##buckets + 2)

/* One process' numbers.  One writer, so a plain store is enough; the reader may be late but never sees half a number. */
struct stats_cells {
#define COUNTER(name, prom, words) _Atomic int64_t name;
#define COUNTER_AS(name, prom, labels, words) _Atomic int64_t name;
#define GAUGE(name, prom, words) _Atomic int64_t name;
#define COUNTER_BY(name, prom, set, words) _Atomic int64_t name[SET_##set];
#define HISTOGRAM(name, prom, words, buckets) _Atomic int64_t name[HISTOGRAM_CELLS(buckets)];
#define HISTOGRAM_BY(name, prom, set, words, buckets) _Atomic int64_t name[SET_##set][HISTOGRAM_CELLS(buckets)];
#include "stats/counters.def"
};
#define STATS_CELLS (sizeof(struct stats_cells) / sizeof(int64_t))
#define STATS_CELL(name) (offsetof(struct stats_cells, name) / sizeof(int64_t))

struct stats_slot {
	alignas(64) _Atomic uint32_t living;
	int32_t index;
	uint32_t generation;
	_Atomic int32_t pid;
	_Atomic int64_t started_at; /* wall */
	_Atomic int64_t heartbeat;  /* monotonic */
	char role[16];
	char doing[STATS_DOING];
	char panic[STATS_PANIC];
	struct stats_cells cells;
};

struct stats_route {
	char method[8];
	char path[STATS_NAME];
};

enum stats_naming { NAMING_FREE, NAMING_BEGUN, NAMING_DONE };
struct stats_series {
	_Atomic uint32_t naming; /* whoever moves it from FREE to BEGUN writes the names */
	char queue[STATS_NAME];
	char type[STATS_NAME];
};

struct stats {
	_Atomic uint64_t magic; /* written last */
	uint64_t layout;
	uint64_t size;
	int64_t started_at;            /* wall */
	_Atomic int32_t pid;           /* of the supervisor */
	_Atomic uint64_t pid_start;    /* with the pid it names the process for ever */
	_Atomic uint32_t folds;        /* odd while a slot is folded: a reader looks again */
	_Atomic uint32_t other_series; /* series 0, "other", has been used */
	struct stats_route routes[STATS_ROUTES];
	_Atomic uint32_t answers[STATS_ANSWERS]; /* STATS_ANSWER(route, status); 0: free */
	struct stats_series series[STATS_SERIES];
	struct stats_slot slots[STATS_SLOTS];
};

#define STATS_ANSWER(route, status) ((uint32_t)(route)*1000 + (uint32_t)(status) + 1)
#define STATS_ANSWER_ROUTE(a) (((a)-1) / 1000)
#define STATS_ANSWER_STATUS(a) (((a)-1) % 1000)

extern struct stats *stats_mine; /* the region that this process is attached to, or null */

/* The sum over all slots in one moment between two folds.  `sums` has STATS_CELLS. */
void stats_snapshot(const struct stats *s, int64_t *sums);

/* stats_label.c: writes the labels of series i, as a="b",c="d"; false: there is no such series (now). */
#define LABELS(name, series) bool label_##name(const struct stats *s, size_t i, struct buf *b);
#include "stats/counters.def"

#endif
