/* guard_breaker.c - the circuit breaker: one word that changes by compare-and-swap; see guard.h.
 *
 * Ends are counted while it is CLOSED; once it is not, only probes have a say: what started before it opened tells about the past.  A probe
 * carries the round it was given in, and the round changes with each change of state, so that a late one speaks to nobody.
 *
 * In HALF `until` is when probes that said nothing are lost: then as many are given out again.  A process that dies takes its probes out
 * at once, by the number it keeps beside its slot.
 */
#include <limits.h>
#include <string.h>

#include "sys/guard_int.h"

struct breaker {
	uint64_t until : 40; /* ms */
	uint64_t state : 2;
	uint64_t level : 4;   /* how often the pause was doubled */
	uint64_t lasting : 1; /* the longer pause, and one probe */
	uint64_t given : 6;   /* probes let through */
	uint64_t good : 6;    /* of them */
	uint64_t round : 5;
};
_Static_assert(sizeof(struct breaker) == sizeof(uint64_t), "it is one word");
_Static_assert(GUARD_PROBES_MAX < 63, "given and good hold it");

#define US_PER_MS 1000
#define LEVEL_MAX 15
#define SLOT_PROBES 8 /* bits of their number; above them the round */

static struct breaker
breaker_of(uint64_t word)
{
	struct breaker b;

	memcpy(&b, &word, sizeof(b));
	return b;
}

static uint64_t
word_of(const struct breaker *b)
{
	uint64_t word;

	memcpy(&word, b, sizeof(word));
	return word;
}

/* Changes it if it is still what was read; else *word is what it is now. */
static bool
breaker_swap(struct guard_handler *h, uint64_t *word, const struct breaker *to)
{
	return atomic_compare_exchange_strong(&h->breaker, word, word_of(to));
}

static uint64_t
ms_after(int64_t now, int64_t us)
{
	return (uint64_t)((now + us + US_PER_MS - 1) / US_PER_MS);
}

static bool
is_due(const struct breaker *b, int64_t now)
{
	return now >= (int64_t)b->until * US_PER_MS;
}

static unsigned
probes_wanted(const struct breaker *b, const struct guard_rule *r)
{
	return b->lasting ? 1 : (unsigned)r->probes;
}

/* --- opening ----------------------------------------------------------------------------------------------------------------------- */

static int64_t
pause_of(const struct breaker *b, const struct guard_rule *r, int64_t wish)
{
	int64_t pause = r->pause * (b->lasting ? GUARD_LASTING_FACTOR : 1);

	for (unsigned i = 0; i < b->level && pause < r->pause_max; i++)
		pause *= 2;
	if (wish > pause)
		pause = wish;
	return pause < r->pause_max ? pause : r->pause_max;
}

static void
make_open(struct breaker *b, const struct guard_rule *r, int64_t wish, int64_t now)
{
	b->state = GUARD_STATE_OPEN;
	b->round++;
	b->given = b->good = 0;
	b->until = ms_after(now, pause_of(b, r, wish));
}

/* True: by this call. */
bool
guard_breaker_open(struct guard_handler *h, const struct guard_rule *r, const struct guard_end *end, int64_t now)
{
	uint64_t word = atomic_load(&h->breaker);
	struct breaker b;

	do {
		b = breaker_of(word);
		if (b.state != GUARD_STATE_CLOSED)
			return false;
		b.level = 0;
		b.lasting = end->result == GUARD_LASTING;
		make_open(&b, r, end->wish, now);
	} while (!breaker_swap(h, &word, &b));
	atomic_store(&h->opened_at, now);
	atomic_fetch_add(&h->opened, 1);
	return true;
}

/* --- starts ------------------------------------------------------------------------------------------------------------------------ */

/* What becomes of it when a probe is wanted now; false: none may start. */
static bool
give_probe(struct breaker *b, const struct guard_rule *r, int64_t now)
{
	bool due = is_due(b, now);

	if (b->state == GUARD_STATE_OPEN) {
		if (!due)
			return false;
		b->state = GUARD_STATE_HALF;
		b->round++;
		b->given = b->good = 0;
	} else if (b->given >= probes_wanted(b, r)) {
		if (!due)
			return false;
		b->given = b->good; /* the others are lost */
	}
	b->given++;
	b->until = ms_after(now, r->patience);
	return true;
}

static void
slot_probes_add(struct guard_handler *h, int slot, unsigned round)
{
	unsigned old = atomic_load_explicit(&h->probes[slot], memory_order_relaxed);
	unsigned n = old >> SLOT_PROBES == round ? old & ((1u << SLOT_PROBES) - 1) : 0;

	atomic_store_explicit(&h->probes[slot], (uint16_t)(round << SLOT_PROBES | (n + 1)), memory_order_relaxed);
}

static void
slot_probes_sub(struct guard_handler *h, int slot, unsigned round)
{
	unsigned old = atomic_load_explicit(&h->probes[slot], memory_order_relaxed);

	if (old >> SLOT_PROBES == round && (old & ((1u << SLOT_PROBES) - 1)) > 0)
		atomic_store_explicit(&h->probes[slot], (uint16_t)(old - 1), memory_order_relaxed);
}

struct guard_pass
guard_breaker_pass(struct guard_handler *h, const struct guard_rule *r, int slot, int64_t now)
{
	uint64_t word = atomic_load_explicit(&h->breaker, memory_order_relaxed);
	struct breaker b = breaker_of(word);

	if (!r->breaker || b.state == GUARD_STATE_CLOSED)
		return (struct guard_pass){ .leave = GUARD_YES };
	do {
		b = breaker_of(word);
		if (b.state == GUARD_STATE_CLOSED)
			return (struct guard_pass){ .leave = GUARD_YES };
		if (!give_probe(&b, r, now))
			return (struct guard_pass){ .leave = GUARD_NO };
	} while (!breaker_swap(h, &word, &b));
	if (slot >= 0)
		slot_probes_add(h, slot, b.round);
	return (struct guard_pass){ .leave = GUARD_PROBE, .round = b.round };
}

struct guard_pass
guard_breaker_lent(const struct guard_handler *h, int64_t since)
{
	struct breaker b = breaker_of(atomic_load(&h->breaker));

	if (b.state != GUARD_STATE_HALF || since < atomic_load(&h->opened_at))
		return (struct guard_pass){ .leave = GUARD_YES };
	return (struct guard_pass){ .leave = GUARD_PROBE, .round = b.round };
}

bool
guard_is_closed(const struct guard_handler *h, const struct guard_rule *r)
{
	return h == NULL || !r->breaker ||
	       breaker_of(atomic_load_explicit(&h->breaker, memory_order_relaxed)).state == GUARD_STATE_CLOSED;
}

int
guard_breaker_room(const struct guard_handler *h, const struct guard_rule *r, int64_t now, int64_t *again_r)
{
	struct breaker b = breaker_of(atomic_load_explicit(&h->breaker, memory_order_relaxed));
	unsigned wanted = probes_wanted(&b, r);

	if (!r->breaker || b.state == GUARD_STATE_CLOSED)
		return INT_MAX;
	if (is_due(&b, now))
		return (int)(b.state == GUARD_STATE_OPEN || b.given >= wanted ? wanted - b.good : wanted - b.given);
	if (b.state == GUARD_STATE_HALF && b.given < wanted)
		return (int)(wanted - b.given);
	*again_r = (int64_t)b.until * US_PER_MS - now;
	if (b.state == GUARD_STATE_HALF && *again_r > GUARD_RECHECK)
		*again_r = GUARD_RECHECK; /* a probe may end in another process */
	return 0;
}

/* --- ends -------------------------------------------------------------------------------------------------------------------------- */

static enum guard_event
probe_ended(
    struct guard_handler *h, const struct guard_rule *r, unsigned round, const struct guard_end *end, int64_t now)
{
	uint64_t word = atomic_load(&h->breaker);
	enum guard_event event;
	struct breaker b;

	do {
		b = breaker_of(word);
		event = GUARD_SAME;
		if (b.state != GUARD_STATE_HALF || b.round != round)
			return GUARD_SAME;
		if (end->result == GUARD_NONE) {
			b.given -= b.given > b.good;
		} else if (end->result == GUARD_GOOD) {
			b.good++;
			b.given = b.given < b.good ? b.good : b.given; /* one that was held for lost */
			event = b.good >= probes_wanted(&b, r) ? GUARD_CLOSED : GUARD_SAME;
		} else {
			b.level += b.level < LEVEL_MAX;
			b.lasting |= end->result == GUARD_LASTING;
			make_open(&b, r, end->wish, now);
			event = GUARD_OPENED;
		}
		if (event == GUARD_CLOSED)
			b = (struct breaker){ .state = GUARD_STATE_CLOSED, .round = (b.round + 1u) & 31 };
	} while (!breaker_swap(h, &word, &b));
	if (event == GUARD_OPENED) {
		atomic_store(&h->opened_at, now);
		atomic_fetch_add(&h->opened, 1);
	}
	if (event == GUARD_CLOSED)
		guard_ring_clear(&h->ends);
	return event;
}

static bool
too_many(const struct guard_handler *h, const struct guard_rule *r, int64_t now)
{
	struct guard_sum sum = guard_ring_sum(&h->ends, r->window, now);

	return sum.runs >= r->least && (int64_t)sum.failures * 100 >= (int64_t)sum.runs * r->share;
}

enum guard_event
guard_breaker_ended(struct guard_handler *h, const struct guard_rule *r, int slot, struct guard_pass pass,
    const struct guard_end *end, int64_t now)
{
	bool failed = end->result == GUARD_FAILED || end->result == GUARD_LASTING;
	struct breaker b;

	if (pass.leave == GUARD_PROBE) {
		if (slot >= 0)
			slot_probes_sub(h, slot, pass.round);
		return probe_ended(h, r, pass.round, end, now);
	}
	if (!r->breaker || end->result == GUARD_NONE)
		return GUARD_SAME;
	b = breaker_of(atomic_load_explicit(&h->breaker, memory_order_relaxed));
	if (b.state != GUARD_STATE_CLOSED)
		return GUARD_SAME;
	guard_ring_add(&h->ends, r->window, now, failed);
	if (!failed || (end->result != GUARD_LASTING && !too_many(h, r, now)))
		return GUARD_SAME;
	return guard_breaker_open(h, r, end, now) ? GUARD_OPENED : GUARD_SAME;
}

/* The process of the slot is gone, and so are its probes. */
void
guard_breaker_slot_clear(struct guard_handler *h, int slot)
{
	unsigned probes = atomic_exchange(&h->probes[slot], 0), n = probes & ((1u << SLOT_PROBES) - 1);
	uint64_t word = atomic_load(&h->breaker);
	struct breaker b;

	do {
		b = breaker_of(word);
		if (n == 0 || b.state != GUARD_STATE_HALF || b.round != probes >> SLOT_PROBES)
			return;
		b.given = b.given > b.good + n ? b.given - n : b.good;
	} while (!breaker_swap(h, &word, &b));
}

void
guard_breaker_reset(struct guard_handler *h)
{
	uint64_t word = atomic_load(&h->breaker);
	struct breaker b;

	do {
		b = breaker_of(word);
		b = (struct breaker){ .state = GUARD_STATE_CLOSED, .round = (b.round + 1u) & 31 };
	} while (!breaker_swap(h, &word, &b));
	guard_ring_clear(&h->ends);
}

void
guard_breaker_look(const struct guard_handler *h, const struct guard_rule *r, int64_t now, struct guard_seen *out)
{
	struct breaker b = breaker_of(atomic_load(&h->breaker));
	struct guard_sum sum = guard_ring_sum(&h->ends, r->window, now);

	out->runs = sum.runs;
	out->failures = sum.failures;
	if (!r->breaker)
		return;
	out->state = (enum guard_state)b.state;
	if (b.state == GUARD_STATE_OPEN && is_due(&b, now))
		out->state = GUARD_STATE_HALF;
	else if (b.state == GUARD_STATE_OPEN)
		out->until = (int64_t)b.until * US_PER_MS - now;
}
