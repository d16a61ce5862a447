/* store_submit.c - submissions come together here.
 *
 * A submission waits until its lane has a name and a connection is free; then all that wait leave as one batch (store_batch.c).  So
 * latency is one commit when idle, and throughput grows by itself under load.  One that wants a unique name leaves alone (store_unique.c).  Each has its own deadline: one that passes before it was
 * sent is FAILED, after that UNSURE, while the batch goes on without anybody to tell.  Logs nothing.  Next: store_batch.c.
 */
#include <string.h>

#include "store/store_int.h"

#define SUBMIT_MAGIC 0x5c0a5b17U
#define SWEEP (50 * CLOCK_MS)

/* --- one submission ----------------------------------------------------------------------------------------------- */

/* A batch frees its items at once and the next one needs as many: so many are kept. */
#define SPARES 512

static struct {
	struct item *items[SPARES];
	int n;
} spares;

static struct item *
item_new(void)
{
	struct item *it;

	if (spares.n == 0)
		return mem_zalloc(sizeof(*it));
	it = spares.items[--spares.n];
	memset(it, 0, sizeof(*it));
	return it;
}

void
item_free(struct item *it)
{
	ASSERT(it->fn == NULL && list_empty(&it->twins));
	order_leave(it);
	list_remove(&it->node);
	mem_free(&it->earlier);
	if (spares.n < SPARES)
		spares.items[spares.n++] = it;
	else
		mem_free(&it);
}

void
item_spares_free(void)
{
	while (spares.n > 0)
		mem_free(&spares.items[--spares.n]);
}

/* Tells the caller, once. */
void
item_answer(struct item *it, struct store_submitted *a)
{
	store_submit_fn *fn = it->fn;

	if (fn == NULL)
		return;
	it->fn = NULL;
	order_told(it->turn, a);
	list_remove(&it->all);
	fn(it->arg, a);
}

void
item_answer_all(struct item *it, const struct store_submitted *answer)
{
	struct store_submitted a;
	struct list *node;

	while ((node = list_first(&it->twins)) != NULL) {
		struct item *twin = container_of(node, struct item, node);

		list_remove(node);
		a = *answer;
		item_answer(twin, &a);
		item_free(twin);
	}
	a = *answer;
	item_answer(it, &a);
}

void
item_fail(struct item *it, enum store_status status, const char *why)
{
	item_answer_all(it, &(struct store_submitted){ .status = status, .why = why });
}

void
item_again(struct submitter *u, struct item *it)
{
	ASSERT(it->fn != NULL && list_empty(&it->twins));
	order_leave(it);
	it->sent = false;
	it->lane = 0;
	list_remove(&it->node);
	list_push(&u->fresh, &it->node);
	submitter_kick(u);
}

/* --- the collector -------------------------------------------------------------------------------------------------- */

/* Answers those that are late.  One that waits here is freed as well; one in a batch belongs to the batch. */
static void
sweep(struct submitter *u, int64_t now)
{
	struct list *pos, *tmp;
	struct item *it;

	u->next_sweep = now + SWEEP;
	LIST_FOREACH_SAFE (pos, tmp, &u->all) {
		it = container_of(pos, struct item, all);
		if (it->in.deadline > now)
			continue;
		if (it->sent) {
			item_answer(it, &(struct store_submitted){
					    .status = STORE_UNSURE, .why = "no answer from postgres in time" });
			continue;
		}
		u->ncollected -= it->lane > 0 && !unique_wanted(it); /* what it asked for is gone with the answer */
		item_answer(it, &(struct store_submitted){ .status = it->doubt ? STORE_UNSURE : STORE_FAILED,
				    .why = store_lie(u->store) != NULL    ? store_lie(u->store)
					   : u->store->trouble[0] != '\0' ? u->store->trouble
									  : "no connection was free in time" });
		item_free(it);
	}
}

/* Those whose lane has a name may join a batch. */
static void
name_fresh(struct submitter *u)
{
	struct list *pos, *tmp;
	struct item *it;
	const char *why;

	LIST_FOREACH_SAFE (pos, tmp, &u->fresh) {
		it = container_of(pos, struct item, node);
		it->lane = lane_cache_find(u->lanes, it->in.request, &why);
		if (it->lane == 0)
			continue;
		list_remove(&it->node);
		if (it->lane < 0) {
			item_fail(it, it->sent || it->doubt ? STORE_UNSURE : STORE_FAILED, why);
			item_free(it);
			continue;
		}
		list_push(unique_wanted(it) ? &u->uniques : &u->collected, &it->node);
		u->ncollected += !unique_wanted(it);
	}
}

static void
submitter_run(void *arg)
{
	struct submitter *u = arg;
	int64_t now = clock_now(), hold = SWEEP;

	MAGIC_CHECK(u, SUBMIT_MAGIC);
	u->kicked = false;
	u->order_waits = false;
	if (now >= u->next_sweep)
		sweep(u, now);
	name_fresh(u);
	if (u->store->writer != 0 && store_lie(u->store) == NULL)
		unique_run(u);
	while (u->store->writer != 0 && store_lie(u->store) == NULL && u->ncollected > 0 && pool_idle(u->pool) > 0) {
		hold = gather_hold(&u->gather, u->ncollected, now);
		if (hold > 0 || !batch_begin(u))
			break;
		hold = SWEEP;
	}
	if (u->order_waits)
		hold = CLOCK_MS;
	if (!list_empty(&u->all) && !u->kicked)
		loop_timer_set(u->timer, hold > 0 && hold < SWEEP ? hold : SWEEP);
}

void
submitter_kick(struct submitter *u)
{
	if (u->kicked || pool_closing(u->pool))
		return;
	u->kicked = true;
	loop_timer_set(u->timer, 0);
}

static void
on_lanes(void *arg)
{
	submitter_kick(arg);
}

struct submitter *
submitter_new(struct store *s, struct store_pool *pool)
{
	struct submitter *u;

	if (pool == NULL)
		return NULL;
	u = mem_zalloc(sizeof(*u));
	u->magic = SUBMIT_MAGIC;
	u->store = s;
	u->pool = pool;
	u->gather.alone = s->o.conf->acceptors == 1;
	list_init(&u->fresh);
	list_init(&u->collected);
	list_init(&u->uniques);
	list_init(&u->all);
	u->lanes = lane_cache_new(s, pool, on_lanes, u);
	u->timer = loop_timer_new(s->o.loop, submitter_run, u);
	pool_on_idle(pool, submitter_run, u);
	return u;
}

/* After its pool: what was in a batch has its answer. */
void
submitter_free(struct submitter **u)
{
	struct list *pos;
	struct item *it;

	if (*u == NULL)
		return;
	while ((pos = list_first(&(*u)->all)) != NULL) {
		it = container_of(pos, struct item, all);
		item_fail(it, it->sent || it->doubt ? STORE_UNSURE : STORE_FAILED, "the store is closing");
		item_free(it);
	}
	item_spares_free();
	lane_cache_free(&(*u)->lanes);
	loop_timer_free(&(*u)->timer);
	(*u)->magic = 0;
	mem_free(u);
}

void
store_submit(struct store *s, const struct store_submission *in, store_submit_fn *fn, void *arg)
{
	struct submitter *u = s->submitter;
	struct item *it;

	ASSERT(u != NULL && fn != NULL);
	if (pool_closing(u->pool))
		return;
	it = item_new();
	list_init(&it->twins);
	it->in = *in;
	it->fn = fn;
	it->arg = arg;
	it->arrival = u->arrivals++;
	/* a key of our own for what has none: repeating the statement then does no harm either */
	it->digest = in->digest != NULL ? *in->digest
		     : in->key.len > 0  ? task_key_digest(in->tenant, in->key)
					: id_random();
	it->bucket = in->key.len > 0 ? task_key_bucket(in->tenant, in->key) : it->digest.b[0] & (TASK_BUCKETS - 1);
	memcpy(it->fp, in->request->fingerprint, sizeof(it->fp));
	it->turn = order_has(it) ? s->o.turn : NULL;
	list_push(&u->all, &it->all);
	list_push(&u->fresh, &it->node);
	submitter_kick(u);
}
