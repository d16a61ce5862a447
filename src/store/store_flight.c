/* store_flight.c - tasks, read back together.
 *
 * To begin and end a statement costs several times as much as to look at one more task, so who asks while another statement is on its
 * way goes with the next one, together with all others who came meanwhile: one task, or those of a page.  One statement is under way at a
 * time, and a second one beside it when somebody has waited for a while.  What is answered was seen after it was asked for.  Logs nothing.
 * Next: store_get.c, store_stretch.c.
 */
#include <string.h>

#include "store/store_flight.h"

#define FLIGHTS_MAGIC 0x5c0a6e77U
#define FLIGHT_MAGIC 0x5c0a6e78U
#define FLIGHT_LEAST 32 /* tasks in a statement */

struct looked {
	PGresult *res;
	int holders;
};

struct flights {
	unsigned magic;
	struct store *store;
	const struct flight_kind *kind;
	struct list waiting;
	struct loop_timer *timer; /* while somebody waits */
	int flying;               /* statements */
	int64_t width;            /* bytes of a task, lately */
	bool closed;
};

/* One statement. */
struct flight {
	unsigned magic;
	struct flights *flights;
	struct list questions;
	int n; /* rows of all of them */
};

static void on_answer(struct request *r);

/* --- the question -------------------------------------------------------------------------------------------------------- */

static int
flight_room(const struct flights *k)
{
	int64_t n = FLIGHT_BYTES / (k->width + 1);

	return n < FLIGHT_LEAST ? FLIGHT_LEAST : n > k->kind->most ? k->kind->most : (int)n;
}

/* With as many as wait and may go together. */
static void
leave(struct flights *k)
{
	struct flight *f = mem_zalloc(sizeof(*f));
	struct request *r = read_ask(k->store, on_answer, f);
	int room = flight_room(k);
	struct list *node;

	f->magic = FLIGHT_MAGIC;
	f->flights = k;
	list_init(&f->questions);
	while ((node = list_first(&k->waiting)) != NULL) {
		struct question *q = container_of(node, struct question, node);

		if (f->n > 0 && f->n + q->n > room)
			break;
		if (f->n == 0) /* the oldest: to wait for a flight is to wait */
			r->deadline -= clock_now() - q->asked_at;
		f->n += q->n;
		q->request = r;
		list_remove(node);
		list_push(&f->questions, node);
	}
	k->kind->bind(request_stmt(r, k->kind->sql), &f->questions);
	k->flying++;
	request_send(store_any_pool(k->store), r);
}

static void
leave_if_free(struct flights *k)
{
	if (!k->closed && k->flying == 0 && !list_empty(&k->waiting))
		leave(k);
	if (list_empty(&k->waiting))
		loop_timer_clear(k->timer);
	else if (!loop_timer_is_set(k->timer))
		loop_timer_set(k->timer, k->kind->beside);
}

static void
on_timer(void *arg)
{
	struct flights *k = arg;

	MAGIC_CHECK(k, FLIGHTS_MAGIC);
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
answer(struct question *q, enum store_status status, const struct task_row *rows, int n, struct looked *from)
{
	list_remove(&q->node);
	if (q->look_fn != NULL)
		q->look_fn(q->arg, status, rows, n, from);
	else
		q->row_fn(q->arg, status, rows == NULL || id_is_zero(&rows[0].id) ? NULL : &rows[0]);
	mem_free(&q);
}

static void
fail_all(struct list *questions)
{
	struct list *node;

	while ((node = list_first(questions)) != NULL)
		answer(container_of(node, struct question, node), STORE_FAILED, NULL, 0, NULL);
}

/* Who was not looked at comes before those who wait. */
static void
wait_again(struct flight *f)
{
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &f->questions)
		container_of(pos, struct question, node)->request = NULL;
	list_append_all(&f->questions, &f->flights->waiting);
	list_append_all(&f->flights->waiting, &f->questions);
}

static void
answer_all(struct flight *f, PGresult *res)
{
	struct task_row *rows = mem_zalloc(sizeof(*rows) * (size_t)f->n);
	struct looked *from = mem_zalloc(sizeof(*from));
	struct flights *k = f->flights;
	struct list *node;
	int64_t bytes = 0;
	int at = 0, looked;

	from->res = res;
	from->holders = 1;
	looked = k->kind->take(k->store, &f->questions, res, rows, f->n, &bytes);
	ASSERT(looked >= 1 && looked <= f->n);
	k->width = (3 * k->width + bytes / looked) / 4;
	while (at < looked && (node = list_first(&f->questions)) != NULL) {
		struct question *q = container_of(node, struct question, node);
		int n = q->n < looked - at ? q->n : looked - at;

		answer(q, STORE_OK, rows + at, n, from);
		at += n;
	}
	if (!k->closed)
		wait_again(f);
	looked_drop(&from);
	mem_free(&rows);
}

static void
on_answer(struct request *r)
{
	struct flight *f = r->arg;
	struct flights *k;

	MAGIC_CHECK(f, FLIGHT_MAGIC);
	k = f->flights;
	if (r->status == STORE_OK) {
		answer_all(f, r->results[0]);
		r->results[0] = NULL;
	}
	fail_all(&f->questions);
	request_free(&r);
	f->magic = 0;
	mem_free(&f);
	k->flying--; /* not before: who is answered may ask again at once, and goes with the others */
	leave_if_free(k);
}

/* --- who asks ------------------------------------------------------------------------------------------------------------- */

struct question *
question_new(int n)
{
	struct question *q = mem_zalloc(sizeof(*q) + sizeof(q->ids[0]) * (size_t)n);

	q->n = n;
	q->asked_at = clock_now();
	return q;
}

bool
question_waits(const struct question *q)
{
	return q->request == NULL || request_waits(q->request);
}

bool
flights_ask(struct flights *k, struct question *q)
{
	MAGIC_CHECK(k, FLIGHTS_MAGIC);
	if (k->closed)
		return false;
	list_push(&k->waiting, &q->node);
	leave_if_free(k);
	return true;
}

struct flights *
flights_new(struct store *s, const struct flight_kind *kind)
{
	struct flights *k = mem_zalloc(sizeof(*k));

	k->magic = FLIGHTS_MAGIC;
	k->store = s;
	k->kind = kind;
	k->width = FLIGHT_BYTES / FLIGHT_LEAST;
	list_init(&k->waiting);
	k->timer = loop_timer_new(s->o.loop, on_timer, k);
	return k;
}

void
flights_close(struct flights *k)
{
	k->closed = true;
	fail_all(&k->waiting);
	loop_timer_clear(k->timer);
}

void
flights_free(struct flights **k)
{
	loop_timer_free(&(*k)->timer);
	(*k)->magic = 0;
	mem_free(k);
}
