/* store_sweep_step.c - the keeper moves a sweep on; see store_sweep.h.
 *
 * A step is one transaction: the sweep is locked, what became of its tasks is counted, letters are moved, and the sweep remembers how far
 * it is.  So a step that is cut was done or was not, and the next one goes on from there; it may be another keeper's.  Logs how sweeps end
 * through the audit only.  Next: sql/queries/sweep_take.sql.
 */
#include <limits.h>

#include "store/store_dead_int.h"
#include "store/store_sweep.h"

#define STEP_LETTERS 500
#define STEP_LOOKS 1000 /* tasks in flight whose end is looked for */

enum { AT_LOCK, AT_SETTLE, AT_TAKE, AT_NEXT }; /* places of the statements */

struct stepping_on {
	struct store *store;
	store_count_fn *fn;
	void *arg;
};

void
store_sweep_guard(struct store *s, const struct store_sweep_guard *g)
{
	s->sweep_room = g->room;
	s->sweep_moved = g->moved;
	s->sweep_arg = g->arg;
}

/* Rows (lane, kind, replays, n). */
static int64_t
take_moved(struct store *s, const PGresult *res)
{
	int64_t all = 0;
	bool replays = false;

	for (int row = 0; row < PQntuples(res); row++) {
		int64_t n = col_int(res, row, SQL_SWEEP_TAKE_N);

		all += n;
		if (!col_bool(res, row, SQL_SWEEP_TAKE_REPLAYS))
			continue;
		replays = true;
		store_wake_lower(s, (int32_t)col_int(res, row, SQL_SWEEP_TAKE_LANE));
		if (s->sweep_moved != NULL)
			s->sweep_moved(s->sweep_arg, col_span(res, row, SQL_SWEEP_TAKE_KIND), (int)n);
	}
	if (replays)
		store_wake_workers(s);
	return all;
}

static void
on_step(struct request *r)
{
	struct stepping_on *g = r->arg;
	int64_t count = 0, next = -1;

	if (r->status == STORE_OK) {
		count = take_moved(g->store, r->results[AT_TAKE]);
		if (PQntuples(r->results[AT_NEXT]) > 0)
			next = col_int(r->results[AT_NEXT], 0, SQL_SWEEP_NEXT_NEXT);
		if (next < 0 && PQntuples(r->results[AT_NEXT]) > 0)
			next = 0; /* due already */
	}
	g->fn(g->arg, r->status, count, next);
	mem_free(&g);
	request_free(&r);
}

static int
room(const struct store *s, int handler)
{
	return s->sweep_room == NULL ? INT_MAX
				     : s->sweep_room(s->sweep_arg, span_of(s->o.conf->handlers[handler].title));
}

/* The task types whose handlers do not bear a whole step. */
static void
bind_rooms(struct stmt *t, const struct store *s)
{
	int n = s->o.conf->nhandlers;
	int *rooms = mem_alloc(sizeof(*rooms) * (size_t)(n + 1));

	stmt_array(t);
	for (int i = 0; i < n; i++)
		if ((rooms[i] = room(s, i)) < STEP_LETTERS)
			stmt_text(t, span_of(s->o.conf->handlers[i].title));
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		if (rooms[i] < STEP_LETTERS)
			stmt_int4(t, rooms[i]);
	stmt_array_end(t);
	mem_free(&rooms);
}

void
store_sweep(struct store *s, store_count_fn *fn, void *arg)
{
	struct stepping_on *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_step, g);
	struct stmt *t;

	*g = (struct stepping_on){ .store = s, .fn = fn, .arg = arg };
	request_stmt(r, SQL_SWEEP_LOCK);
	stmt_int4(request_stmt(r, SQL_SWEEP_SETTLE), STEP_LOOKS);
	t = request_stmt(r, SQL_SWEEP_TAKE);
	stmt_int4(t, STEP_LETTERS);
	stmt_int8(t, store_new_rid(s));
	bind_rooms(t, s);
	request_stmt(r, SQL_SWEEP_NEXT);
	request_send(keep_pool(s), r);
}
