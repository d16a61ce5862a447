/* store_batch.c - one group commit: what was collected becomes ids, ranges and one statement.
 *
 * The batch is sorted by lane and priority before it is numbered, so that each (lane, priority) is a range of neighbours; delayed tasks come
 * last, outside any range.  Submissions of one key in the same batch go as one, the others hang on it.  A line lost after send means
 * the same keys again (the pool does that), never a look-up, and with new ids: a range of the first try covers whatever lies between its ends,
 * also an id whose key was known then and is not any more.  A batch that meets a lock or a poison row is
 * halved, down to the one that fails alone.  What many wait for is waited for shortly: a locked key costs its neighbours
 * PATIENCE_MANY and PATIENCE_HALF for each time they are halved, and only then waits by itself for lock_timeout, as long as that leaves a
 * connection to the others.  Logs a task that was refused.  Next: store_bind.c.
 */
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "stats/stats.h"

#include "store/store_int.h"

#define PATIENCE_HALF (10 * CLOCK_MS)
#define LOCKS_MOST 5    /* that a batch in doubt meets before it is halved */
#define TWIN_SLOTS 4096 /* power of two, well above BATCH_ITEMS */

static void on_stored(struct request *r);

static struct batch *
batch_new(struct submitter *u, int room, int64_t patience)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	b->magic = BATCH_MAGIC;
	b->owner = u;
	b->patience = patience;
	b->items = mem_zalloc(sizeof(struct item *) * (size_t)room);
	return b;
}

void
batch_free(struct batch *b)
{
	int64_t now = clock_now();

	if (b->left_at != 0)
		gather_landed(&b->owner->gather, b->tasks, now - b->left_at, b->owner->ncollected, now);
	mem_free(&b->items);
	b->magic = 0;
	mem_free(&b);
}

/* --- filling ------------------------------------------------------------------------------------------------------ */

/* Takes the oldest that fit and may join, without their twins, which hang on the first of their key. */
static void
take(struct batch *b, struct submitter *u, int64_t now)
{
	size_t bytes = 0, at, room = 64;
	struct list *pos, *tmp;
	int tasks = 0;
	struct item *it, **slots;

	while (room < TWIN_SLOTS && room < 2 * (size_t)u->ncollected)
		room *= 2;
	slots = mem_zalloc(sizeof(*slots) * room);
	u->filling++;
	LIST_FOREACH_SAFE (pos, tmp, &u->collected) {
		it = container_of(pos, struct item, node);
		if (tasks == BATCH_ITEMS || bytes > BATCH_BYTES_MAX)
			break;
		it->later = it->in.request->run_at > now || it->in.request->delay > 0;
		if (!order_join(u, it))
			continue;
		list_remove(&it->node);
		u->ncollected--;
		it->sent = true;
		tasks++;
		memcpy(&at, it->digest.b, sizeof(at));
		for (at &= room - 1; slots[at] != NULL && !id_eq(&slots[at]->digest, &it->digest);)
			at = (at + 1) & (room - 1);
		if (slots[at] != NULL) {
			list_push(&slots[at]->twins, &it->node);
			slots[at]->doubt = slots[at]->doubt || it->doubt;
			continue;
		}
		slots[at] = it;
		b->items[b->n++] = it;
		bytes += it->in.request->payload.len + 200;
	}
	mem_free(&slots);
}

static int
compare(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	if (x->later != y->later)
		return x->later ? 1 : -1;
	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	if (x->in.request->priority != y->in.request->priority)
		return x->in.request->priority > y->in.request->priority ? -1 : 1;
	return x->arrival < y->arrival ? -1 : 1;
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

struct request *
batch_request(struct batch *b, request_fn *fn)
{
	struct request *r = request_new(fn, b);
	int i;

	r->repeat = true;
	r->deadline = 0;
	for (i = 0; i < b->n; i++)
		if (b->items[i]->in.deadline > r->deadline)
			r->deadline = b->items[i]->in.deadline;
	return r;
}

/* Who was answered meanwhile is gone, and his request with him; what hangs on it goes on by itself. */
static void
leave_behind(struct batch *b, bool doubt)
{
	int i, live = 0;

	for (i = 0; i < b->n; i++) {
		struct item *it = b->items[i];

		it->doubt = it->doubt || doubt;
		if (it->fn != NULL)
			b->items[live++] = it;
		else
			verdict_gone(b->owner, it);
	}
	b->n = live;
}

/* A key that was stored by the first try may have been purged since. */
static bool
is_too_old(const struct batch *b, const struct item *it)
{
	const struct store *s = b->owner->store;
	const struct id *first = it->nearlier > 0 ? &it->earlier[0] : &it->id;

	return store_db_now(s) - task_id_time(first) >= s->o.conf->keys.ttl;
}

/* What was proposed may have been stored, so it is never proposed again, and it is remembered: a key that leads there is ours. */
static bool
renumber(struct request *r)
{
	struct batch *b = r->arg;
	struct id first;
	struct item *it;
	int i;

	MAGIC_CHECK(b, BATCH_MAGIC);
	leave_behind(b, true);
	for (i = 0; i < b->n; i++)
		if (is_too_old(b, b->items[i]))
			return false;
	if (b->n == 0 || !order_first_id(b->owner, &first))
		return false;
	for (i = 0; i < b->n; i++)
		if (b->owner->order_waits && order_has(b->items[i]))
			return false;
	for (i = 0; i < b->n; i++) {
		it = b->items[i];
		it->earlier = mem_resize(it->earlier, sizeof(it->id) * (size_t)(it->nearlier + 1));
		it->earlier[it->nearlier++] = it->id;
		it->id = task_id_at(&first, (uint32_t)i);
	}
	request_clear(r);
	batch_bind(r, b);
	r->locks_most = b->n > 1 ? LOCKS_MOST : 0;
	return true;
}

static void
batch_send(struct batch *b)
{
	struct request *r = batch_request(b, on_stored);
	int i;

	r->doubt_fn = renumber;
	r->locks_most = b->n > 1 ? LOCKS_MOST : 0;
	for (i = 0; i < b->n; i++)
		r->uncertain = r->uncertain || b->items[i]->doubt;
	batch_bind(r, b);
	stats_observe(H_BATCH, b->n);
	request_send(b->owner->pool, r);
}

bool
batch_begin(struct submitter *u)
{
	struct batch *b;
	struct id first;
	int i;

	if (!order_first_id(u, &first))
		return false;
	b = batch_new(u, BATCH_ITEMS, PATIENCE_MANY);
	take(b, u, store_db_now(u->store));
	if (b->n == 0) {
		batch_free(b);
		return false;
	}
	qsort(b->items, (size_t)b->n, sizeof(b->items[0]), compare);
	for (i = 0; i < b->n; i++) {
		b->items[i]->id = task_id_at(&first, (uint32_t)i);
		b->items[i]->rounds++;
	}
	b->left_at = clock_now();
	b->tasks = b->n;
	gather_left(&u->gather);
	batch_send(b);
	return true;
}

/* --- answers -------------------------------------------------------------------------------------------------- */

void
item_wake(struct store *s, const struct item *it)
{
	if (s->o.wake == NULL)
		return;
	if (it->later) {
		wake_keeper_ring(s->o.wake); /* it may be due before all others */
		return;
	}
	wake_lane_ready(s->o.wake, it->lane);
	wake_workers_ring(s->o.wake);
}

/* Nothing will come of these ids any more; the batch ends. */
void
batch_fail(struct batch *b, enum store_status status, const char *why)
{
	int i;

	for (i = 0; i < b->n; i++) {
		if (b->items[i] == NULL)
			continue;
		item_fail(b->items[i], status, why);
		item_free(b->items[i]);
	}
	batch_free(b);
}

/* --- the first statement ---------------------------------------------------------------------------------------------------- */

/* Index of an id in the sorted batch. */
static int
find(const struct batch *b, const struct id *id)
{
	int lo = 0, hi = b->n - 1, mid, order;

	while (lo <= hi) {
		mid = (lo + hi) / 2;
		order = id_cmp(&b->items[mid]->id, id);
		if (order == 0)
			return mid;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid - 1;
	}
	UNREACHABLE("postgres stored a task that was not sent");
}

/* Halves that go on by themselves with the ids they have, and with the doubt about an earlier try. */
static void
split(struct batch *b, bool doubt)
{
	struct batch *half[2];
	int i, h;

	leave_behind(b, doubt);
	for (h = 0; h < 2; h++) {
		half[h] = batch_new(b->owner, b->n / 2 + 1, PATIENCE_HALF);
		for (i = h == 0 ? 0 : b->n / 2; i < (h == 0 ? b->n / 2 : b->n); i++)
			half[h]->items[half[h]->n++] = b->items[i];
		if (half[h]->n > 0)
			batch_send(half[h]);
		else
			batch_free(half[h]);
	}
	batch_free(b);
}

/* Once more, and now it waits as long as may be.  False: the last connection is for others. */
static bool
wait_alone(struct batch *b)
{
	struct submitter *u = b->owner;
	struct batch *patient;

	if (b->patience == 0 || u->patients >= u->store->o.submit_connections - 1)
		return false;
	u->patients++;
	patient = batch_new(u, 1, 0);
	patient->items[patient->n++] = b->items[0];
	batch_free(b);
	batch_send(patient);
	return true;
}

/* A single one that cannot be stored. */
static void
alone(struct batch *b, const struct request *r)
{
	struct store_submitted busy = { .status = STORE_OK, .verdict = STORE_BUSY, .why = r->why };
	struct item *it = b->items[0];

	if (r->status == STORE_REFUSED && r->final) {
		verdict_unstorable(it, r);
		batch_free(b);
		return;
	}
	if (r->status != STORE_REFUSED || !store_error_is_lock(r->sqlstate)) {
		log_warning("postgres refused a task", log_str("sqlstate", r->sqlstate), log_str("error", r->why));
		batch_fail(b, r->status == STORE_REFUSED ? STORE_FAILED : r->status, r->why);
		return;
	}
	if (it->fn == NULL) {
		verdict_gone(b->owner, it);
		batch_free(b);
		return;
	}
	if (wait_alone(b))
		return;
	item_answer_all(it, &busy);
	item_free(it);
	batch_free(b);
}

/* Which of the batch the answer says were stored. */
static void
mark_stored(struct batch *b, const PGresult *res)
{
	bool all = col_int(res, 0, SQL_SUBMIT_STORED) == b->n;
	struct id id;
	int i;

	for (i = 0; i < b->n; i++)
		b->items[i]->stored = all;
	for (i = 0; i < PQntuples(res) && !col_null(res, i, SQL_SUBMIT_ID); i++) {
		id = col_id(res, i, SQL_SUBMIT_ID);
		b->items[find(b, &id)]->stored = true;
	}
}

static void
stored(struct batch *b, const PGresult *res)
{
	int64_t created_at = col_time(res, 0, SQL_SUBMIT_CREATED_AT);
	int i, left = b->n;
	struct item *it;

	mark_stored(b, res);
	for (i = 0; i < b->n; i++) {
		it = b->items[i];
		if (!it->stored)
			continue;
		item_wake(b->owner->store, it);
		if (it->fn == NULL && !list_empty(&it->twins))
			continue; /* its request is gone with its caller; the twins are told by what was stored */
		b->items[i] = NULL;
		left--;
		verdict_accepted(b->owner, it, created_at);
	}
	if (left > 0)
		verdict_ask(b);
	else
		batch_free(b);
}

static void
on_stored(struct request *r)
{
	struct batch *b = r->arg;

	MAGIC_CHECK(b, BATCH_MAGIC);
	b->owner->patients -= b->patience == 0;
	if (r->status == STORE_OK)
		stored(b, r->results[0]);
	else if (r->action == ACTION_SPLIT && r->status != STORE_FAILED && b->n > 1 && !pool_closing(b->owner->pool))
		split(b, r->uncertain);
	else if (r->action == ACTION_SPLIT && b->n == 1)
		alone(b, r);
	else
		batch_fail(b, r->status == STORE_REFUSED ? STORE_FAILED : r->status, r->why);
	request_free(&r);
}
