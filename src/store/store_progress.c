/* store_progress.c - how far runs are, as they said last.
 *
 * A row beside the task, fenced by its lease when it is written and of no meaning when that is gone; so it can be lost, late or left behind
 * and nobody is misled.  Many tasks share one statement.  The keeper's walk takes away what is left behind.  Logs nothing.
 * Next: run/run_progress.c.
 */
#include "store/store_int.h"

#define PURGE_BATCH 500
#define WALK_PAUSE CLOCK_SECOND
#define WALK_REST (60 * CLOCK_SECOND)

struct telling {
	store_progress_fn *fn;
	void *arg;
};

static void
on_told(struct request *r)
{
	struct telling *g = r->arg;

	g->fn(g->arg, read_status(r));
	mem_free(&g);
	request_free(&r);
}

void
store_progress(struct store *s, const struct store_progress *p, int n, store_progress_fn *fn, void *arg)
{
	struct telling *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_told, g);
	struct stmt *t = request_stmt(r, SQL_PULL_PROGRESS);
	int i;

	g->fn = fn;
	g->arg = arg;
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_uuid(t, &p[i].id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int8(t, p[i].lease_id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int2(t, p[i].percent);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_text(t, p[i].note);
	stmt_array_end(t);
	request_send(store_any_pool(s), r);
}

/* --- what is left behind --------------------------------------------------------------------------------------------- */

struct purging {
	struct store *store;
	store_count_fn *fn;
	void *arg;
};

/* The walk begins again when it has come to the end. */
static void
on_purged(struct request *r)
{
	struct purging *g = r->arg;
	struct store *s = g->store;
	int64_t count = 0, next = WALK_REST;

	if (r->status == STORE_OK) {
		count = col_int(r->results[0], 0, SQL_PURGE_PROGRESS_GONE);
		if (col_int(r->results[0], 0, SQL_PURGE_PROGRESS_SEEN) == PURGE_BATCH)
			next = WALK_PAUSE;
		s->progress_seen =
		    next == WALK_PAUSE ? col_id(r->results[0], 0, SQL_PURGE_PROGRESS_LAST) : (struct id){ 0 };
	}
	g->fn(g->arg, r->status, count, next);
	mem_free(&g);
	request_free(&r);
}

void
store_purge_progress(struct store *s, store_count_fn *fn, void *arg)
{
	struct purging *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_purged, g);
	struct stmt *t = request_stmt(r, SQL_PURGE_PROGRESS);

	*g = (struct purging){ .store = s, .fn = fn, .arg = arg };
	stmt_uuid(t, &s->progress_seen);
	stmt_int4(t, PURGE_BATCH);
	request_send(keep_pool(s), r);
}
