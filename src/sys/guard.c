/* guard.c - the table of handlers, the runs of each process, and what is seen from outside; see guard.h.
 *
 * How many run is never counted up and down over processes, where a kill would leave it wrong: each process writes its own number, and who
 * wants the sum adds them.  Next: guard_breaker.c.
 */
#include <limits.h>
#include <sys/mman.h>

#include "base/digest.h"

#include "sys/guard_int.h"

struct guard {
	struct guard_handler handlers[GUARD_HANDLERS];
};

struct guard *
guard_new(void)
{
	void *p = mmap(NULL, sizeof(struct guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

/* Found by probing from its hash and taken by compare-and-swap. */
struct guard_handler *
guard_of(struct guard *g, struct span name)
{
	uint64_t want = digest_fnv64(name.ptr, name.len), found;
	size_t i;

	want += want == 0;
	for (i = 0; i < GUARD_HANDLERS; i++) {
		struct guard_handler *h = &g->handlers[(want + i) % GUARD_HANDLERS];

		found = atomic_load(&h->name);
		if (found == want || (found == 0 && atomic_compare_exchange_strong(&h->name, &found, want)) ||
		    found == want)
			return h;
	}
	return NULL;
}

void
guard_slot_clear(struct guard *g, int slot)
{
	int i;

	ASSERT(slot >= 0 && slot < GUARD_SLOTS);
	for (i = 0; i < GUARD_HANDLERS; i++) {
		struct guard_handler *h = &g->handlers[i];

		if (atomic_load(&h->name) == 0)
			continue;
		atomic_store(&h->running[slot], 0);
		guard_breaker_slot_clear(h, slot);
	}
}

void
guard_reset(struct guard_handler *h)
{
	if (h == NULL)
		return;
	guard_breaker_reset(h);
	atomic_store(&h->paid, 0);
	atomic_store(&h->window, 0);
}

/* --- counts over a window ---------------------------------------------------------------------------------------------------------- */

#define EPOCH_MASK UINT32_C(0xffffff)
#define COUNT_MAX UINT32_C(0xfffff)

static uint32_t
epoch_of(int64_t window, int64_t now)
{
	int64_t each = window / GUARD_BUCKETS;

	return (uint32_t)((uint64_t)(now / (each > 0 ? each : 1)) & EPOCH_MASK);
}

static uint64_t
bucket_make(uint32_t epoch, uint32_t runs, uint32_t failures)
{
	return (uint64_t)epoch << 40 | (uint64_t)runs << 20 | failures;
}

/* A full bucket counts no more: its share stays true. */
void
guard_ring_add(struct guard_ring *g, int64_t window, int64_t now, bool failed)
{
	uint32_t epoch = epoch_of(window, now), runs, failures;
	_Atomic uint64_t *b = &g->buckets[epoch % GUARD_BUCKETS];
	uint64_t old = atomic_load_explicit(b, memory_order_relaxed);

	do {
		bool mine = (uint32_t)(old >> 40) == epoch;

		runs = mine ? (uint32_t)(old >> 20) & COUNT_MAX : 0;
		failures = mine ? (uint32_t)old & COUNT_MAX : 0;
		if (runs == COUNT_MAX)
			return;
	} while (!atomic_compare_exchange_weak(b, &old, bucket_make(epoch, runs + 1, failures + failed)));
}

struct guard_sum
guard_ring_sum(const struct guard_ring *g, int64_t window, int64_t now)
{
	uint32_t epoch = epoch_of(window, now);
	struct guard_sum sum = { 0 };
	int i;

	for (i = 0; i < GUARD_BUCKETS; i++) {
		uint64_t b = atomic_load_explicit(&g->buckets[i], memory_order_relaxed);

		if (((epoch - (uint32_t)(b >> 40)) & EPOCH_MASK) >= GUARD_BUCKETS)
			continue;
		sum.runs += (int)((uint32_t)(b >> 20) & COUNT_MAX);
		sum.failures += (int)((uint32_t)b & COUNT_MAX);
	}
	return sum;
}

void
guard_ring_clear(struct guard_ring *g)
{
	int i;

	for (i = 0; i < GUARD_BUCKETS; i++)
		atomic_store_explicit(&g->buckets[i], 0, memory_order_relaxed);
}

/* --- runs -------------------------------------------------------------------------------------------------------------------------- */

int
guard_running(const struct guard_handler *h)
{
	int i, n = 0;

	for (i = 0; i < GUARD_SLOTS; i++)
		n += atomic_load(&h->running[i]);
	return n;
}

static void
running_add(struct guard_handler *h, int slot, int n)
{
	int now = atomic_load_explicit(&h->running[slot], memory_order_relaxed) + n;

	ASSERT(now >= 0 && now <= UINT16_MAX);
	atomic_store(&h->running[slot], (uint16_t)now);
}

struct guard_pass
guard_may_start(struct guard_handler *h, const struct guard_rule *r, int slot, int64_t now)
{
	struct guard_pass pass = { .leave = GUARD_YES };

	if (h == NULL)
		return pass;
	ASSERT(slot >= 0 && slot < GUARD_SLOTS);
	pass = guard_breaker_pass(h, r, slot, now);
	if (pass.leave == GUARD_NO)
		return pass;
	running_add(h, slot, 1);
	if (pass.leave == GUARD_YES && r->adaptive && guard_running(h) > guard_window(h, r)) {
		running_add(h, slot, -1); /* said first and asked then: of two at once one sees the other */
		pass.leave = GUARD_NO;
	}
	return pass;
}

enum guard_event
guard_ended(struct guard_handler *h, const struct guard_rule *r, int slot, struct guard_pass pass,
    const struct guard_end *end, int64_t now)
{
	bool dead = false;
	enum guard_event event;

	if (h == NULL)
		return GUARD_SAME;
	ASSERT(slot >= 0 && slot < GUARD_SLOTS && pass.leave != GUARD_NO);
	if (r->adaptive && end->result != GUARD_NONE)
		dead = guard_window_ended(h, r, end->result == GUARD_GOOD);
	running_add(h, slot, -1);
	if (end->first && end->result != GUARD_NONE && r->retry_window > 0)
		guard_ring_add(&h->firsts, r->retry_window, now, false);
	event = guard_breaker_ended(h, r, slot, pass, end, now);
	if (event == GUARD_SAME && dead && r->breaker && guard_breaker_open(h, r, end, now))
		event = GUARD_OPENED;
	return event;
}

enum guard_leave
guard_lend(struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	return h == NULL ? GUARD_YES : guard_breaker_pass(h, r, -1, now).leave;
}

enum guard_event
guard_lent_ended(
    struct guard_handler *h, const struct guard_rule *r, int64_t since, const struct guard_end *end, int64_t now)
{
	if (h == NULL)
		return GUARD_SAME;
	if (end->first && end->result != GUARD_NONE && r->retry_window > 0)
		guard_ring_add(&h->firsts, r->retry_window, now, false);
	return guard_breaker_ended(h, r, -1, guard_breaker_lent(h, since), end, now);
}

int
guard_room(const struct guard_handler *h, const struct guard_rule *r, int64_t now, int64_t *again_r)
{
	int room, left;

	*again_r = 0;
	if (h == NULL)
		return INT_MAX;
	room = guard_breaker_room(h, r, now, again_r);
	if (!r->adaptive || room != INT_MAX)
		return room;
	left = guard_window(h, r) - guard_running(h);
	if (left <= 0)
		*again_r = GUARD_RECHECK;
	return left > 0 ? left : 0;
}

/* --- what is seen ------------------------------------------------------------------------------------------------------------------ */

const char *
guard_state_name(enum guard_state s)
{
	static const char *const names[] = {
		[GUARD_STATE_CLOSED] = "closed",
		[GUARD_STATE_OPEN] = "open",
		[GUARD_STATE_HALF] = "half_open",
	};

	return names[s];
}

void
guard_look(const struct guard_handler *h, const struct guard_rule *r, int64_t now, struct guard_seen *out)
{
	*out = (struct guard_seen){ .state = GUARD_STATE_CLOSED };
	if (h == NULL)
		return;
	guard_breaker_look(h, r, now, out);
	out->retries_left = guard_budget_left(h, r, now);
	out->window = r->adaptive ? guard_window(h, r) : 0;
	out->running = guard_running(h);
	out->opened = atomic_load(&h->opened);
	out->refused = atomic_load(&h->refused);
}
