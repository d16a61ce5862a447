/* stats.h - numbers in shared memory: a slot per process, written only by its owner, read without locks.
 *
 * The region is a file under run_dir so that taskqctl can map it read-only: header (magic, layout, size, start), tables of
 * label values, slots.  A slot has role, index, pid, start, heartbeat, a word for what it does now, and the cells of
 * counters.def.  The supervisor folds a dead process' counters into slot 0, so totals never go back.  It is a report: nobody
 * acts on what he reads here.
 */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"

struct stats; /* the mapped region */

enum stats_counter {
#define COUNTER(name, prom, words) S_##name,
#define COUNTER_AS(name, prom, labels, words) S_##name,
#define GAUGE(name, prom, words) S_##name,
#include "stats/counters.def"
	S_COUNTERS
};

enum stats_histogram {
#define HISTOGRAM(name, prom, words, buckets) H_##name,
#include "stats/counters.def"
	H_HISTOGRAMS
};

#define STATS_SLOTS 160
#define STATS_SERIES 64    /* pairs of queue and type that have their own numbers; further ones count as "other" */
#define STATS_ROUTES 64    /* the last one is for requests that no route takes */
#define STATS_ANSWERS 256  /* pairs of route and status that have been answered */
#define STATS_DOING 32     /* bytes of the word for what a process does now */
#define STATS_PANIC 160    /* bytes of last words */

/* --- by the supervisor (private memory holds the truth); stats_shm.c ---------------------------------------------- */
struct stats *stats_create(const char *path) MUSTCHECK; /* null + errno */
int stats_slot_take(struct stats *s, const char *role, int index, unsigned generation) MUSTCHECK; /* -1: all taken */
void stats_slot_release(struct stats *s, int slot);      /* folds counters into slot 0; the process must be dead; -1: nothing */
void stats_slot_pid(struct stats *s, int slot, pid_t pid);

/* --- by the owner of a slot; all are no-ops before stats_attach(); stats.c ------------------------------------------ */
void stats_attach(struct stats *s, int slot); /* 0: the supervisor itself */
void stats_heartbeat(void);
void stats_doing(const char *word);     /* "running", "draining" ... */
void stats_panic(const char *text);     /* last words */
void stats_add(enum stats_counter c, int64_t n);
void stats_set(enum stats_counter c, int64_t n); /* gauges */
#define stats_inc(c) stats_add((c), 1)
void stats_observe(enum stats_histogram h, double value);
/* HTTP: routes are registered once by the supervisor before fork, in the order of routes.def.  A route that is none (-1) counts
 * as "other". */
void stats_route_name(struct stats *s, int route, const char *method, const char *path);
void stats_http(int route, int status, double seconds);
/* Tasks: a series is a pair (queue, type); the index is found or made in the region.  Cheap after the first call.  A worker
 * asks at its start for each type that it handles, so that the series are there, at zero, before the first task. */
int stats_series(struct span queue, struct span task_type);
void stats_submitted(int series, int64_t n);
void stats_not_let_in(int series);
enum stats_outcome { STATS_SUCCEEDED, STATS_RETRIED, STATS_DEAD, STATS_FAILED, STATS_CANCELLED, STATS_RELEASED, STATS_PUT_OFF, STATS_OUTCOMES };
/* run_seconds < 0: nothing ran (an unknown type, a cancelled wait), only the outcome counts. */
void stats_finished(int series, enum stats_outcome o, double run_seconds);
void stats_waited(int series, double seconds);

/* --- by readers; stats_sum.c, stats_text.c ----------------------------------------------------------------------------- */
struct stats *stats_map(const char *path) MUSTCHECK; /* read-only; null + errno (EPROTO: another layout) */
void stats_metrics(const struct stats *s, struct buf *out); /* Prometheus text 0.0.4 of all slots, with process info */
void stats_metrics_mine(struct buf *out);                   /* the same for the region this process is attached to */
struct stats_process {
	char role[16];
	int index;
	unsigned generation;
	pid_t pid;
	int64_t started_at;   /* wall, us */
	int64_t heartbeat;    /* monotonic, us; 0: none yet */
	char doing[STATS_DOING];
};
int stats_processes(const struct stats *s, struct stats_process *p_r, int max); /* living slots */
/* The supervisor that made the region; false when that process is no more. */
bool stats_supervisor(const struct stats *s, struct stats_process *p_r);
void stats_last_panic(const struct stats *s, char text[STATS_PANIC]); /* of a process that is dead; empty: none */
int64_t stats_sum(const struct stats *s, enum stats_counter c);
/* Of all queues and types. */
int64_t stats_sum_submitted(const struct stats *s);
int64_t stats_sum_finished(const struct stats *s, enum stats_outcome o);
int64_t stats_sum_requests(const struct stats *s);

#endif
