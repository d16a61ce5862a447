/* run_pull.c - the order of what clients get; see run_pull.h.
 *
 * The takers are those of one queue: the first is the queue, then come the groups of what the last look showed, which keep what they were
 * served while they are shown.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"

#include "run/run_int.h"
#include "run/run_pull.h"

#define PULL_MAGIC 0x72756e70u
#define PROBES_MOST 128
#define TURNS_MOST 64

/* A lane and a priority in it that has something. */
struct head {
	struct store_lane look; /* spans in the arena */
	int64_t rank;
	int group; /* its taker */
	int handler;
	int room; /* tasks that its handler may be given; INT_MAX: any number */
	bool hot;
	bool open; /* it may be asked now, by this client */
};

struct run_pull {
	unsigned magic;
	const struct conf *conf;
	struct span queue;
	struct store_limits limits;
	bool limited;
	struct arena *arena; /* of the last look */
	struct head *heads;  /* sorted by rank */
	int n;
	int32_t after;
	struct run_takers takers;
	struct guard_handler **guards; /* of each handler */
	struct guard_rule *rules;
	int64_t rest;       /* clock_now(): the rate of the queue allows no start before */
	int64_t group_rest; /* the same of a group that was held; its heads are cold */
	/* the claim under way */
	bool exact;
	struct store_probe probes[PROBES_MOST];
	struct store_lane names[PROBES_MOST];
	int asked[PROBES_MOST]; /* index of its head */
	int nprobes;
	int turns[TURNS_MOST];
	int groups[TURNS_MOST];
	int nturns;
};

static void
guards_find(struct run_pull *p, struct guard *g)
{
	p->guards = mem_zalloc(sizeof(struct guard_handler *) * (size_t)(p->conf->nhandlers + 1));
	p->rules = mem_zalloc(sizeof(*p->rules) * (size_t)(p->conf->nhandlers + 1));
	for (int i = 0; i < p->conf->nhandlers; i++) {
		conf_guard_rule(p->conf, &p->conf->handlers[i], &p->rules[i]);
		if (g != NULL)
			p->guards[i] = guard_of(g, span_of(p->conf->handlers[i].title));
	}
}

struct run_pull *
run_pull_new(const struct conf *c, struct guard *g, struct span queue)
{
	struct run_pull *p = mem_zalloc(sizeof(*p));

	p->magic = PULL_MAGIC;
	p->conf = c;
	p->queue = (struct span){ mem_spandup(queue), queue.len };
	p->limited = run_exact_limits(c, queue, &p->limits);
	p->arena = arena_new(4096);
	guards_find(p, g);
	return p;
}

void
run_pull_free(struct run_pull **p)
{
	MAGIC_CHECK(*p, PULL_MAGIC);
	(*p)->magic = 0;
	arena_free(&(*p)->arena);
	mem_free(&(*p)->takers.all);
	mem_free(&(*p)->guards);
	mem_free(&(*p)->rules);
	mem_free(&(*p)->queue.ptr);
	mem_free(p);
}

/* --- what a look tells -------------------------------------------------------------------------------------------------------- */

static uint64_t
group_key(struct span group)
{
	return digest_fnv64(group.ptr, group.len);
}

static int
head_cmp(const void *a, const void *b)
{
	const struct head *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->look.lane > y->look.lane) - (x->look.lane < y->look.lane);
}

static int
taker_find(const struct run_takers *t, uint64_t key)
{
	int i = 1;

	while (i < t->n && t->all[i].key != key)
		i++;
	return i < t->n ? i : -1;
}

/* Those of the heads that are known now; what they were served stays. */
static void
takers_renew(struct run_pull *p)
{
	struct run_takers *old = &p->takers, t = { .n = 1, .clock = old->clock };
	int at, i;

	t.all = mem_zalloc(sizeof(*t.all) * (size_t)(p->n + 1));
	if (old->n > 0)
		t.all[0] = old->all[0];
	for (i = 0; i < p->n; i++) {
		uint64_t key = group_key(p->heads[i].look.group);

		p->heads[i].group = taker_find(&t, key);
		if (p->heads[i].group >= 0)
			continue;
		at = taker_find(old, key);
		t.all[t.n] = at >= 0 ? old->all[at] : (struct run_taker){ .key = key };
		p->heads[i].group = t.n++;
	}
	mem_free(&old->all);
	*old = t;
}

void
run_pull_seen(struct run_pull *p, const struct store_look *look)
{
	MAGIC_CHECK(p, PULL_MAGIC);
	arena_reset(p->arena);
	p->heads = arena_alloc(p->arena, sizeof(*p->heads) * (size_t)(look->nlanes + 1));
	p->after = look->last < INT32_MAX ? look->last : 0;
	for (p->n = 0; p->n < look->nlanes; p->n++) {
		struct head *h = &p->heads[p->n];

		*h = (struct head){ .look = look->lanes[p->n], .hot = true };
		h->look.queue = p->queue;
		h->handler = (int)(conf_handler_find(p->conf, h->look.task_type) - p->conf->handlers);
		h->look.task_type = arena_span(p->arena, h->look.task_type);
		h->look.group = arena_span(p->arena, h->look.group);
		h->look.ordering_key = arena_span(p->arena, h->look.ordering_key);
		h->rank = run_order_rank(task_id_time(&h->look.head), h->look.prio, p->conf->work.aging);
	}
	qsort(p->heads, (size_t)p->n, sizeof(*p->heads), head_cmp);
	takers_renew(p);
}

int32_t
run_pull_after(const struct run_pull *p)
{
	return p->after;
}

/* --- the choice ------------------------------------------------------------------------------------------------------------------ */

static bool
is_exact(const struct run_pull *p, const struct head *h)
{
	return p->limited || h->look.ordering_key.len > 0;
}

static bool
wanted(const struct head *h, const struct span *types, int ntypes)
{
	int i = 0;

	while (i < ntypes && !span_eq(types[i], h->look.task_type))
		i++;
	return ntypes == 0 || i < ntypes;
}

/* At 0 *again_r may become sooner. */
static int
handler_room(const struct run_pull *p, int handler, int64_t *again_r)
{
	int64_t now = clock_now(), again;
	int room;

	if (guard_is_closed(p->guards[handler], &p->rules[handler]))
		return INT_MAX;
	room = guard_room(p->guards[handler], &p->rules[handler], now, &again);
	if (room == 0 && now + again < *again_r)
		*again_r = now + again;
	return room;
}

/* May two heads be asked together? */
static bool
same_class(const struct run_pull *p, const struct head *a, const struct head *b)
{
	bool few = a->room < INT_MAX || b->room < INT_MAX;

	return is_exact(p, a) == is_exact(p, b) && (!few || a->handler == b->handler);
}

/* Those that are open wait; the index of the group whose turn it is. */
static int
line_up(struct run_pull *p)
{
	run_order_begin(&p->takers);
	for (int i = 0; i < p->n; i++)
		if (p->heads[i].open)
			run_order_wait(&p->takers, p->heads[i].group, p->heads[i].rank);
	return run_order_next(&p->takers);
}

/* The best of the group whose turn it is; null: there is none.  Only what can be asked together with it stays open. */
static const struct head *
choose_first(struct run_pull *p)
{
	int group = line_up(p), i;
	const struct head *first = NULL;

	for (i = 0; i < p->n && first == NULL; i++)
		if (p->heads[i].open && p->heads[i].group == group)
			first = &p->heads[i];
	for (i = 0; i < p->n && first != NULL; i++)
		p->heads[i].open = p->heads[i].open && same_class(p, &p->heads[i], first);
	return first;
}

/* Of a lane in order one probe asks for all. */
static bool
is_asked(const struct run_pull *p, const struct head *h)
{
	int i = 0;

	while (i < p->nprobes && p->probes[i].lane != h->look.lane)
		i++;
	return h->look.ordering_key.len > 0 && i < p->nprobes;
}

static void
ask(struct run_pull *p, int head, int turn)
{
	const struct store_lane *l = &p->heads[head].look;

	p->asked[p->nprobes] = head;
	p->names[p->nprobes] = *l;
	p->probes[p->nprobes++] = (struct store_probe){
		.lane = l->lane, .turn = p->exact ? 0 : turn, .prio = l->prio, .below = l->prio + 1, .mark = l->head
	};
}

/* Each turn has the same number of places, for the best of its heads. */
static void
ask_all(struct run_pull *p, int turns)
{
	const struct run_taker *t = p->takers.all;
	int places[TURNS_MOST] = { 0 };

	p->nprobes = 0;
	for (int i = 0; i < p->n; i++) {
		int turn = t[p->heads[i].group].turn;

		if (!p->heads[i].open || turn < 0 || places[turn] == PROBES_MOST / turns)
			continue;
		if (is_asked(p, &p->heads[i])) {
			p->heads[i].hot = false;
			continue;
		}
		places[turn]++;
		ask(p, i, turn);
	}
}

/* The statement for lanes with exact limits lets groups take turns itself, in the order of the probes. */
static void
deal(struct run_pull *p, int room)
{
	int dealt = run_order_deal(&p->takers, room, TURNS_MOST);

	ask_all(p, dealt);
	p->nturns = p->exact ? 1 : dealt;
	p->turns[0] = room;
	for (int i = 1; i < p->takers.n; i++)
		if (p->takers.all[i].turn >= 0) {
			p->groups[p->takers.all[i].turn] = i;
			if (!p->exact)
				p->turns[p->takers.all[i].turn] = p->takers.all[i].most;
		}
}

/* A rate lets none start before `rest`; what it does not touch may be asked. */
static void
open_heads(struct run_pull *p, const struct span *types, int ntypes, int64_t *again_r)
{
	bool rests = p->rest > clock_now();

	for (int i = 0; i < p->n; i++) {
		struct head *h = &p->heads[i];

		h->open = h->hot && wanted(h, types, ntypes);
		if (h->open && rests && is_exact(p, h)) {
			h->open = false;
			*again_r = p->rest < *again_r ? p->rest : *again_r;
		}
		if (h->open)
			h->room = handler_room(p, h->handler, again_r);
		h->open = h->open && h->room > 0;
	}
}

bool
run_pull_choose(
    struct run_pull *p, const struct span *types, int ntypes, int max, struct store_pull *in_r, int64_t *again_r)
{
	const struct head *first;

	MAGIC_CHECK(p, PULL_MAGIC);
	*again_r = p->group_rest > clock_now() ? p->group_rest : INT64_MAX;
	open_heads(p, types, ntypes, again_r);
	first = choose_first(p);
	if (first == NULL)
		return false;
	p->exact = is_exact(p, first);
	(void)line_up(p);
	deal(p, first->room < max ? first->room : max);
	in_r->queue = p->queue;
	in_r->probes = p->probes;
	in_r->heads = p->names;
	in_r->nprobes = p->nprobes;
	in_r->turns = p->turns;
	in_r->nturns = p->nturns;
	in_r->exact = p->exact ? &p->limits : NULL;
	return true;
}

/* --- the answer ------------------------------------------------------------------------------------------------------------------- */

static void
count_served(struct run_pull *p, const struct store_pulled *a)
{
	for (int i = 0; i < a->ntasks; i++) {
		int group = taker_find(&p->takers, group_key(a->tasks[i].row.group));

		if (group >= 0)
			run_order_took(&p->takers, group, 1);
	}
}

/* What an exact claim left is asked again when it took all that was wanted: else something holds it, and there will be news. */
void
run_pull_took(struct run_pull *p, const struct store_pulled *a)
{
	MAGIC_CHECK(p, PULL_MAGIC);
	if (a->status != STORE_OK || a->busy)
		return;
	count_served(p, a);
	for (int i = 0; i < p->nprobes; i++)
		p->heads[p->asked[i]].hot =
		    a->full[p->probes[i].turn] &&
		    (!p->exact || (a->ntasks == p->turns[0] && p->names[i].ordering_key.len == 0));
	if (!p->exact || a->ntasks == p->turns[0])
		return;
	p->rest = a->next > 0 ? clock_now() + a->next : 0;
	p->group_rest = a->group_next > 0 ? clock_now() + a->group_next : 0;
}

/* --- the guard --------------------------------------------------------------------------------------------------------------------- */

bool
run_pull_lend(struct run_pull *p, struct span task_type)
{
	int i;

	MAGIC_CHECK(p, PULL_MAGIC);
	i = (int)(conf_handler_find(p->conf, task_type) - p->conf->handlers);
	return guard_lend(p->guards[i], &p->rules[i], clock_now()) != GUARD_NO;
}

void
run_pull_ended(const struct conf *c, struct guard *g, struct wake *w, const struct store_held *held,
    enum guard_result result, int64_t wish)
{
	const struct conf_handler *h = conf_handler_find(c, held->task_type);
	struct guard_end end = { .result = result, .first = held->run == 0, .wish = wish };
	int64_t now = clock_now();
	struct guard_rule rule;
	struct run_guarded told = { .handler = h, .rule = &rule, .wake = w };

	if (g == NULL || h == NULL)
		return;
	told.guard = guard_of(g, held->task_type);
	conf_guard_rule(c, h, &rule);
	run_guard_tell(&told, guard_lent_ended(told.guard, &rule, now - (held->now - held->at), &end, now), now);
}
