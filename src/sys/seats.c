/* seats.c - a word for each acceptor; see seats.h. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "sys/seats.h"

#define SLACK(mine) ((mine) / 16 + 2) /* bursts and short connections are not dealt out one by one */

struct seats {
	_Atomic int taken[SEATS_MAX]; /* and one more; 0: takes none */
};

struct seats *
seats_new(void)
{
	void *p = mmap(NULL, sizeof(struct seats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

void
seats_set(struct seats *s, int index, int taken)
{
	ASSERT(index >= 0 && index < SEATS_MAX);
	atomic_store_explicit(&s->taken[index], taken + 1, memory_order_relaxed);
}

void
seats_leave(struct seats *s, int index)
{
	ASSERT(index >= 0 && index < SEATS_MAX);
	atomic_store_explicit(&s->taken[index], 0, memory_order_relaxed);
}

bool
seats_fewer(const struct seats *s, int index, int mine)
{
	int i, other;

	for (i = 0; i < SEATS_MAX; i++) {
		other = atomic_load_explicit(&s->taken[i], memory_order_relaxed);
		if (i != index && other > 0 && other - 1 < mine - SLACK(mine))
			return true;
	}
	return false;
}
