/* store_get.c - tasks, read back by their ids.
 *
 * To begin and end a statement costs several times as much as to look at one more task, so who asks while another statement is on its
 * way goes with the next one, together with all others who came meanwhile: one task, or those of a page.  One statement is under way at a
 * time, and a second one beside it when the first has been away for BESIDE.  What is answered was seen after it was asked for.  Logs nothing.
 * Next: store_list.c.
 */
#include <string.h>

#include "store/store_int.h"

#define GETTER_MAGIC 0x5c0a6e77U
#define FLIGHT_MAGIC 0x5c0a6e78U
#define FLIGHT_LEAST 32        /* ids in a statement; */
#define FLIGHT_MOST 256        /* more while tasks are small */
#define FLIGHT_BYTES (8 << 20) /* the task that reaches it is the last that is looked at */
#define BESIDE (5 * CLOCK_MS)

struct getting {
	struct list node;
	int64_t asked_at;     /* clock_now() */
	store_row_fn *row_fn; /* one of them is there */
	look_fn *look_fn;
	void *arg;
	int n;
	struct id ids[];
};

struct looked {
	PGresult *res;
	int holders;
};

struct getter {
	unsigned magic;
	struct store *store;
	struct list waiting;
	struct loop_timer *timer; /* while somebody waits */
	int flying;               /* statements */
	int64_t width;            /* bytes of a task, lately */
	bool closed;
};

/* One statement. */
struct flight {
	unsigned magic;
	struct getter *getter;
	struct list gettings;
	int n; /* ids of all of them */
};

static void on_get(struct request *r);

/* --- the question -------------------------------------------------------------------------------------------------------- */

static void
bind_ids(struct stmt *t, const struct list *gettings)
{
	struct id least = { { 0 } }, most = { { 0 } };
	struct list *pos, *tmp;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, gettings) {
		struct getting *g = container_of(pos, struct getting, node);

		for (int i = 0; i < g->n; i++) {
			stmt_uuid(t, &g->ids[i]);
			if (id_is_zero(&least) || id_cmp(&g->ids[i], &least) < 0)
				least = g->ids[i];
			if (id_cmp(&g->ids[i], &most) > 0)
				most = g->ids[i];
		}
	}
	stmt_array_end(t);
	stmt_uuid(t, &least);
	stmt_uuid(t, &most);
	stmt_int8(t, FLIGHT_BYTES);
}

static int
flight_room(const struct getter *k)
{
	int64_t n = FLIGHT_BYTES / (k->width + 1);

	return n < FLIGHT_LEAST ? FLIGHT_LEAST : n > FLIGHT_MOST ? FLIGHT_MOST : (int)n;
}

/* With as many as wait and may go together. */
static void
leave(struct getter *k)
{
	struct flight *f = mem_zalloc(sizeof(*f));
	struct request *r = read_ask(k->store, on_get, f);
	int room = flight_room(k);
	struct list *node;

	f->magic = FLIGHT_MAGIC;
	f->getter = k;
	list_init(&f->gettings);
	while ((node = list_first(&k->waiting)) != NULL) {
		struct getting *g = container_of(node, struct getting, node);

		if (f->n > 0 && f->n + g->n > room)
			break;
		if (f->n == 0) /* the oldest: to wait for a flight is to wait */
			r->deadline -= clock_now() - g->asked_at;
		f->n += g->n;
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

struct looked *
looked_keep(struct looked *l)
{
	l->holders++;
	return l;
}

void
looked_drop(struct looked **l)
{
	if (--(*l)->holders == 0) {
		PQclear((*l)->res);
		mem_free(l);
	}
	*l = NULL;
}

static void
answer(struct getting *g, enum store_status status, const struct task_row *rows, int n, struct looked *from)
{
	list_remove(&g->node);
	if (g->look_fn != NULL)
		g->look_fn(g->arg, status, rows, n, from);
	else
		g->row_fn(g->arg, status, rows == NULL || id_is_zero(&rows[0].id) ? NULL : &rows[0]);
	mem_free(&g);
}

static void
fail_all(struct list *gettings)
{
	struct list *node;

	while ((node = list_first(gettings)) != NULL)
		answer(container_of(node, struct getting, node), STORE_FAILED, NULL, 0, NULL);
}

/* Rows at their places; returns how many ids were looked at. */
static int
take_rows(struct getter *k, const PGresult *res, struct task_row *rows, int nrows)
{
	int64_t bytes = 0, n = 0;

	for (int i = 0; i < PQntuples(res); i++) {
		struct task_row *row;

		n = col_int(res, i, SQL_GET_N);
		ASSERT(n >= 1 && n <= nrows);
		row = &rows[n - 1];
		row_read_state(res, i, row);
		bytes = col_int(res, i, SQL_GET_BYTES);
		read_hide_result(k->store, row);
		row->percent = (int)col_int(res, i, SQL_GET_PERCENT);
		row->note = col_span(res, i, SQL_GET_NOTE);
		row->said_at = col_time(res, i, SQL_GET_SAID_AT);
	}
	if (bytes < FLIGHT_BYTES)
		n = nrows;
	k->width = (3 * k->width + bytes / n) / 4;
	return (int)n;
}

static void
answer_all(struct flight *f, PGresult *res)
{
	struct task_row *rows = mem_zalloc(sizeof(*rows) * (size_t)f->n);
	struct looked *from = mem_zalloc(sizeof(*from));
	struct getter *k = f->getter;
	struct list *node;
	int at = 0, looked;

	from->res = res;
	from->holders = 1;
	looked = take_rows(k, res, rows, f->n);
	while (at < looked && (node = list_first(&f->gettings)) != NULL) {
		struct getting *g = container_of(node, struct getting, node);
		int n = g->n < looked - at ? g->n : looked - at;

		answer(g, STORE_OK, rows + at, n, from);
		at += n;
	}
	if (!k->closed) { /* who was not looked at comes before those who wait */
		list_append_all(&f->gettings, &k->waiting);
		list_append_all(&k->waiting, &f->gettings);
	}
	looked_drop(&from);
	mem_free(&rows);
}

static void
on_get(struct request *r)
{
	struct flight *f = r->arg;
	struct getter *k;

	MAGIC_CHECK(f, FLIGHT_MAGIC);
	k = f->getter;
	if (r->status == STORE_OK) {
		answer_all(f, r->results[0]);
		r->results[0] = NULL;
	}
	fail_all(&f->gettings);
	request_free(&r);
	f->magic = 0;
	mem_free(&f);
	k->flying--; /* not before: who is answered may ask again at once, and goes with the others */
	leave_if_free(k);
}

/* --- public --------------------------------------------------------------------------------------------------------------- */

static void
wait_for_flight(struct getter *k, const struct id *ids, struct getting get)
{
	struct getting *g = mem_zalloc(sizeof(*g) + sizeof(g->ids[0]) * (size_t)get.n);

	*g = get;
	memcpy(g->ids, ids, sizeof(g->ids[0]) * (size_t)get.n);
	g->asked_at = clock_now();
	list_push(&k->waiting, &g->node);
	leave_if_free(k);
}

void
store_get(struct store *s, const struct id *id, store_row_fn *fn, void *arg)
{
	MAGIC_CHECK(s->getter, GETTER_MAGIC);
	if (!s->getter->closed)
		wait_for_flight(s->getter, id, (struct getting){ .row_fn = fn, .arg = arg, .n = 1 });
}

void
store_look_up(struct store *s, const struct id *ids, int n, look_fn *fn, void *arg)
{
	MAGIC_CHECK(s->getter, GETTER_MAGIC);
	ASSERT(n >= 1 && n <= LOOK_MOST);
	if (s->getter->closed)
		fn(arg, STORE_FAILED, NULL, 0, NULL);
	else
		wait_for_flight(s->getter, ids, (struct getting){ .look_fn = fn, .arg = arg, .n = n });
}

struct getter *
getter_new(struct store *s)
{
	struct getter *k = mem_zalloc(sizeof(*k));

	k->magic = GETTER_MAGIC;
	k->store = s;
	k->width = FLIGHT_BYTES / FLIGHT_LEAST;
	list_init(&k->waiting);
	k->timer = loop_timer_new(s->o.loop, on_timer, k);
	return k;
}

void
getter_close(struct getter *k)
{
	k->closed = true;
	fail_all(&k->waiting);
	loop_timer_clear(k->timer);
}

void
getter_free(struct getter **k)
{
	loop_timer_free(&(*k)->timer);
	(*k)->magic = 0;
	mem_free(k);
}
