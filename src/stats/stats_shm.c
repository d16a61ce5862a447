/* stats_shm.c - the region's life: made, slots taken and released, mapped by readers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "stats/stats_int.h"

_Static_assert(sizeof(struct stats) < 6U << 20, "the region stays a few megabytes");

/* Two builds agree on the layout when their tables and sizes do. */
static uint64_t
layout(void)
{
	static const char rows[] =
#define COUNTER(name, prom, words) #name ","
#define COUNTER_AS(name, prom, labels, words) #name ","
#define GAUGE(name, prom, words) #name ","
#define COUNTER_BY(name, prom, set, words) #name "/" #set ","
#define HISTOGRAM(name, prom, words, buckets) #name "/" #buckets ","
#define HISTOGRAM_BY(name, prom, set, words, buckets) #name "/" #set "/" #buckets ","
#include "stats/counters.def"
	    ;

	return digest_fnv64(rows, sizeof(rows)) ^ sizeof(struct stats);
}

/* daemon() may have given us another pid since the region was made. */
static void
note_supervisor(struct stats *s)
{
	pid_t pid = getpid();

	if (atomic_load(&s->pid) == pid)
		return;
	atomic_store(&s->pid_start, proc_start_time(pid));
	atomic_store(&s->pid, pid);
}

struct stats *
stats_create(const char *path)
{
	struct stats *s = shm_create(path, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->layout = layout();
	s->size = sizeof(*s);
	s->started_at = clock_wall();
	note_supervisor(s);
	stats_route_name(s, STATS_ROUTES - 1, "other", "other");
	snprintf(s->series[0].queue, STATS_NAME, "other");
	snprintf(s->series[0].type, STATS_NAME, "other");
	atomic_store(&s->series[0].naming, NAMING_DONE);
	atomic_store(&s->answers[0], STATS_ANSWER(STATS_ROUTES - 1, 0));
	atomic_store(&s->slots[0].living, 1);
	atomic_store(&s->magic, STATS_MAGIC);
	return s;
}

struct stats *
stats_map(const char *path)
{
	size_t size;
	const struct stats *s = shm_open_read(path, &size);

	if (s == NULL)
		return NULL;
	if (size != sizeof(*s) || atomic_load(&s->magic) != STATS_MAGIC || s->layout != layout() || s->size != size) {
		munmap((void *)(uintptr_t)s, size);
		errno = EPROTO;
		return NULL;
	}
	return (struct stats *)(uintptr_t)s;
}

void
stats_route_name(struct stats *s, int route, const char *method, const char *path)
{
	ASSERT(route >= 0 && route < STATS_ROUTES);
	snprintf(s->routes[route].method, sizeof(s->routes[route].method), "%s", method);
	snprintf(s->routes[route].path, sizeof(s->routes[route].path), "%s", path);
}

/* --- slots ----------------------------------------------------------------------------------------------------------- */

int
stats_slot_take(struct stats *s, const char *role, int index, unsigned generation)
{
	int i;

	note_supervisor(s);
	for (i = 1; i < STATS_SLOTS; i++) {
		struct stats_slot *slot = &s->slots[i];

		if (atomic_load(&slot->living))
			continue;
		memset(slot, 0, sizeof(*slot));
		snprintf(slot->role, sizeof(slot->role), "%s", role);
		slot->index = index;
		slot->generation = generation;
		atomic_store(&slot->started_at, clock_wall());
		atomic_store(&slot->living, 1);
		return i;
	}
	return -1;
}

void
stats_slot_pid(struct stats *s, int slot, pid_t pid)
{
	if (slot >= 0)
		atomic_store(&s->slots[slot].pid, pid);
}

/* Gauges tell of the living; the rest goes on counting in slot 0. */
static bool
is_gauge(size_t cell)
{
	static const bool gauges[STATS_CELLS] = {
#define GAUGE(name, prom, words) [STATS_CELL(name)] = true,
#include "stats/counters.def"
	};

	return gauges[cell];
}

void
stats_slot_release(struct stats *s, int slot)
{
	struct stats_slot *dead;
	_Atomic int64_t *from, *to;
	size_t i;

	if (slot < 0)
		return;
	ASSERT(slot > 0 && slot < STATS_SLOTS && atomic_load(&s->slots[slot].living));
	dead = &s->slots[slot];
	from = (_Atomic int64_t *)&dead->cells;
	to = (_Atomic int64_t *)&s->slots[0].cells;
	atomic_fetch_add(&s->folds, 1);
	for (i = 0; i < STATS_CELLS; i++)
		if (!is_gauge(i))
			atomic_fetch_add_explicit(
			    &to[i], atomic_load_explicit(&from[i], memory_order_relaxed), memory_order_relaxed);
	atomic_store(&dead->living, 0);
	atomic_fetch_add(&s->folds, 1);
	if (dead->panic[0] != '\0')
		memcpy(s->slots[0].panic, dead->panic, STATS_PANIC);
}
