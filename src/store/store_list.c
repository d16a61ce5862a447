/* store_list.c - lists: who asks for which page.
 *
 * Whoever asks what another asks already shares its answer, unless the first statement has left: what is answered was
 * seen after everybody had asked.  While a page is on its way its twins gather behind it, so that there is one statement at a time for each
 * question however many ask it.  Logs nothing.  Next: store_page.c.
 */
#include <string.h>

#include "store/store_list.h"

#define LISTER_MAGIC 0x5c0a1158U

struct lister {
	unsigned magic;
	struct store *store;
	struct list listings;
	bool closed;
};

struct caller {
	struct list node;
	void *arg;
};

/* --- who asks what --------------------------------------------------------------------------------------------------- */

static bool
same_question(const struct listing *l, const struct store_filter *f, store_list_fn *fn)
{
	const struct store_filter *g = &l->f;

	return l->fn == fn && g->state == f->state && g->or_state == f->or_state && g->limit == f->limit &&
	       g->offset == f->offset && id_eq(&g->before, &f->before) && span_eq(g->task_type, f->task_type) &&
	       span_eq(g->queue, f->queue) && span_eq(g->tenant, f->tenant) && span_eq(g->key, f->key);
}

/* Nothing of it was read yet. */
static bool
is_open(const struct listing *l)
{
	return !l->begun || (l->first != NULL && request_waits(l->first)) ||
	       (l->look != NULL && question_waits(l->look));
}

/* The one that may be joined, else one that is on its way, else null. */
static struct listing *
find_twin(const struct lister *k, const struct store_filter *f, store_list_fn *fn)
{
	struct listing *flying = NULL;
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &k->listings) {
		struct listing *l = container_of(pos, struct listing, node);

		if (!same_question(l, f, fn))
			continue;
		if (is_open(l))
			return l;
		flying = l;
	}
	return flying;
}

static void
tell_callers(struct listing *l, struct store_page *page)
{
	struct buf made = { 0 };
	struct list *node;

	page->made = &made;
	while ((node = list_first(&l->callers)) != NULL) {
		struct caller *c = container_of(node, struct caller, node);

		list_remove(node);
		l->fn(c->arg, page);
		mem_free(&c);
	}
	page->made = NULL;
	buf_free(&made);
}

static void
listing_free(struct listing *l)
{
	for (int i = 0; i < l->nkept; i++)
		looked_drop(&l->kept[i]);
	arena_free(&l->arena);
	l->magic = 0;
	mem_free(&l);
}

void
list_answer(struct listing *l, enum store_status status, bool more, const struct id *next)
{
	struct store_page page = { .status = status, .rows = l->rows, .nrows = l->nrows, .more = more };
	struct listing *twin;

	page.skipped = l->f.offset - l->skip;
	if (more)
		page.next = *next;
	list_remove(&l->node);
	tell_callers(l, &page);
	twin = find_twin(l->lister, &l->f, l->fn);
	if (twin != NULL && !twin->begun && !l->lister->closed)
		page_begin(twin);
	listing_free(l);
}

/* --- public --------------------------------------------------------------------------------------------------------------- */

static struct listing *
listing_new(struct lister *k, const struct store_filter *f, store_list_fn *fn)
{
	struct listing *l = mem_zalloc(sizeof(*l));

	l->magic = LIST_MAGIC;
	l->lister = k;
	l->store = k->store;
	l->fn = fn;
	l->asked_at = clock_now();
	l->f = *f;
	list_init(&l->callers);
	l->arena = arena_new(4096);
	l->f.queue = arena_span(l->arena, f->queue);
	l->f.task_type = arena_span(l->arena, f->task_type);
	l->f.tenant = arena_span(l->arena, f->tenant);
	l->f.key = arena_span(l->arena, f->key);
	l->rows = arena_alloc(l->arena, sizeof(*l->rows) * (size_t)(f->limit + 1));
	l->ids = arena_alloc(l->arena, sizeof(*l->ids) * (size_t)(f->limit + 1));
	l->kept = arena_alloc(l->arena, sizeof(*l->kept) * (size_t)(f->limit + 1));
	l->skip = f->offset;
	list_push(&k->listings, &l->node);
	return l;
}

void
store_list(struct store *s, const struct store_filter *f, store_list_fn *fn, void *arg)
{
	struct lister *k = s->lister;
	struct listing *twin, *l;
	struct caller *c;

	MAGIC_CHECK(k, LISTER_MAGIC);
	ASSERT(f->limit >= 1 && f->limit <= 1000 && f->offset >= 0);
	if (k->closed)
		return;
	twin = find_twin(k, f, fn);
	l = twin != NULL && is_open(twin) ? twin : listing_new(k, f, fn);
	c = mem_zalloc(sizeof(*c));
	c->arg = arg;
	list_push(&l->callers, &c->node);
	if (twin == NULL)
		page_begin(l);
}

struct lister *
lister_new(struct store *s)
{
	struct lister *k = mem_zalloc(sizeof(*k));

	k->magic = LISTER_MAGIC;
	k->store = s;
	list_init(&k->listings);
	return k;
}

void
lister_close(struct lister *k)
{
	struct list *pos, *tmp;

	k->closed = true;
	LIST_FOREACH_SAFE (pos, tmp, &k->listings) {
		struct listing *l = container_of(pos, struct listing, node);

		if (!l->begun)
			list_answer(l, STORE_FAILED, false, NULL);
	}
}

void
lister_free(struct lister **k)
{
	(*k)->magic = 0;
	mem_free(k);
}
