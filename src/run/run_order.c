/* run_order.c - in which order tasks are taken: turns between groups, age and priority within one.
 *
 * Between tasks of one group of a queue the rank decides: the time of submission, and for each step of priority `aging` earlier or later.
 * So what was submitted 200 * aging before is served before, whatever the priorities (-100 to 100): that bounds the waiting
 * of the least urgent task beside a stream of the most urgent ones.
 *
 * Between the groups of a queue, and between queues, turns decide and the rank does not: each is served one task, and then it is the
 * turn of whoever was served least.  Who had nothing for a while is lifted to the least of those who waited: it is next, but has not
 * saved up turns.  So a task that is the best of its group waits for at most one task of each other group of its queue that
 * waits too, however many those have and however urgent they are; and the same holds for queues.
 *
 * A deal hands out room for several tasks: what turn by turn would come, a few at once when there is room for many.  Each turn costs the
 * database as much as ten tasks, so where tasks are short a turn is what ends in a moment, as long as the round of all who wait
 * remains short.  Only what was taken in the end counts as served.
 */
#include "store/store.h"

#include "run/run_order.h"

#define PORTIONS 64 /* a deal is made of no more than about so many */
#define MOMENTS 300 /* in a second */
#define ROUND 3     /* seconds: most, of turns that are larger than they must be */

int64_t
run_order_rank(int64_t submitted_at, int prio, int64_t aging)
{
	return submitted_at + prio * aging;
}

void
run_order_begin(struct run_takers *t)
{
	for (int i = 0; i < t->n; i++) {
		t->all[i].waits = false;
		t->all[i].most = 0;
		t->all[i].turn = -1;
	}
}

void
run_order_wait(struct run_takers *t, int group, int64_t rank)
{
	struct run_taker *both[] = { &t->all[group], &t->all[t->all[group].queue] };

	for (int i = 0; i < 2; i++) {
		if (!both[i]->waits || rank < both[i]->rank)
			both[i]->rank = rank;
		both[i]->waits = true;
	}
}

static bool
is_queue(const struct run_takers *t, const struct run_taker *x)
{
	return x == &t->all[x->queue];
}

static bool
is_before(const struct run_taker *a, const struct run_taker *b)
{
	if (a->served + a->most != b->served + b->most)
		return a->served + a->most < b->served + b->most;
	return a->rank != b->rank ? a->rank < b->rank : a < b;
}

/* The clock of those below is the least that one of them was served; whoever is behind it had nothing, and is lifted. */
static void
lift(struct run_takers *t)
{
	for (int i = 0; i < t->n; i++) {
		struct run_taker *x = &t->all[i];
		int64_t clock = is_queue(t, x) ? t->clock : t->all[x->queue].clock;

		if (x->waits && x->served < clock)
			x->served = clock;
	}
}

static void
advance(struct run_takers *t)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < t->n; i++)
		if (t->all[i].waits && is_queue(t, &t->all[i])) {
			t->all[i].clock = INT64_MAX;
			least = t->all[i].served < least ? t->all[i].served : least;
		}
	if (least < INT64_MAX)
		t->clock = least;
	for (int i = 0; i < t->n; i++) {
		struct run_taker *x = &t->all[i], *q = &t->all[x->queue];

		if (x->waits && x != q && x->served < q->clock)
			q->clock = x->served;
	}
}

static struct run_taker *
pick(struct run_takers *t)
{
	struct run_taker *queue = NULL, *best = NULL;

	for (int i = 0; i < t->n; i++) {
		struct run_taker *x = &t->all[i];

		if (x->waits && is_queue(t, x) && (queue == NULL || is_before(x, queue)))
			queue = x;
	}
	for (int i = 0; queue != NULL && i < t->n; i++) {
		struct run_taker *x = &t->all[i];

		if (x->waits && x != queue && &t->all[x->queue] == queue && (best == NULL || is_before(x, best)))
			best = x;
	}
	return best;
}

/* --- a deal ------------------------------------------------------------------------------------------------------------------------ */

/* Those who wait as heaps of indexes, so that a turn among thousands costs no more than among a few. */
struct heap {
	int *all;
	int n;
};

struct deal {
	struct run_takers *t;
	struct heap queues;
	struct heap *groups; /* of each queue, by its index */
	int *room;           /* of all the heaps */
};

static void
sink(const struct deal *d, const struct heap *h, int i)
{
	const struct run_taker *all = d->t->all;
	int child, top = h->all[i];

	for (; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && is_before(&all[h->all[child + 1]], &all[h->all[child]]))
			child++;
		if (!is_before(&all[h->all[child]], &all[top]))
			break;
		h->all[i] = h->all[child];
	}
	h->all[i] = top;
}

static void
heap_make(const struct deal *d, const struct heap *h)
{
	for (int i = h->n / 2 - 1; i >= 0; i--)
		sink(d, h, i);
}

static void
deal_begin(struct deal *d, struct run_takers *t)
{
	int *room = mem_alloc(sizeof(*room) * (size_t)(2 * t->n + 1));

	*d = (struct deal){ .t = t, .groups = mem_zalloc(sizeof(*d->groups) * (size_t)(t->n + 1)), .room = room };
	for (int i = 0; i < t->n; i++)
		d->groups[t->all[i].queue].n += t->all[i].waits && !is_queue(t, &t->all[i]);
	for (int i = 0; i < t->n; i++) {
		d->groups[i].all = room;
		room += d->groups[i].n;
		d->groups[i].n = 0;
	}
	d->queues.all = room;
	for (int i = 0; i < t->n; i++) {
		struct heap *h = is_queue(t, &t->all[i]) ? &d->queues : &d->groups[t->all[i].queue];

		if (t->all[i].waits)
			h->all[h->n++] = i;
	}
	heap_make(d, &d->queues);
	for (int i = 0; i < t->n; i++)
		heap_make(d, &d->groups[i]);
}

static void
deal_end(struct deal *d)
{
	mem_free(&d->groups);
	mem_free(&d->room);
}

/* The first that may get more in this deal: whoever has a turn may, others while there are turns left.  Null: none. */
static struct run_taker *
first(const struct deal *d, struct heap *h, int turns_left)
{
	while (h->n > 0 && turns_left == 0 && d->t->all[h->all[0]].turn < 0) {
		h->all[0] = h->all[--h->n];
		if (h->n > 0)
			sink(d, h, 0);
	}
	return h->n > 0 ? &d->t->all[h->all[0]] : NULL;
}

/* The next turn of a deal: whose it is.  Null: nobody may get more. */
static struct run_taker *
deal_turn(struct deal *d, int n, int turns, int *dealt)
{
	struct run_taker *queue = first(d, &d->queues, turns - *dealt), *x;
	struct heap *groups;

	if (queue == NULL)
		return NULL;
	groups = &d->groups[queue - d->t->all];
	x = first(d, groups, turns - *dealt);
	if (x == NULL)
		return NULL;
	if (x->turn < 0)
		x->turn = (*dealt)++;
	queue->turn = 0;
	x->most += n;
	queue->most += n;
	sink(d, groups, 0);
	sink(d, &d->queues, 0);
	return x;
}

/* What is dealt at once.  At a high pace more: what ends in a moment; and when so many wait that a round of such turns would take more than
 * some seconds, their part of it.  Then they cut a range into parts that are equal but for the last: that one is a little short, and
 * tells that there is no more. */
static int
portion_of(const struct run_takers *t, int room)
{
	int least = (room + PORTIONS - 1) / PORTIONS, most = room / RUN_ORDER_TURNS, waiting = 0, portion;

	for (int i = 0; i < t->n; i++)
		waiting += t->all[i].waits && !is_queue(t, &t->all[i]);
	portion = t->pace / (waiting / ROUND > MOMENTS ? waiting / ROUND : MOMENTS);
	if (portion >= most)
		portion = most;
	else if (portion > least && portion < STORE_RANGE)
		portion = STORE_RANGE / ((STORE_RANGE + portion - 1) / portion) + 1;
	return portion > least ? portion : least;
}

int
run_order_deal(struct run_takers *t, int room, int turns)
{
	int portion = portion_of(t, room), dealt = 0;
	struct run_taker *x, *last = NULL;
	struct deal d;

	deal_begin(&d, t);
	for (; room > 0 && room >= portion && (x = deal_turn(&d, portion, turns, &dealt)) != NULL; room -= portion)
		last = x;
	if (last != NULL) { /* the rest is not worth a turn */
		last->most += room;
		t->all[last->queue].most += room;
	}
	deal_end(&d);
	return dealt;
}

int
run_order_next(struct run_takers *t)
{
	struct run_taker *x;

	lift(t);
	advance(t);
	x = pick(t);
	return x != NULL ? (int)(x - t->all) : -1;
}

void
run_order_took(struct run_takers *t, int group, int tasks)
{
	t->all[group].served += tasks;
	t->all[t->all[group].queue].served += tasks;
}
