/* store_lane.c - names of lanes, interned off the hot path.
 *
 * A name that this process has not met is looked up, and made when it is not there: three statements, because each must see what
 * the one before it met (somebody else may be making the same name).  The answer is kept; lanes are never renamed or deleted.  The
 * table is bounded: when it is full all of it is forgotten.  Logs nothing; a failure is told to the one who looks next.
 * Next: store_submit.c.
 */
#include <stdio.h>
#include <string.h>

#include "store/store_int.h"

#define LANE_MAGIC 0x5c0a1a4eU
#define BUCKETS 1024
#define MOST 8192

struct lane_name {
	struct lane_name *next;
	struct lane_cache *cache;
	uint64_t hash;
	struct span key; /* queue, NUL, type, NUL, group, NUL, ordering key; owned */
	size_t queue_len, kind_len, group_len;
	int32_t lane; /* 0: not known */
	bool asked;
	char why[300]; /* could not be learned */
};

struct lane_cache {
	unsigned magic;
	struct store *store;
	struct store_pool *pool;
	lane_cache_fn *fn;
	void *arg;
	struct lane_name *buckets[BUCKETS];
	int count, asking;
	struct buf key; /* of the look-up in progress */
};

struct lane_cache *
lane_cache_new(struct store *s, struct store_pool *pool, lane_cache_fn *fn, void *arg)
{
	struct lane_cache *c = mem_zalloc(sizeof(*c));

	c->magic = LANE_MAGIC;
	c->store = s;
	c->pool = pool;
	c->fn = fn;
	c->arg = arg;
	return c;
}

static void
forget_all(struct lane_cache *c)
{
	struct lane_name *n;
	int i;

	for (i = 0; i < BUCKETS; i++) {
		while ((n = c->buckets[i]) != NULL) {
			c->buckets[i] = n->next;
			mem_free(&n->key.ptr);
			mem_free(&n);
		}
	}
	c->count = 0;
}

void
lane_cache_free(struct lane_cache **c)
{
	if (*c == NULL)
		return;
	ASSERT((*c)->asking == 0);
	forget_all(*c);
	buf_free(&(*c)->key);
	(*c)->magic = 0;
	mem_free(c);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void
bind_name(struct stmt *t, const struct lane_name *n, int words)
{
	struct span queue = { n->key.ptr, n->queue_len };
	struct span kind = { n->key.ptr + n->queue_len + 1, n->kind_len };
	size_t before = n->queue_len + n->kind_len + 2;
	struct span group = { n->key.ptr + before, n->group_len };
	size_t behind = before + n->group_len + 1;
	struct span ordering_key = { n->key.ptr + behind, n->key.len - behind };

	stmt_text(t, queue);
	stmt_text(t, kind);
	if (words == 2)
		return;
	stmt_text(t, group);
	stmt_text(t, ordering_key);
}

static void on_lane(struct request *r);

static void
ask(struct lane_name *n, bool make)
{
	struct request *r = request_new(on_lane, n);

	r->repeat = true; /* making a name twice makes it once */
	r->deadline = clock_now() + n->cache->store->o.conf->postgres.deadline;
	if (make) {
		bind_name(request_stmt(r, SQL_LANE_MAKE), n, 2);
		bind_name(request_stmt(r, SQL_LANE_LINK), n, 4);
	}
	bind_name(request_stmt(r, SQL_LANE_READ), n, 4);
	n->asked = true;
	n->cache->asking++;
	request_send(n->cache->pool, r);
}

static void
on_lane(struct request *r)
{
	struct lane_name *n = r->arg;
	struct lane_cache *c = n->cache;
	const PGresult *res = r->results[r->nstmts - 1];
	bool made = r->nstmts > 1;

	MAGIC_CHECK(c, LANE_MAGIC);
	n->asked = false;
	c->asking--;
	if (r->status == STORE_OK && PQntuples(res) == 1)
		n->lane = (int32_t)col_int(res, 0, SQL_LANE_READ_ID);
	else if (r->status == STORE_OK && !made && !pool_closing(c->pool))
		ask(n, true);
	else
		snprintf(n->why, sizeof(n->why), "could not name the lane: %s",
		    r->status == STORE_OK ? "it is gone" : r->why);
	request_free(&r);
	if (!n->asked)
		c->fn(c->arg);
}

/* --- looking -------------------------------------------------------------------------------------------------------- */

static struct lane_name *
add(struct lane_cache *c, uint64_t hash, const struct task_request *r)
{
	struct lane_name *n;

	if (c->count >= MOST && c->asking == 0)
		forget_all(c);
	n = mem_zalloc(sizeof(*n));
	n->cache = c;
	n->hash = hash;
	n->queue_len = r->queue.len;
	n->kind_len = r->task_type.len;
	n->group_len = r->group.len;
	n->key = (struct span){ mem_spandup(buf_span(&c->key)), c->key.len };
	n->next = c->buckets[hash % BUCKETS];
	c->buckets[hash % BUCKETS] = n;
	c->count++;
	return n;
}

int32_t
lane_cache_find(struct lane_cache *c, const struct task_request *r, const char **why_r)
{
	static char why[300];
	struct lane_name *n;
	uint64_t hash;

	MAGIC_CHECK(c, LANE_MAGIC);
	buf_reset(&c->key);
	buf_putspan(&c->key, r->queue);
	buf_putc(&c->key, '\0');
	buf_putspan(&c->key, r->task_type);
	buf_putc(&c->key, '\0');
	buf_putspan(&c->key, r->group);
	buf_putc(&c->key, '\0');
	buf_putspan(&c->key, r->ordering_key);
	hash = digest_fnv64(c->key.data, c->key.len);
	for (n = c->buckets[hash % BUCKETS]; n != NULL; n = n->next)
		if (n->hash == hash && span_eq(n->key, buf_span(&c->key)))
			break;
	if (n == NULL)
		n = add(c, hash, r);
	if (n->lane != 0)
		return n->lane;
	if (n->why[0] != '\0') {
		snprintf(why, sizeof(why), "%s", n->why);
		n->why[0] = '\0';
		*why_r = why;
		return -1;
	}
	if (!n->asked)
		ask(n, false);
	return 0;
}
