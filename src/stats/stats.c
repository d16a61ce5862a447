/* stats.c - my slot: what a process counts about itself.
 *
 * A slot has one writer, so adding is a load and a store, without a locked instruction.  The tables of label values are
 * shared: an entry is claimed by compare-and-swap and never changes afterwards, so all processes agree on its index.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "log/log.h"

#include "stats/stats_int.h"

struct stats *stats_mine;
static struct stats_slot *slot;

static _Atomic int64_t *
cell(size_t i)
{
	return (_Atomic int64_t *)&slot->cells + i;
}

static void
bump(_Atomic int64_t *c, int64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

void
stats_attach(struct stats *s, int index)
{
	stats_mine = s;
	slot = s != NULL && index >= 0 ? &s->slots[index] : NULL;
	stats_heartbeat();
}

/* A forked child begins with its parent's number: only what is new since the last look counts. */
static void
count_dropped_lines(void)
{
	static const struct stats_slot *looked_as;
	static uint64_t last;
	uint64_t dropped = log_dropped();

	if (looked_as == slot)
		stats_add(S_LOG_DROPPED, (int64_t)(dropped - last));
	looked_as = slot;
	last = dropped;
}

void
stats_heartbeat(void)
{
	if (slot == NULL)
		return;
	atomic_store_explicit(&slot->heartbeat, clock_now(), memory_order_relaxed);
	count_dropped_lines();
}

void
stats_doing(const char *word)
{
	if (slot != NULL)
		snprintf(slot->doing, sizeof(slot->doing), "%s", word);
}

void
stats_panic(const char *text)
{
	if (slot != NULL)
		snprintf(slot->panic, sizeof(slot->panic), "%s", text);
}

static const size_t counter_cell[S_COUNTERS] = {
#define COUNTER(name, prom, words) STATS_CELL(name),
#define COUNTER_AS(name, prom, labels, words) STATS_CELL(name),
#define GAUGE(name, prom, words) STATS_CELL(name),
#include "stats/counters.def"
};

void
stats_add(enum stats_counter c, int64_t n)
{
	if (slot != NULL)
		bump(cell(counter_cell[c]), n);
}

void
stats_set(enum stats_counter c, int64_t n)
{
	if (slot != NULL)
		atomic_store_explicit(cell(counter_cell[c]), n, memory_order_relaxed);
}

/* --- histograms ------------------------------------------------------------------------------------------------------ */

#define BUCKETS(name, ...) static const double bounds_##name[] = { __VA_ARGS__ };
#include "stats/counters.def"

static void
observe(_Atomic int64_t *cells, const double *bounds, size_t n, double value)
{
	size_t i;

	/* A clock that stepped back is no time at all. */
	if (!(value > 0))
		value = 0;
	for (i = 0; i < n && value > bounds[i]; i++)
		;
	bump(&cells[i], 1);
	bump(&cells[n + 1], (int64_t)(value * 1e6 + 0.5));
}

void
stats_observe(enum stats_histogram h, double value)
{
	static const struct {
		size_t at;
		const double *bounds;
		size_t n;
	} histograms[H_HISTOGRAMS] = {
#define HISTOGRAM(name, prom, words, buckets) { STATS_CELL(name), bounds_##buckets, BUCKETS_##buckets },
#include "stats/counters.def"
	};

	if (slot != NULL)
		observe(cell(histograms[h].at), histograms[h].bounds, histograms[h].n, value);
}

/* --- HTTP ------------------------------------------------------------------------------------------------------------ */

/* The place of a route and a status among the answers; 0, "other", when the table is full. */
static size_t
answer_place(int route, int status)
{
	uint32_t want = STATS_ANSWER(route, status), found;
	size_t i;

	for (i = 1; i < STATS_ANSWERS; i++) {
		found = 0;
		if (atomic_compare_exchange_strong(&stats_mine->answers[i], &found, want) || found == want)
			return i;
	}
	return 0;
}

void
stats_http(int route, int status, double seconds)
{
	static uint8_t known[STATS_ROUTES][500]; /* place of route and status, found once */
	static const struct stats *known_of;
	uint8_t *place;

	if (slot == NULL)
		return;
	if (known_of != stats_mine)
		memset(known, 0, sizeof(known));
	known_of = stats_mine;
	if (route < 0 || route >= STATS_ROUTES)
		route = STATS_ROUTES - 1;
	if (status < 100 || status > 599)
		status = 599;
	place = &known[route][status - 100];
	if (*place == 0)
		*place = (uint8_t)answer_place(route, status);
	bump(&slot->cells.HTTP_REQUESTS[*place], 1);
	observe(slot->cells.HTTP_SECONDS[route], bounds_HTTP, BUCKETS_HTTP, seconds);
}

/* --- tasks ----------------------------------------------------------------------------------------------------------- */

static bool
series_is(const struct stats_series *e, struct span queue, struct span type)
{
	return span_is(queue, e->queue) && span_is(type, e->type);
}

/* True when the entry carries the pair: it did, or we have named it now. */
static bool
series_claim(struct stats_series *e, struct span queue, struct span type)
{
	uint32_t naming = NAMING_FREE;
	int patience = 1000;

	if (atomic_load(&e->naming) == NAMING_FREE &&
	    atomic_compare_exchange_strong(&e->naming, &naming, NAMING_BEGUN)) {
		memcpy(e->queue, queue.ptr, queue.len);
		memcpy(e->type, type.ptr, type.len);
		atomic_store(&e->naming, NAMING_DONE);
		return true;
	}
	/* Another process is writing the names.  If it died doing so, the entry stays unused. */
	while (atomic_load(&e->naming) == NAMING_BEGUN && patience-- > 0)
		sched_yield();
	return atomic_load(&e->naming) == NAMING_DONE && series_is(e, queue, type);
}

static int
series_find(struct span queue, struct span type)
{
	int i;

	if (queue.len < STATS_NAME && type.len < STATS_NAME)
		for (i = 1; i < STATS_SERIES; i++)
			if (series_claim(&stats_mine->series[i], queue, type))
				return i;
	atomic_store(&stats_mine->other_series, 1);
	return 0;
}

int
stats_series(struct span queue, struct span task_type)
{
	static uint8_t lately[256];  /* by hash; a hint, checked against the names */
	static uint64_t other[4096]; /* hashes of pairs that came too late to have an entry: none is ever free again */
	static const struct stats *other_of;
	uint64_t hash;
	uint8_t *hint;

	if (slot == NULL)
		return 0;
	hash = digest_fnv64(queue.ptr, queue.len) * 31 + digest_fnv64(task_type.ptr, task_type.len);
	if (other_of != stats_mine)
		memset(other, 0, sizeof(other));
	other_of = stats_mine;
	if (other[hash % ARRAY_LEN(other)] == hash)
		return 0;
	hint = &lately[hash % sizeof(lately)];
	if (*hint == 0 || !series_is(&stats_mine->series[*hint], queue, task_type))
		*hint = (uint8_t)series_find(queue, task_type);
	if (*hint == 0)
		other[hash % ARRAY_LEN(other)] = hash;
	return *hint;
}

static bool
series_good(int series)
{
	ASSERT(series >= 0 && series < STATS_SERIES);
	return slot != NULL;
}

void
stats_not_let_in(int series)
{
	if (series_good(series))
		bump(&slot->cells.NOT_LET_IN[series], 1);
}

void
stats_submitted(int series, int64_t n)
{
	if (series_good(series))
		bump(&slot->cells.SUBMITTED[series], n);
}

void
stats_finished(int series, enum stats_outcome o, double run_seconds)
{
	if (!series_good(series))
		return;
	ASSERT(o < STATS_OUTCOMES);
	bump(&slot->cells.FINISHED[series * STATS_OUTCOMES + (int)o], 1);
	if (run_seconds >= 0)
		observe(slot->cells.RUN_SECONDS[series], bounds_RUN, BUCKETS_RUN, run_seconds);
}

void
stats_waited(int series, double seconds)
{
	if (series_good(series))
		observe(slot->cells.WAIT_SECONDS[series], bounds_RUN, BUCKETS_RUN, seconds > 0 ? seconds : 0);
}
