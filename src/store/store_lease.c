/* store_lease.c - the leases of this worker and what is still open in them.
 *
 * A lease may be deleted only with its last task: another statement that still writes under it would be refused.  So the store counts:
 * each task leaves once, by an outcome or a give-back.  Pure bookkeeping, no SQL.  Next: store_step.c.
 */
#include <string.h>

#include "store/store_int.h"

void
lease_table_init(struct lease_table *t)
{
	int i;

	for (i = 0; i < LEASE_BUCKETS; i++)
		list_init(&t->buckets[i]);
}

void
lease_table_clear(struct lease_table *t)
{
	struct list *node;
	struct open_lease *l;
	int i;

	for (i = 0; i < LEASE_BUCKETS; i++) {
		while ((node = list_first(&t->buckets[i])) != NULL) {
			l = container_of(node, struct open_lease, node);
			lease_free(&l);
		}
	}
}

static struct list *
bucket(struct lease_table *t, const struct store_lease *l)
{
	return &t->buckets[(digest_fnv64(&l->lo, sizeof(l->lo)) ^ (uint64_t)l->lease_id) % LEASE_BUCKETS];
}

struct open_lease *
lease_find(struct lease_table *t, const struct store_lease *l)
{
	struct list *head = bucket(t, l), *pos;
	struct open_lease *o;

	for (pos = head->next; pos != head; pos = pos->next) {
		o = container_of(pos, struct open_lease, node);
		if (o->lease.lease_id == l->lease_id && id_eq(&o->lease.lo, &l->lo))
			return o;
	}
	return NULL;
}

/* Positions of the range. */
static int
width(const struct open_lease *l)
{
	return (int)(task_id_pos(&l->lease.hi) - task_id_pos(&l->lease.lo)) + 1;
}

struct open_lease *
lease_add(struct lease_table *t, const struct store_lease *l)
{
	size_t bits = task_id_pos(&l->hi) - task_id_pos(&l->lo) + 1;
	struct open_lease *o = mem_zalloc(sizeof(*o) + (bits + 7) / 8);

	ASSERT(task_id_same_batch(&l->lo, &l->hi));
	o->lease = *l;
	list_push(bucket(t, l), &o->node);
	return o;
}

void
lease_free(struct open_lease **l)
{
	list_remove(&(*l)->node);
	mem_free(l);
}

/* Position in the range; -1: not of it. */
static int
place(const struct open_lease *l, const struct id *id)
{
	if (id_cmp(id, &l->lease.lo) < 0 || id_cmp(id, &l->lease.hi) > 0)
		return -1;
	return (int)(task_id_pos(id) - task_id_pos(&l->lease.lo));
}

static bool
is_open(const struct open_lease *l, int at)
{
	return (l->open[at / 8] >> (at % 8) & 1) != 0;
}

void
lease_open_task(struct open_lease *l, const struct id *id)
{
	int at = place(l, id);

	ASSERT(at >= 0);
	if (is_open(l, at))
		return;
	l->open[at / 8] = (uint8_t)(l->open[at / 8] | 1u << (at % 8));
	l->left++;
}

bool
lease_has_open(const struct open_lease *l, const struct id *id)
{
	int at = place(l, id);

	return at >= 0 && is_open(l, at);
}

static void
close_at(struct open_lease *l, int at)
{
	l->open[at / 8] = (uint8_t)(l->open[at / 8] & ~(1u << (at % 8)));
	l->left--;
}

bool
lease_close_task(struct open_lease *l, const struct id *id)
{
	int at = place(l, id);

	if (at < 0 || !is_open(l, at))
		return false;
	close_at(l, at);
	return true;
}

int
lease_open_before(const struct open_lease *l, const struct id *from)
{
	int at, end = place(l, from), n = 0;

	if (end < 0)
		end = id_cmp(from, &l->lease.lo) < 0 ? 0 : width(l);
	for (at = 0; at < end; at++)
		n += is_open(l, at);
	return n;
}

void
lease_close_from(struct open_lease *l, const struct id *from)
{
	int at = place(l, from);

	for (at = at < 0 ? 0 : at; at < width(l); at++)
		if (is_open(l, at))
			close_at(l, at);
}
