/* run_lane.c - what this worker knows of lanes: those that hold something, and the last used of the others.
 *
 * A look brings heads, one for each lane and priority; between looks they move on by what was claimed.  A lane that has none is remembered
 * while it is one of those used last: its bell is enough then to claim from it, and each look tells whether it is paused.
 * A forgotten one costs nothing, and its bell a look.  When there is more than one look can show, looks go round, and what they showed
 * before stands until they come again; of that at most LANES_MOST lanes are kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"

#include "run/run_int.h"

#define LANES_MOST 4096

/* --- one lane -------------------------------------------------------------------------------------------------------------------- */

static int
lane_cmp(const void *a, const void *b)
{
	const struct run_lane *x = a, *y = b;

	return (x->lane > y->lane) - (x->lane < y->lane);
}

struct run_lane *
run_lane_find(const struct run *r, int32_t number)
{
	struct run_lane key = { .lane = number };

	if (r->lanes.n == 0)
		return NULL;
	return bsearch(&key, r->lanes.all, (size_t)r->lanes.n, sizeof(key), lane_cmp);
}

struct run_head *
run_lane_head(struct run_lane *lane, int prio)
{
	for (int i = 0; i < lane->nheads; i++)
		if (lane->heads[i].prio == prio)
			return &lane->heads[i];
	return NULL;
}

bool
run_lane_hot(const struct run_lane *lane)
{
	for (int i = 0; i < lane->nheads; i++)
		if (lane->heads[i].hot)
			return true;
	return lane->news;
}

int64_t
run_lane_head_rank(const struct run *r, const struct run_head *h)
{
	return run_order_rank(task_id_time(&h->first), h->prio, r->conf->work.aging);
}

int64_t
run_lane_rank(const struct run *r, const struct run_lane *lane, int64_t now)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < lane->nheads; i++)
		if (lane->heads[i].hot && run_lane_head_rank(r, &lane->heads[i]) < best)
			best = run_lane_head_rank(r, &lane->heads[i]);
	return best < INT64_MAX ? best : run_order_rank(now, lane->prio, r->conf->work.aging);
}

/* A cold one is worse than any that is hot. */
static int64_t
head_rank(const struct run *r, const struct run_head *h)
{
	return h->hot ? run_lane_head_rank(r, h) : INT64_MAX;
}

/* Keeps the best ones. */
static void
head_add(const struct run *r, struct run_lane *lane, const struct run_head *h)
{
	int worst = 0, at;

	if (lane->nheads == RUN_HEADS) {
		for (int i = 1; i < RUN_HEADS; i++)
			if (head_rank(r, &lane->heads[i]) > head_rank(r, &lane->heads[worst]))
				worst = i;
		if (head_rank(r, h) >= head_rank(r, &lane->heads[worst]))
			return;
		memmove(&lane->heads[worst], &lane->heads[worst + 1], sizeof(*h) * (size_t)(RUN_HEADS - 1 - worst));
		lane->nheads--;
	}
	for (at = lane->nheads; at > 0 && lane->heads[at - 1].prio > h->prio; at--)
		lane->heads[at] = lane->heads[at - 1];
	lane->heads[at] = *h;
	lane->nheads++;
}

void
run_lane_took(struct run *r, struct run_lane *lane, const struct store_claimed *c, bool more)
{
	struct run_head *h = run_lane_head(lane, -c->row.priority);

	lane->prio = -c->row.priority;
	if (h != NULL) {
		h->first = c->row.id;
		h->hot = more;
	} else if (more) {
		head_add(r, lane, &(struct run_head){ .prio = lane->prio, .hot = true, .first = c->row.id });
	}
}

uint32_t
run_lane_bells(const struct run *r, int32_t number)
{
	if (r->o.wake == NULL)
		return 0;
	return wake_lane_ready_count(r->o.wake, number) + wake_lane_lower_count(r->o.wake, number) -
	       r->lanes.own[(uint32_t)number % WAKE_LANES];
}

/* --- those that a look tells of in any case --------------------------------------------------------------------------------------------------------- */

static int
used_cmp(const void *a, const void *b)
{
	const struct run_lane *const *x = a, *const *y = b;

	return ((*x)->used < (*y)->used) - ((*x)->used > (*y)->used);
}

int
run_lane_known(const struct run *r, int32_t *known_r, int most)
{
	const struct run_lane **by_use = mem_alloc(sizeof(*by_use) * (size_t)(r->lanes.n + 1));
	int n = 0;

	for (int i = 0; i < r->lanes.n; i++)
		by_use[n++] = &r->lanes.all[i];
	if (n > most)
		qsort(by_use, (size_t)n, sizeof(*by_use), used_cmp);
	for (int i = 0; i < n && i < most; i++)
		known_r[i] = by_use[i]->lane;
	mem_free(&by_use);
	return n < most ? n : most;
}

/* --- takers ---------------------------------------------------------------------------------------------------------------------------- */

static int
taker_cmp(const void *a, const void *b)
{
	const struct run_taker *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static int
taker_find(const struct run_takers *t, uint64_t key)
{
	struct run_taker it = { .key = key };
	struct run_taker *x = t->n == 0 ? NULL : bsearch(&it, t->all, (size_t)t->n, sizeof(it), taker_cmp);

	return x != NULL ? (int)(x - t->all) : -1;
}

static void
takers_unique(struct run_takers *t)
{
	int n = 0;

	qsort(t->all, (size_t)t->n, sizeof(*t->all), taker_cmp);
	for (int i = 0; i < t->n; i++)
		if (n == 0 || t->all[n - 1].key != t->all[i].key)
			t->all[n++] = t->all[i];
	t->n = n;
}

/* Those of the lanes that are known now; what they were served stays. */
static void
takers_renew(struct run *r)
{
	struct run_takers *old = &r->lanes.takers;
	struct run_takers t = { .all = mem_zalloc(sizeof(*t.all) * (size_t)(2 * r->lanes.n + 1)), .clock = old->clock };
	int at;

	for (int i = 0; i < r->lanes.n; i++) {
		t.all[t.n++].key = r->lanes.all[i].queue_key;
		t.all[t.n++].key = r->lanes.all[i].group_key;
	}
	takers_unique(&t);
	for (int i = 0; i < t.n; i++)
		if ((at = taker_find(old, t.all[i].key)) >= 0)
			t.all[i] = old->all[at];
	for (int i = 0; i < r->lanes.n; i++) {
		struct run_lane *lane = &r->lanes.all[i];
		int queue = taker_find(&t, lane->queue_key);

		lane->taker = taker_find(&t, lane->group_key);
		t.all[queue].queue = t.all[lane->taker].queue = queue;
	}
	mem_free(&old->all);
	*old = t;
}

/* --- a look ------------------------------------------------------------------------------------------------------------------------------ */

static uint64_t
name_key(struct span queue, const struct span *group)
{
	struct buf b = { 0 };
	uint64_t key;

	buf_putspan(&b, queue);
	if (group != NULL) {
		buf_putc(&b, '\0');
		buf_putspan(&b, *group);
	}
	key = digest_fnv64(b.data, b.len);
	buf_free(&b);
	return key;
}

static struct run_lane
lane_new(struct run *r, const struct store_lane *in)
{
	const struct conf_handler *h = conf_handler_find(r->conf, in->task_type);
	struct run_lane lane = { .lane = in->lane, .used = clock_now() };

	lane.handler = h != NULL ? (int)(h - r->conf->handlers) : -1;
	lane.queue_key = name_key(in->queue, NULL);
	lane.group_key = name_key(in->queue, &in->group);
	lane.rung = run_lane_bells(r, in->lane);
	lane.exact = run_exact_of(r, in->queue, in->ordering_key);
	run_exact_rung(r, &lane);
	return lane;
}

/* No worker starts what clients lease. */
static bool
for_clients(const struct run *r, const struct run_lane *lane)
{
	return lane->handler >= 0 && r->conf->handlers[lane->handler].kind == CONF_HANDLER_LEASE;
}

/* What nobody has a handler for is claimed to be buried; what somebody else has one for is his. */
static bool
for_others(const struct run_lane *lane, const struct store_lane *in)
{
	return lane->handler < 0 && in->served;
}

/* Where a look found nothing more it was the last to walk over what is gone: the next claim begins at that time. */
static void
heads_gone(const struct run *r, struct run_lane *lane, const struct run_head *old, int nold)
{
	struct run_head gone = { .mark = task_id_least(r->lanes.looked_db) };

	gone.first = gone.mark;
	for (int i = 0; i < nold && lane->nheads < RUN_HEADS; i++) {
		gone.prio = old[i].prio;
		if (run_lane_head(lane, gone.prio) == NULL)
			head_add(r, lane, &gone);
	}
}

/* The heads of one lane, from `i` on; how many rows it took.  The look may be older than what its bell told. */
static int
lane_see(const struct run *r, struct run_lane *lane, const struct store_look *look, int i, bool covered)
{
	const struct store_lane *in = look->lanes;
	const struct run_lane was = *lane;
	int n;

	lane->paused = in[i].paused || for_clients(r, lane) || for_others(lane, &in[i]);
	if (covered) {
		lane->nheads = 0;
		lane->seen = r->lanes.looked_db;
	}
	for (n = 0; i + n < look->nlanes && in[i + n].lane == lane->lane; n++)
		if (in[i + n].ready)
			head_add(r, lane,
			    &(struct run_head){
				.prio = in[i + n].prio, .hot = true, .mark = in[i + n].head, .first = in[i + n].head });
	if (lane->nheads > 0)
		lane->prio = lane->heads[0].prio;
	if (covered)
		heads_gone(r, lane, was.heads, was.nheads);
	return n;
}

/* Old ones that the look did not show: empty and no longer asked for, unless it did not come so far. */
static bool
lane_stays(const struct run_lane *lane, bool covered, int kept)
{
	return lane->news || (!covered && kept < LANES_MOST);
}

void
run_lane_merge(struct run *r, const struct store_look *look, int32_t after)
{
	struct run_lane *old = r->lanes.all, *all = mem_zalloc(sizeof(*all) * (size_t)(r->lanes.n + look->nlanes + 1));
	int n = 0, i = 0, o = 0;

	while (i < look->nlanes || o < r->lanes.n) {
		bool shown = i < look->nlanes && (o == r->lanes.n || look->lanes[i].lane <= old[o].lane);
		int32_t number = shown ? look->lanes[i].lane : old[o].lane;
		bool covered = number > after && number <= look->last;
		bool is_old = o < r->lanes.n && old[o].lane == number;

		if (shown || lane_stays(&old[o], covered, n)) {
			all[n] = is_old ? old[o] : lane_new(r, &look->lanes[i]);
			if (shown)
				i += lane_see(r, &all[n], look, i, covered);
			else if (run_pause_changed(r))
				all[n].paused = true; /* until a look tells */
			n++;
		}
		o += is_old;
	}
	mem_free(&r->lanes.all);
	r->lanes.all = all;
	r->lanes.n = n;
	memset(r->lanes.known, 0, sizeof(r->lanes.known));
	for (i = 0; i < n; i++)
		r->lanes.known[(uint32_t)all[i].lane % WAKE_LANES] = 1;
	takers_renew(r);
}
