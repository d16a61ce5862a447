/* turn.c - after which id the next one in an order has to come; see turn.h.
 *
 * One word: the youngest millisecond that was told, and whose it was; nobody's, when it was several.  Numbers of writers are folded: two that
 * share one and live at once are a million starts apart.
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"

#include "sys/turn.h"

#define WHO_BITS 20
#define WHO_MASK ((UINT64_C(1) << WHO_BITS) - 1)
#define SEVERAL 0

struct turn {
	_Atomic uint64_t word;     /* ms, who; 0: nothing was told */
	_Atomic int64_t raised_at; /* clock_now() in ms */
};

struct turn *
turn_new(void)
{
	void *p = mmap(NULL, sizeof(struct turn), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static uint64_t
who(uint32_t writer)
{
	return writer % WHO_MASK + 1;
}

enum turn_verdict
turn_next(struct turn *t, uint32_t writer, int64_t now, int64_t *ms_r)
{
	uint64_t word = atomic_load(&t->word);
	int64_t lead;

	*ms_r = (int64_t)(word >> WHO_BITS);
	if (word == 0 || (word & WHO_MASK) == who(writer))
		return TURN_GO;
	lead = ++*ms_r - now;
	if (lead > TURN_STEP_MAX) {
		*ms_r = 0;
		(void)atomic_compare_exchange_strong(&t->word, &word, 0);
		return TURN_STEP;
	}
	return lead > TURN_LEAD_MAX && clock_now() / CLOCK_MS <= atomic_load(&t->raised_at) ? TURN_WAIT : TURN_GO;
}

void
turn_told(struct turn *t, uint32_t writer, int64_t ms)
{
	uint64_t word = atomic_load(&t->word), mine = (uint64_t)ms << WHO_BITS | who(writer), next;

	ASSERT(ms > 0 && ms < INT64_C(1) << (64 - WHO_BITS));
	do {
		if (word == mine || word >> WHO_BITS > (uint64_t)ms || word == ((uint64_t)ms << WHO_BITS | SEVERAL))
			return;
		next = word >> WHO_BITS == (uint64_t)ms ? (uint64_t)ms << WHO_BITS | SEVERAL : mine;
	} while (!atomic_compare_exchange_weak(&t->word, &word, next));
	atomic_store(&t->raised_at, clock_now() / CLOCK_MS);
}
