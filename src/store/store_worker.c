/* store_worker.c - a worker process as Postgres knows it: identity, heartbeat, lanes.
 *
 * The identity is a row of `worker` whose key, inc, is the writer of this life of the process: never reused, so a lease says for ever
 * whose it was.  When the row is gone somebody declared this worker dead; then there is a new writer, a new row, and the old leases are
 * others' business.  The heartbeat touches that row only.  Lanes are read in one plain statement that also yields the low-water marks of
 * the claims; a mark holds until rows are put below it.  Logs the identity.  Next: store_step.c.
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
	arena_free(&(*w)->names);
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
	store_beat_fn *fn;
	void *arg;
};

static void
on_beat(struct request *r)
{
	struct beating *g = r->arg;
	struct store_worker *w = g->worker;
	struct store_beat b = { .status = r->status == STORE_OK ? STORE_OK : STORE_FAILED };
	struct id *cancelled = NULL;
	int i;

	MAGIC_CHECK(w, WORKER_MAGIC);
	if (r->status == STORE_OK && g->inc != 0) {
		b.lost = PQntuples(r->results[0]) == 0;
		b.ncancelled = PQntuples(r->results[1]);
		cancelled = mem_zalloc(sizeof(*cancelled) * (size_t)(b.ncancelled + 1));
		for (i = 0; i < b.ncancelled; i++)
			cancelled[i] = col_id(r->results[1], i, SQL_WORKER_CANCELLED_ID);
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

void
store_beat(struct store *s, store_beat_fn *fn, void *arg)
{
	struct store_worker *w = s->worker;
	struct beating *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_beat, g);

	ASSERT(w != NULL);
	g->worker = w;
	g->inc = w->inc;
	g->fn = fn;
	g->arg = arg;
	stmt_int4(request_stmt(r, SQL_WORKER_BEAT), g->inc);
	stmt_int4(request_stmt(r, SQL_WORKER_CANCELLED), g->inc);
	request_send(w->pool, r);
}

/* --- lanes -------------------------------------------------------------------------------------------------------------- */

struct looking {
	struct store *store;
	store_lanes_fn *fn;
	void *arg;
	uint32_t lower[WAKE_LANES]; /* as it was before the read: what is lowered meanwhile counts */
};

static int
compare_lane(const void *a, const void *b)
{
	const struct lane_info *x = a, *y = b;

	return (x->lane > y->lane) - (x->lane < y->lane);
}

struct lane_info *
worker_lane(struct store_worker *w, int32_t lane)
{
	struct lane_info key = { .lane = lane };

	if (w->nlanes == 0)
		return NULL;
	return bsearch(&key, w->lanes, (size_t)w->nlanes, sizeof(key), compare_lane);
}

/* The names live until the next read. */
static void
keep_lanes(struct store_worker *w, const struct store_lane *lanes, int n, const uint32_t *lower)
{
	struct lane_info *l;
	int i;

	arena_reset(w->names);
	w->lanes = arena_alloc(w->names, sizeof(*w->lanes) * (size_t)(n + 1));
	w->nlanes = n;
	for (i = 0; i < n; i++) {
		l = &w->lanes[i];
		l->lane = lanes[i].lane;
		l->queue = arena_span(w->names, lanes[i].queue);
		l->task_type = arena_span(w->names, lanes[i].task_type);
		l->group = arena_span(w->names, lanes[i].group);
		l->ordering_key = arena_span(w->names, lanes[i].ordering_key);
		l->marked = lanes[i].ready;
		l->prio = lanes[i].prio;
		l->start = lanes[i].head;
		l->lower = lower[(uint32_t)lanes[i].lane % WAKE_LANES];
	}
	qsort(w->lanes, (size_t)n, sizeof(*w->lanes), compare_lane);
}

static void
on_lanes(struct request *r)
{
	struct looking *g = r->arg;
	const PGresult *res = r->results[0];
	int i, n = r->status == STORE_OK ? PQntuples(res) : 0;
	struct store_lane *lanes = mem_zalloc(sizeof(*lanes) * (size_t)(n + 1));

	for (i = 0; i < n; i++) {
		lanes[i].lane = (int32_t)col_int(res, i, SQL_LANE_HEADS_LANE);
		lanes[i].queue = col_span(res, i, SQL_LANE_HEADS_QUEUE);
		lanes[i].task_type = col_span(res, i, SQL_LANE_HEADS_KIND);
		lanes[i].group = col_span(res, i, SQL_LANE_HEADS_GRP);
		lanes[i].ordering_key = col_span(res, i, SQL_LANE_HEADS_ORD);
		lanes[i].paused = col_bool(res, i, SQL_LANE_HEADS_PAUSED);
		lanes[i].ready = !col_null(res, i, SQL_LANE_HEADS_PRIO);
		lanes[i].prio = (int)col_int(res, i, SQL_LANE_HEADS_PRIO);
		lanes[i].head = col_id(res, i, SQL_LANE_HEADS_START);
	}
	if (r->status == STORE_OK && g->store->worker != NULL)
		keep_lanes(g->store->worker, lanes, n, g->lower);
	g->fn(g->arg, r->status == STORE_OK ? STORE_OK : STORE_FAILED, lanes, n);
	mem_free(&lanes);
	mem_free(&g);
	request_free(&r);
}

void
store_lanes(struct store *s, store_lanes_fn *fn, void *arg)
{
	struct looking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_lanes, g);
	int i;

	g->store = s;
	g->fn = fn;
	g->arg = arg;
	for (i = 0; s->o.wake != NULL && i < WAKE_LANES; i++)
		g->lower[i] = wake_lane_lower_count(s->o.wake, i);
	request_stmt(r, SQL_LANE_HEADS);
	request_send(store_any_pool(s), r);
}
