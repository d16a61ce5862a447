/* seats.c - a word for each acceptor; see seats.h. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "sys/seats.h"

#define SLACK(mine) ((mine) / 16 + 1) /* a burst is not dealt out one by one */

struct seats {
	_Atomic int taken[SEATS_MAX];
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
	atomic_store_explicit(&s->taken[index], taken, memory_order_relaxed);
}

bool
seats_fewer(const struct seats *s, int n, int index)
{
	int i, mine;

	ASSERT(index >= 0 && index < SEATS_MAX && n <= SEATS_MAX);
	mine = atomic_load_explicit(&s->taken[index], memory_order_relaxed);
	for (i = 0; i < n; i++)
		if (atomic_load_explicit(&s->taken[i], memory_order_relaxed) < mine - SLACK(mine))
			return true;
	return false;
}
