/* marks.c - tables of started tasks in shared memory; see marks.h. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "sys/marks.h"

#define MARKS_TABLES 320 /* twice as many as processes: a dead one keeps its table until it was read */

struct mark {
	_Atomic bool there; /* set after the id, so that a half-written one is not seen */
	struct id id;
};

struct table {
	_Atomic int64_t inc; /* 0: free */
	_Atomic int more;    /* marks that found no place */
	int next;            /* where to look first; of the writer */
	struct mark marks[MARKS_IDS];
};

struct marks {
	struct table tables[MARKS_TABLES];
};

struct marks *
marks_new(void)
{
	void *p = mmap(NULL, sizeof(struct marks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static void
table_empty(struct table *t)
{
	atomic_store(&t->more, 0);
	for (int i = 0; i < MARKS_IDS; i++)
		atomic_store(&t->marks[i].there, false);
}

int
marks_take(struct marks *m, int64_t inc)
{
	ASSERT(inc > 0);
	for (int i = 0; i < MARKS_TABLES; i++) {
		int64_t none = 0;

		if (atomic_compare_exchange_strong(&m->tables[i].inc, &none, inc))
			return i;
	}
	return -1;
}

static const struct table *
table_of(const struct marks *m, int64_t inc)
{
	for (int i = 0; i < MARKS_TABLES; i++)
		if (atomic_load(&m->tables[i].inc) == inc)
			return &m->tables[i];
	return NULL;
}

/* Emptied before it is free. */
void
marks_drop(struct marks *m, int64_t inc)
{
	const struct table *found = table_of(m, inc);
	struct table *t;

	if (found == NULL)
		return;
	t = &m->tables[found - m->tables];
	table_empty(t);
	atomic_store(&t->inc, 0);
}

int
marks_set(struct marks *m, int table, const struct id *id)
{
	struct table *t = &m->tables[table];

	for (int n = 0; n < MARKS_IDS && atomic_load_explicit(&t->more, memory_order_relaxed) == 0; n++) {
		int place = (t->next + n) % MARKS_IDS;

		if (atomic_load_explicit(&t->marks[place].there, memory_order_relaxed))
			continue;
		t->marks[place].id = *id;
		atomic_store(&t->marks[place].there, true);
		t->next = place + 1;
		return place;
	}
	atomic_fetch_add(&t->more, 1);
	return MARKS_IDS;
}

void
marks_clear(struct marks *m, int table, int place)
{
	struct table *t = &m->tables[table];

	ASSERT(place >= 0 && place <= MARKS_IDS);
	if (place == MARKS_IDS)
		atomic_fetch_sub(&t->more, 1);
	else
		atomic_store(&t->marks[place].there, false);
}

int
marks_read(const struct marks *m, int64_t inc, struct id ids[MARKS_IDS])
{
	const struct table *t = table_of(m, inc);
	int n = 0;

	if (t == NULL || atomic_load(&t->more) > 0)
		return -1;
	for (int i = 0; i < MARKS_IDS; i++)
		if (atomic_load(&t->marks[i].there))
			ids[n++] = t->marks[i].id;
	return n;
}
