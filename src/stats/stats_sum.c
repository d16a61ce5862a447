/* stats_sum.c - what readers see: sums over the slots, the list of processes. */
#include <string.h>
#include <time.h>

#include "sys/proc.h"

#include "stats/stats_int.h"

#define TRIES 200
#define PAUSE_NS 100000

/* What the sum means nothing of: the first moment that a living process tells. */
static void
find_oldest(const struct stats *s, int64_t *sums)
{
	static const size_t at[] = {
#define GAUGE_OLDEST(name, prom, words) STATS_CELL(name),
#include "stats/counters.def"
	};

	for (size_t k = 0; k < ARRAY_LEN(at); k++) {
		sums[at[k]] = 0;
		for (size_t i = 0; i < STATS_SLOTS; i++) {
			const _Atomic int64_t *cells = (const _Atomic int64_t *)&s->slots[i].cells;
			int64_t since = atomic_load_explicit(&cells[at[k]], memory_order_relaxed);

			if (atomic_load(&s->slots[i].living) && since != 0 && (sums[at[k]] == 0 || since < sums[at[k]]))
				sums[at[k]] = since;
		}
	}
}

static void
add_slots(const struct stats *s, int64_t *sums)
{
	size_t i, c;

	memset(sums, 0, STATS_CELLS * sizeof(*sums));
	for (i = 0; i < STATS_SLOTS; i++) {
		const _Atomic int64_t *cells = (const _Atomic int64_t *)&s->slots[i].cells;

		if (!atomic_load(&s->slots[i].living))
			continue;
		for (c = 0; c < STATS_CELLS; c++)
			sums[c] += atomic_load_explicit(&cells[c], memory_order_relaxed);
	}
	find_oldest(s, sums);
}

void
stats_snapshot(const struct stats *s, int64_t *sums)
{
	uint32_t before;
	int tries;

	/* A supervisor that died in the middle of a fold leaves it odd for ever: then what is there must do. */
	for (tries = 0; tries < TRIES; tries++) {
		before = atomic_load(&s->folds);
		/* a fold takes microseconds, unless the supervisor has to wait for a processor */
		if (before % 2 != 0) {
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
			continue;
		}
		add_slots(s, sums);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&s->folds) == before)
			return;
	}
	add_slots(s, sums);
}

/* The sum of n neighbouring cells. */
static int64_t
sum_cells(const struct stats *s, size_t at, size_t n, size_t step)
{
	int64_t *sums = mem_alloc(STATS_CELLS * sizeof(*sums)), total = 0;

	stats_snapshot(s, sums);
	for (; n > 0; n--, at += step)
		total += sums[at];
	mem_free(&sums);
	return total;
}

int64_t
stats_sum(const struct stats *s, enum stats_counter c)
{
	static const size_t at[S_COUNTERS] = {
#define COUNTER(name, prom, words) STATS_CELL(name),
#define COUNTER_AS(name, prom, labels, words) STATS_CELL(name),
#define GAUGE(name, prom, words) STATS_CELL(name),
#include "stats/counters.def"
	};

	return sum_cells(s, at[c], 1, 1);
}

int64_t
stats_sum_submitted(const struct stats *s)
{
	return sum_cells(s, STATS_CELL(SUBMITTED), SET_SERIES, 1);
}

int64_t
stats_sum_finished(const struct stats *s, enum stats_outcome o)
{
	return sum_cells(s, STATS_CELL(FINISHED) + o, SET_SERIES, STATS_OUTCOMES);
}

int64_t
stats_sum_requests(const struct stats *s)
{
	return sum_cells(s, STATS_CELL(HTTP_REQUESTS), SET_ANSWER, 1);
}

/* A text that its owner may be writing now: copied and cut where it ends at the latest. */
static void
copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	to[size - 1] = '\0';
}

static void
copy_process(const struct stats_slot *slot, struct stats_process *p)
{
	memset(p, 0, sizeof(*p));
	copy_text(p->role, slot->role, sizeof(p->role));
	p->index = slot->index;
	p->generation = slot->generation;
	p->pid = atomic_load(&slot->pid);
	p->started_at = atomic_load(&slot->started_at);
	p->heartbeat = atomic_load(&slot->heartbeat);
	copy_text(p->doing, slot->doing, sizeof(p->doing));
}

int
stats_processes(const struct stats *s, struct stats_process *p_r, int max)
{
	int i, n = 0;

	for (i = 1; i < STATS_SLOTS && n < max; i++)
		if (atomic_load(&s->slots[i].living))
			copy_process(&s->slots[i], &p_r[n++]);
	return n;
}

bool
stats_supervisor(const struct stats *s, struct stats_process *p_r)
{
	copy_process(&s->slots[0], p_r);
	memcpy(p_r->role, "supervisor", sizeof("supervisor"));
	p_r->pid = atomic_load(&s->pid);
	p_r->started_at = s->started_at;
	return proc_start_time(p_r->pid) == atomic_load(&s->pid_start) && atomic_load(&s->pid_start) != 0;
}

void
stats_last_panic(const struct stats *s, char text[STATS_PANIC])
{
	copy_text(text, s->slots[0].panic, STATS_PANIC);
}
