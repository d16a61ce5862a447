/* store_get.c - one task, read back.
 *
 * To begin and end a statement costs several times as much as to look at one more task, so who asks while another statement is on its
 * way goes with the next one, together with all others who came meanwhile.  One statement is under way at a time, and a second one beside
 * it when the first has been away for BESIDE.  What is answered was seen after it was asked for.  Logs nothing.  Next: store_list.c.
 */
#include <string.h>

#include "store/store_int.h"

#define GETTER_MAGIC 0x5c0a6e77U
#define FLIGHT_MAGIC 0x5c0a6e78U
#define GET_MOST 32 /* in one statement: each may have a megabyte */
#define BESIDE (5 * CLOCK_MS)

struct getting {
	struct list node;
	struct id id;
	int64_t asked_at; /* clock_now() */
	store_row_fn *fn;
	void *arg;
};

struct getter {
	unsigned magic;
	struct store *store;
	struct list waiting;
	struct loop_timer *timer; /* while somebody waits */
	int flying;               /* statements */
	bool closed;
};

/* One statement. */
struct flight {
	unsigned magic;
	struct getter *getter;
	struct list gettings;
};

static void on_get(struct request *r);

/* --- the question -------------------------------------------------------------------------------------------------------- */

static void
bind_ids(struct stmt *t, const struct list *gettings)
{
	struct id least, most;
	struct list *pos, *tmp;
	bool any = false;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, gettings) {
		struct getting *g = container_of(pos, struct getting, node);

		stmt_uuid(t, &g->id);
		if (!any || id_cmp(&g->id, &least) < 0)
			least = g->id;
		if (!any || id_cmp(&g->id, &most) > 0)
			most = g->id;
		any = true;
	}
	ASSERT(any);
	stmt_array_end(t);
	stmt_uuid(t, &least);
	stmt_uuid(t, &most);
}

/* With as many as wait and may go together. */
static void
leave(struct getter *k)
{
	struct flight *f = mem_zalloc(sizeof(*f));
	struct request *r = read_ask(k->store, on_get, f);
	struct list *node;
	int n;

	f->magic = FLIGHT_MAGIC;
	f->getter = k;
	list_init(&f->gettings);
	for (n = 0; n < GET_MOST && (node = list_first(&k->waiting)) != NULL; n++) {
		if (n == 0) /* the oldest: to wait for a flight is to wait */
			r->deadline -= clock_now() - container_of(node, struct getting, node)->asked_at;
		list_remove(node);
		list_push(&f->gettings, node);
	}
	bind_ids(request_stmt(r, SQL_GET), &f->gettings);
	k->flying++;
	request_send(store_any_pool(k->store), r);
}

static void
leave_if_free(struct getter *k)
{
	if (!k->closed && k->flying == 0 && !list_empty(&k->waiting))
		leave(k);
	if (list_empty(&k->waiting))
		loop_timer_clear(k->timer);
	else if (!loop_timer_is_set(k->timer))
		loop_timer_set(k->timer, BESIDE);
}

static void
on_timer(void *arg)
{
	struct getter *k = arg;

	MAGIC_CHECK(k, GETTER_MAGIC);
	if (!k->closed && !list_empty(&k->waiting))
		leave(k);
	leave_if_free(k);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------- */

static void
answer(struct getting *g, enum store_status status, const struct task_row *row)
{
	list_remove(&g->node);
	g->fn(g->arg, status, row);
	mem_free(&g);
}

static void
answer_all(struct list *gettings, enum store_status status)
{
	struct list *node;

	while ((node = list_first(gettings)) != NULL)
		answer(container_of(node, struct getting, node), status, NULL);
}

static void
take_row(struct flight *f, const PGresult *res, int n)
{
	struct list *pos, *tmp;
	struct task_row row;

	row_read_state(res, n, &row);
	read_hide_result(f->getter->store, &row);
	row.percent = (int)col_int(res, n, SQL_GET_PERCENT);
	row.note = col_span(res, n, SQL_GET_NOTE);
	row.said_at = col_time(res, n, SQL_GET_SAID_AT);
	LIST_FOREACH_SAFE (pos, tmp, &f->gettings) { /* who asked twice has two rows */
		struct getting *g = container_of(pos, struct getting, node);

		if (!id_eq(&g->id, &row.id))
			continue;
		answer(g, STORE_OK, &row);
		return;
	}
}

static void
on_get(struct request *r)
{
	struct flight *f = r->arg;
	struct getter *k;
	int n;

	MAGIC_CHECK(f, FLIGHT_MAGIC);
	k = f->getter;
	if (r->status == STORE_OK)
		for (n = 0; n < PQntuples(r->results[0]); n++)
			take_row(f, r->results[0], n);
	answer_all(&f->gettings, r->status == STORE_OK ? STORE_OK : STORE_FAILED);
	request_free(&r);
	f->magic = 0;
	mem_free(&f);
	k->flying--; /* not before: who is answered may ask again at once, and goes with the others */
	leave_if_free(k);
}

/* --- public --------------------------------------------------------------------------------------------------------------- */

void
store_get(struct store *s, const struct id *id, store_row_fn *fn, void *arg)
{
	struct getter *k = s->getter;
	struct getting *g;

	MAGIC_CHECK(k, GETTER_MAGIC);
	if (k->closed)
		return;
	g = mem_zalloc(sizeof(*g));
	g->id = *id;
	g->asked_at = clock_now();
	g->fn = fn;
	g->arg = arg;
	list_push(&k->waiting, &g->node);
	leave_if_free(k);
}

struct getter *
getter_new(struct store *s)
{
	struct getter *k = mem_zalloc(sizeof(*k));

	k->magic = GETTER_MAGIC;
	k->store = s;
	list_init(&k->waiting);
	k->timer = loop_timer_new(s->o.loop, on_timer, k);
	return k;
}

void
getter_close(struct getter *k)
{
	k->closed = true;
	answer_all(&k->waiting, STORE_FAILED);
	loop_timer_clear(k->timer);
}

void
getter_free(struct getter **k)
{
	loop_timer_free(&(*k)->timer);
	(*k)->magic = 0;
	mem_free(k);
}
