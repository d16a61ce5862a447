/* store_worker.c - a worker process as Postgres knows it: identity, heartbeat, lanes.
 *
 * The identity is a row of `worker` whose key, inc, is the writer of this life of the process: never reused, so a lease says for ever
 * whose it was.  When the row is gone somebody declared this worker dead; then there is a new writer, a new row, and the old leases are
 * others' business.  The heartbeat touches that row only.
 * Logs the identity.  Next: store_look.c, store_step.c.
 */
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

#define WORKER_MAGIC 0x5c0a3041U
#define AGAIN_AFTER CLOCK_SECOND

/* --- identity ------------------------------------------------------------------------------------------------------ */

static void
on_registered(struct request *r)
{
	struct store_worker *w = r->arg;
	bool good = r->status == STORE_OK;

	MAGIC_CHECK(w, WORKER_MAGIC);
	w->registering = false;
	request_free(&r);
	if (pool_closing(w->pool))
		return;
	if (good && w->asked == w->store->writer) {
		w->inc = w->asked;
		w->seq = 0;
		log_info("registered as a worker", log_int("inc", w->inc));
		step_send(w);
	} else {
		loop_timer_set(w->timer, AGAIN_AFTER);
	}
}

void
worker_register(struct store_worker *w)
{
	struct store *s = w->store;
	struct request *r;
	struct stmt *t;

	if (w->inc != 0 || w->registering || s->writer == 0 || pool_closing(w->pool))
		return;
	w->registering = true;
	w->asked = s->writer;
	r = request_new(on_registered, w);
	r->repeat = true; /* the same row twice is one row */
	t = request_stmt(r, SQL_WORKER_NEW);
	stmt_int4(t, w->asked);
	stmt_text(t, span_of(s->o.node));
	stmt_uuid(t, &s->o.boot);
	stmt_array(t);
	for (int i = 0; i < s->o.conf->nhandlers; i++)
		stmt_text(t, span_of(s->o.conf->handlers[i].title));
	stmt_array_end(t);
	stmt_home(t, s);
	request_send(w->pool, r);
}

void
worker_lose(struct store_worker *w)
{
	w->inc = 0;
	w->seq = 0;
	lease_table_clear(&w->leases);
	store_ask_writer(w->store);
}

static void
on_timer(void *arg)
{
	struct store_worker *w = arg;

	MAGIC_CHECK(w, WORKER_MAGIC);
	worker_register(w);
	step_send(w);
}

struct store_worker *
worker_new(struct store *s, struct store_pool *pool)
{
	struct store_worker *w = mem_zalloc(sizeof(*w));

	w->magic = WORKER_MAGIC;
	w->store = s;
	w->pool = pool;
	w->timer = loop_timer_new(s->o.loop, on_timer, w);
	w->names = arena_new(1024);
	lease_table_init(&w->leases);
	return w;
}

void
worker_free(struct store_worker **w)
{
	if (*w == NULL)
		return;
	step_close(*w);
	loop_timer_free(&(*w)->timer);
	lease_table_clear(&(*w)->leases);
	buf_free(&(*w)->step.lease_ids);
	buf_free(&(*w)->step.finish);
	arena_free(&(*w)->names);
	mem_free(&(*w)->lanes);
	(*w)->magic = 0;
	mem_free(w);
}

int64_t
store_worker_inc(const struct store *s)
{
	return s->worker != NULL ? s->worker->inc : 0;
}

/* --- heartbeat --------------------------------------------------------------------------------------------------------- */

struct beating {
	struct store_worker *worker;
	int32_t inc; /* 0: not registered yet, then there is no row and nothing lost */
	int64_t asked_at;
	store_beat_fn *fn;
	void *arg;
};

static void
on_beat(struct request *r)
{
	struct beating *g = r->arg;
	struct store_worker *w = g->worker;
	struct store_beat b = { .status = read_status(r) };
	struct id *cancelled = NULL;
	int i;

	MAGIC_CHECK(w, WORKER_MAGIC);
	if (r->status == STORE_OK && g->inc != 0) {
		b.lost = PQntuples(r->results[0]) == 0;
		if (!b.lost)
			health_clock_told(w->store, col_time(r->results[0], 0, SQL_WORKER_BEAT_CLOCK),
			    &(struct hello_time){ g->asked_at, clock_now() });
		cancelled = mem_zalloc(sizeof(*cancelled) * (size_t)(PQntuples(r->results[0]) + 1));
		for (i = 0; i < PQntuples(r->results[0]); i++)
			if (!col_null(r->results[0], i, SQL_WORKER_BEAT_ID))
				cancelled[b.ncancelled++] = col_id(r->results[0], i, SQL_WORKER_BEAT_ID);
		b.cancelled = cancelled;
	}
	if (b.lost && g->inc == w->inc) {
		log_warning("declared dead: other workers have the tasks", log_int("inc", w->inc));
		worker_lose(w);
	}
	g->fn(g->arg, &b);
	mem_free(&cancelled);
	mem_free(&g);
	request_free(&r);
}

/* The first id of each of its leases, or the last. */
static void
bind_leases(const struct store_worker *w, struct stmt *t, bool last)
{
	const struct list *pos;

	stmt_array(t);
	for (int i = 0; i < LEASE_BUCKETS; i++) {
		const struct list *head = &w->leases.buckets[i];

		for (pos = head->next; pos != head; pos = pos->next) {
			const struct open_lease *l = container_of(pos, struct open_lease, node);

			stmt_uuid(t, last ? &l->lease.hi : &l->lease.lo);
		}
	}
	stmt_array_end(t);
}

void
store_beat(struct store *s, store_beat_fn *fn, void *arg)
{
	struct store_worker *w = s->worker;
	struct beating *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_beat, g);
	struct stmt *t = request_stmt(r, SQL_WORKER_BEAT);

	ASSERT(w != NULL);
	g->worker = w;
	g->inc = w->inc;
	g->asked_at = clock_now();
	g->fn = fn;
	g->arg = arg;
	stmt_int4(t, g->inc);
	stmt_int8(t, w->seq);
	bind_leases(w, t, false);
	bind_leases(w, t, true);
	request_send(w->pool, r);
}
