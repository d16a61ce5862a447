/* api_lease_queue.c - clients that ask for tasks of one queue: looked for together, served one after the other.
 *
 * What a queue has is known by a look, which serves all who ask for LOOK_FRESH, or LOOK_SHARE times as long as it took; nobody is told that
 * there is nothing unless a look that began after he asked says so.  In which order it is given out is decided in run/run_pull.c, and that is
 * why there is one claim at a time for each queue in a process.
 *
 * A queue is remembered while somebody asks, and longer when it holds something.  Next: store/store_pull.c.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"

#include "http/api_int.h"

#define QUEUE_MAGIC 0x41717565u
#define LOOK_FRESH (10 * CLOCK_MS)
#define LOOK_SHARE 4
#define LOOK_KEPT (250 * CLOCK_MS) /* at most */
#define BUSY_WAIT (4 * CLOCK_MS)   /* at most, while somebody else counts */
#define BUSY_TRIES 200

struct queue {
	unsigned magic;
	struct list node;
	struct api *api;
	struct span name;
	struct list asking;
	struct run_pull *order;
	struct loop_timer *timer; /* somebody else counts */
	bool busy;                /* a look or a claim is under way, or the timer runs */
	bool going;
	bool holds; /* the last look saw something */
	int64_t looked_at, fresh;
	uint32_t pauses; /* changes of pauses that the look knows of */
};

struct api_pull_queues {
	struct api *api;
	struct list all;
};

static void go(struct queue *q);

static struct queue *
queue_of(struct list *node)
{
	struct queue *q = container_of(node, struct queue, node);

	MAGIC_CHECK(q, QUEUE_MAGIC);
	return q;
}

/* The one who is served now; null: nobody asks. */
static struct api_pull *
first_of(const struct queue *q)
{
	struct list *node = list_first(&q->asking);

	return node != NULL ? container_of(node, struct api_pull, node) : NULL;
}

static void
queue_free(struct queue *q)
{
	list_remove(&q->node);
	run_pull_free(&q->order);
	loop_timer_free(&q->timer);
	mem_free(&q->name.ptr);
	q->magic = 0;
	mem_free(&q);
}

/* The store could not: nor will it for the others now. */
static void
end_all(struct queue *q, enum store_status status)
{
	struct api_pull *p;

	q->going = true; /* the end of one may bring the next */
	while ((p = first_of(q)) != NULL) {
		list_remove(&p->node);
		api_pull_end(p, status);
		status = STORE_FAILED; /* of the others nothing was tried */
	}
	q->going = false;
}

/* --- the look ------------------------------------------------------------------------------------------------------------------ */

static uint32_t
pauses(const struct api *a)
{
	return a->wake != NULL ? wake_pauses_count(a->wake) : 0;
}

static void
on_look(void *arg, const struct store_look *look)
{
	struct queue *q = arg;
	int64_t took;

	MAGIC_CHECK(q, QUEUE_MAGIC);
	took = clock_now() - q->looked_at;
	q->busy = false;
	if (look->status != STORE_OK) {
		end_all(q, STORE_FAILED);
	} else {
		q->fresh = took * LOOK_SHARE < LOOK_KEPT ? took * LOOK_SHARE : LOOK_KEPT;
		q->holds = look->nlanes > 0;
		run_pull_seen(q->order, look);
	}
	go(q);
}

static void
look(struct queue *q)
{
	q->busy = true;
	q->looked_at = clock_now();
	q->pauses = pauses(q->api);
	store_pull_look(q->api->store, q->name, run_pull_after(q->order), on_look, q);
}

static bool
is_stale(const struct queue *q, const struct api_pull *p)
{
	int64_t age = clock_now() - q->looked_at;

	if (q->pauses != pauses(q->api))
		return true;
	return q->looked_at < p->asked_at && age > LOOK_FRESH && age > q->fresh;
}

/* --- the claim ----------------------------------------------------------------------------------------------------------------- */

static void
again(void *arg)
{
	struct queue *q = arg;

	MAGIC_CHECK(q, QUEUE_MAGIC);
	q->busy = false;
	go(q);
}

static void
on_pulled(void *arg, const struct store_pulled *got)
{
	struct queue *q = arg;
	struct api_pull *p;

	MAGIC_CHECK(q, QUEUE_MAGIC);
	p = first_of(q);
	ASSERT(p != NULL);
	run_pull_took(q->order, got);
	q->busy = got->busy;
	if (got->busy) {
		p->tries++;
		loop_timer_set(q->timer, (int64_t)((double)BUSY_WAIT * (0.2 + 0.8 * drand48())));
		return;
	}
	if (got->status != STORE_OK) {
		end_all(q, got->status);
	} else if (got->ntasks > 0) {
		list_remove(&p->node);
		q->going = true;
		api_pull_got(p, got, q->order);
		q->going = false;
	}
	go(q);
}

/* False: there is nothing for it. */
static bool
serve(struct queue *q, struct api_pull *p)
{
	struct store_pull in = { .ttl = p->ttl, .bytes = API_PULL_BYTES };

	if (p->tries > BUSY_TRIES)
		return false;
	if (is_stale(q, p)) {
		look(q);
	} else if (run_pull_choose(q->order, p->types, p->ntypes, p->max, &in, &p->again)) {
		q->busy = true;
		store_pull(q->api->store, &in, on_pulled, q);
	} else if (q->looked_at < p->asked_at) {
		look(q);
	} else {
		return false;
	}
	return true;
}

/* Whoever is told that there is nothing may bring the next one here. */
static void
go(struct queue *q)
{
	struct api_pull *p;

	if (q->going)
		return;
	q->going = true;
	while (!q->busy && (p = first_of(q)) != NULL) {
		MAGIC_CHECK(p, API_PULL_MAGIC);
		if (serve(q, p))
			continue;
		list_remove(&p->node);
		api_pull_wait(p);
	}
	q->going = false;
	if (!q->busy && !q->holds)
		queue_free(q);
}

static struct queue *
queue_new(struct api *a, struct span name)
{
	struct queue *q = mem_zalloc(sizeof(*q));

	q->magic = QUEUE_MAGIC;
	q->api = a;
	q->name = (struct span){ mem_spandup(name), name.len };
	q->order = run_pull_new(a->conf, a->guard, name);
	q->timer = loop_timer_new(a->loop, again, q);
	list_init(&q->asking);
	list_push(&a->pull_queues->all, &q->node);
	return q;
}

void
api_pull_claim(struct api_pull *p)
{
	struct queue *q = NULL;
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &p->api->pull_queues->all)
		if (span_eq(queue_of(pos)->name, p->queue))
			q = queue_of(pos);
	if (q == NULL)
		q = queue_new(p->api, p->queue);
	p->asked_at = clock_now();
	p->tries = 0;
	list_push(&q->asking, &p->node);
	go(q);
}

/* --- life --------------------------------------------------------------------------------------------------------------------------- */

struct api_pull_queues *
api_pull_queues_new(struct api *a)
{
	struct api_pull_queues *qs = mem_zalloc(sizeof(*qs));

	qs->api = a;
	list_init(&qs->all);
	return qs;
}

/* The store is closed, and has answered all. */
void
api_pull_queues_free(struct api_pull_queues **qs)
{
	struct list *node;

	while ((node = list_first(&(*qs)->all)) != NULL) {
		struct queue *q = queue_of(node);
		struct api_pull *p;

		while ((p = first_of(q)) != NULL) {
			list_remove(&p->node);
			p->served = false;
			api_pull_end(p, STORE_FAILED);
		}
		queue_free(q);
	}
	mem_free(qs);
}
