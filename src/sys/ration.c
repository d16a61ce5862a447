/* ration.c - rates and queues that the processes of one node count together; see ration.h.
 *
 * A name is its hash; its entry is found by probing from there and taken by compare-and-swap.  When a table is full further names
 * share the entries they hash to: they are refused together, which is safe.
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/digest.h"

#include "sys/ration.h"

#define NS_PER_US 1000
#define NS_PER_SECOND INT64_C(1000000000)

struct entry {
	_Atomic uint64_t name; /* 0: free */
	_Atomic int64_t value; /* of a taker: when its debt is paid, ns; of a queue: tasks */
};

struct ration {
	struct entry takers[RATION_TAKERS];
	struct entry queues[RATION_QUEUES];
	_Atomic unsigned round; /* measurements begun */
};

struct ration *
ration_new(void)
{
	void *p = mmap(NULL, sizeof(struct ration), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static struct entry *
entry_of(struct entry *table, size_t size, struct span name)
{
	uint64_t want = digest_fnv64(name.ptr, name.len), found;
	size_t i;

	want += want == 0;
	for (i = 0; i < size; i++) {
		struct entry *e = &table[(want + i) % size];

		found = atomic_load_explicit(&e->name, memory_order_relaxed);
		if (found == want || (found == 0 && atomic_compare_exchange_strong(&e->name, &found, want)) ||
		    found == want)
			return e;
	}
	return &table[want % size];
}

/* --- a rate ---------------------------------------------------------------------------------------------------------------- */

/* Generic cell rate algorithm: the one number is the time at which the taker's debt is paid.  It may lie a burst ahead. */
struct ration_share
ration_take(struct ration *r, struct span taker, const struct ration_rate *rate, int n, int64_t now)
{
	struct entry *e = entry_of(r->takers, RATION_TAKERS, taker);
	int64_t every = NS_PER_SECOND / rate->rate, whole = every * rate->burst, cost = every * n;
	int64_t paid = atomic_load(&e->value), at = now * NS_PER_US, ahead, least;
	struct ration_share s = { .granted = true };

	ASSERT(rate->rate > 0 && rate->burst > 0 && n > 0);
	do {
		ahead = paid > at ? paid - at : 0;
		least = cost < whole ? cost : whole;
		if (ahead + least > whole) {
			s.granted = false;
			s.left = ahead < whole ? (whole - ahead) / every : 0;
			s.again = (ahead + least - whole + NS_PER_US - 1) / NS_PER_US;
			return s;
		}
	} while (!atomic_compare_exchange_weak(&e->value, &paid, at + ahead + cost));
	ahead += cost;
	s.left = ahead < whole ? (whole - ahead) / every : 0;
	s.again = (ahead + NS_PER_US - 1) / NS_PER_US;
	return s;
}

/* --- queues ------------------------------------------------------------------------------------------------------------------- */

bool
ration_queue_enter(struct ration *r, struct span queue, int n, int64_t most, struct ration_place *p)
{
	struct entry *e = entry_of(r->queues, RATION_QUEUES, queue);

	p->waits = atomic_load(&e->value);
	do {
		if (p->waits + n > most)
			return false;
	} while (!atomic_compare_exchange_weak(&e->value, &p->waits, p->waits + n));
	p->round = atomic_load(&r->round);
	return true;
}

/* A measurement that began meanwhile takes away what it believed and did not find: these, most likely.  If it did find them they count
 * twice until the next one, which errs on the side of the limit. */
void
ration_queue_settle(struct ration *r, struct span queue, int n, const struct ration_place *p, bool stored)
{
	bool measured = atomic_load(&r->round) != p->round;

	if (stored && measured)
		atomic_fetch_add(&entry_of(r->queues, RATION_QUEUES, queue)->value, n);
	else if (!stored && !measured)
		ration_queue_leave(r, queue, n);
}

/* Never below nothing: tasks that another node stored, or that were due, may run before they were ever measured here. */
void
ration_queue_leave(struct ration *r, struct span queue, int n)
{
	struct entry *e = entry_of(r->queues, RATION_QUEUES, queue);
	int64_t waits = atomic_load(&e->value);

	while (!atomic_compare_exchange_weak(&e->value, &waits, waits > n ? waits - n : 0))
		;
}

void
ration_measure_begin(struct ration *r, struct ration_measure *m)
{
	size_t i;

	atomic_fetch_add(&r->round, 1);
	for (i = 0; i < RATION_QUEUES; i++) {
		m->believed[i] = atomic_load(&r->queues[i].value);
		m->found[i] = 0;
	}
}

void
ration_measure_found(struct ration *r, struct ration_measure *m, struct span queue, int64_t waits)
{
	m->found[entry_of(r->queues, RATION_QUEUES, queue) - r->queues] += waits;
}

void
ration_measure_end(struct ration *r, const struct ration_measure *m)
{
	int64_t waits, change;
	size_t i;

	for (i = 0; i < RATION_QUEUES; i++) {
		change = m->found[i] - m->believed[i];
		waits = atomic_load(&r->queues[i].value);
		while (change != 0 && !atomic_compare_exchange_weak(
					  &r->queues[i].value, &waits, waits + change > 0 ? waits + change : 0))
			;
	}
}
