/* run_choose.c - the probes of a claim: whose turn it is, and what is asked in a turn.
 *
 * The turns are dealt by run_order.c.  A turn asks the hot heads of its group by their rank, one (lane, priority) after the other, and
 * each lane for what may have come since a look that is more urgent than its heads (its front): before its best head, unless that is so old
 * that nothing which came since can have a better rank.  A lane with one head is asked for all it holds, in two probes.
 *
 * What is asked is cold until the answer tells that there was more.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/buf.h"

#include "run/run_int.h"

/* Something that a turn may ask: a head, the front of a lane, or all of it. */
enum choice_what { CHOICE_FRONT, CHOICE_HEAD, CHOICE_WHOLE };

struct choice {
	int turn;
	int64_t rank;
	enum choice_what what;
	struct run_lane *lane;
	int head; /* index; of a front, what it ends before */
};

/* A lane that may be asked now.  What decides about thousands of them lies side by side: a lane is large. */
struct candidate {
	struct run_lane *lane;
	int64_t rank;
	int taker, class, room;
};

/* Lanes that one claim may ask together: of one queue with exact limits, or of none; of one handler when that is short of room. */
static int
lane_class(const struct run *r, const struct run_lane *lane)
{
	bool limited = lane->handler >= 0 && r->handlers[lane->handler].room < INT_MAX;

	return (lane->exact + 1) * (r->conf->nhandlers + 1) + (limited ? lane->handler + 1 : 0);
}

/* What may be asked is looked at once, here: a guard may shut or open at any time. */
static int
gather(struct run *r, struct buf *b, int64_t now)
{
	int room;

	run_claim_rooms(r);
	for (int i = 0; i < r->lanes.n; i++) {
		struct run_lane *lane = &r->lanes.all[i];

		if ((room = run_claim_lane_room(r, lane)) > 0)
			buf_put(b,
			    &(struct candidate){
				lane, run_lane_rank(r, lane, now), lane->taker, lane_class(r, lane), room },
			    sizeof(struct candidate));
	}
	return (int)(b->len / sizeof(struct candidate));
}

/* Those of a class wait; -1: all. */
static void
wait_for(struct run *r, const struct candidate *all, int n, int class)
{
	run_order_begin(&r->lanes.takers);
	for (int i = 0; i < n; i++)
		if (class < 0 || all[i].class == class)
			run_order_wait(&r->lanes.takers, all[i].taker, all[i].rank);
}

static bool
are_alike(const struct candidate *all, int n)
{
	for (int i = 1; i < n; i++)
		if (all[i].class != all[0].class)
			return false;
	return true;
}

/* The best lane of the group whose turn it is: the claim is for its class. */
static const struct candidate *
choose_first(struct run *r, const struct candidate *all, int n)
{
	const struct candidate *best = NULL;
	int group = run_order_next(&r->lanes.takers);

	for (int i = 0; i < n; i++)
		if (all[i].taker == group && (best == NULL || all[i].rank < best->rank))
			best = &all[i];
	return best;
}

/* --- choices ------------------------------------------------------------------------------------------------------------------------ */

static int
choice_cmp(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->lane != y->lane)
		return x->lane->lane < y->lane->lane ? -1 : 1;
	return x->what < y->what ? -1 : x->what > y->what;
}

/* The front lies before the first that is hot: what is gone does not cover what came since. */
static void
choose_heads(const struct run *r, struct buf *b, struct choice c, int64_t front)
{
	int first = -1;

	for (int i = 0; i < c.lane->nheads; i++) {
		if (!c.lane->heads[i].hot)
			continue;
		if (first < 0)
			first = i;
		c.head = i;
		c.rank = run_lane_head_rank(r, &c.lane->heads[i]);
		buf_put(b, &c, sizeof(c));
	}
	c.what = CHOICE_FRONT;
	c.head = first;
	c.rank = front;
	buf_put(b, &c, sizeof(c));
}

static void
choose_lane(const struct run *r, struct buf *b, const struct candidate *it)
{
	struct run_lane *lane = it->lane;
	struct choice c = {
		.turn = r->lanes.takers.all[it->taker].turn, .rank = it->rank, .what = CHOICE_WHOLE, .lane = lane
	};
	int64_t since = run_order_rank(lane->seen, -TASK_PRIORITY_MAX, r->conf->work.aging);
	bool heads = false;

	for (int i = 0; i < lane->nheads; i++)
		heads = heads || lane->heads[i].hot;
	if (!heads || (lane->nheads == 1 && c.rank > since)) {
		buf_put(b, &c, sizeof(c));
	} else {
		c.what = CHOICE_HEAD;
		choose_heads(r, b, c, c.rank > since ? c.rank : INT64_MAX);
	}
}

/* --- probes --------------------------------------------------------------------------------------------------------------------------- */

static void
probe_add(struct run *r, const struct choice *c, struct run_head *head, int below)
{
	struct store_probe *p = &r->lanes.probes[r->lanes.nprobes];

	ASSERT(r->lanes.nprobes < RUN_PROBES);
	*p = (struct store_probe){ .lane = c->lane->lane, .turn = c->turn, .prio = STORE_PRIO_FIRST, .below = below };
	r->lanes.were_hot[r->lanes.nprobes++] = head != NULL && head->hot;
	if (head == NULL)
		return;
	p->prio = head->prio;
	p->mark = head->mark;
	head->hot = false;
}

/* Its heads cut the lane into stretches, so that each is asked from its mark on; when there are too many the last is a long one. */
static void
ask_whole(struct run *r, const struct choice *c, int most)
{
	struct run_lane *lane = c->lane;
	int n = lane->nheads < most - 1 ? lane->nheads : most - 1;

	probe_add(r, c, NULL, n > 0 ? lane->heads[0].prio : STORE_PRIO_END);
	for (int i = 0; i < n; i++)
		probe_add(r, c, &lane->heads[i], i + 1 < n ? lane->heads[i + 1].prio : STORE_PRIO_END);
	for (int i = n; i < lane->nheads; i++)
		lane->heads[i].hot = false;
	lane->news = false; /* its bell may ring again before the answer */
}

/* False: there is no place for it. */
static bool
ask(struct run *r, const struct choice *c, int most)
{
	struct run_head *head = &c->lane->heads[c->head];

	if (most < (c->what == CHOICE_WHOLE ? 2 : 1))
		return false;
	if (c->what == CHOICE_WHOLE)
		ask_whole(r, c, most);
	else if (c->what == CHOICE_FRONT)
		probe_add(r, c, NULL, head->prio);
	else
		probe_add(r, c, head, head->prio + 1);
	c->lane->used = clock_now();
	return true;
}

/* Each turn has the same number of places, for the best of its choices. */
static void
ask_all(struct run *r, const struct choice *all, int n)
{
	int most = RUN_PROBES / r->lanes.nturns, turn = -1, from = 0;

	for (int i = 0; i < n; i++) {
		if (all[i].turn != turn) {
			turn = all[i].turn;
			from = r->lanes.nprobes;
		}
		if (!ask(r, &all[i], from + most - r->lanes.nprobes))
			from = r->lanes.nprobes - most; /* and nothing after it */
	}
}

static void
choose_probes(struct run *r, const struct candidate *all, int nall, int class)
{
	struct buf b = { 0 };
	struct run_taker *t = r->lanes.takers.all;
	size_t n;

	for (int i = 0; i < nall; i++)
		if (all[i].class == class && t[all[i].taker].turn >= 0)
			choose_lane(r, &b, &all[i]);
	n = b.len / sizeof(struct choice);
	if (b.data != NULL) {
		qsort(b.data, n, sizeof(struct choice), choice_cmp);
		ask_all(r, (const struct choice *)(void *)b.data, (int)n);
	}
	buf_free(&b);
	for (int i = 0; i < r->lanes.takers.n; i++)
		if (t[i].turn >= 0 && t[i].queue != i)
			r->lanes.turns[t[i].turn] = t[i].most;
}

static void
choose_of(struct run *r, const struct candidate *all, int n, int room)
{
	const struct candidate *first;

	wait_for(r, all, n, -1);
	if ((first = choose_first(r, all, n)) == NULL)
		return;
	room = first->room < room ? first->room : room;
	if (!are_alike(all, n))
		wait_for(r, all, n, first->class);
	r->lanes.takers.pace = run_each_second(r);
	r->lanes.nturns = run_order_deal(&r->lanes.takers, room, RUN_TURNS);
	choose_probes(r, all, n, first->class);
	run_exact_chosen(r, first->lane->exact, room);
}

void
run_choose(struct run *r)
{
	struct buf b = { 0 };
	int room = run_room(r), n;

	r->lanes.nprobes = r->lanes.nturns = 0;
	if (room == 0 || run_pause_unseen(r))
		return;
	n = gather(r, &b, store_db_now(r->o.store));
	choose_of(r, (const struct candidate *)(void *)b.data, n, room);
	buf_free(&b);
}
