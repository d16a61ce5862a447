/* store_read.c - tasks read back: rows, and which are final.
 *
 * The state of a task is not stored; it follows from the rows and comes computed.  Reads are repeated after a lost line: they change
 * nothing.  Logs nothing.  Next: store_get.c.
 */
#include <string.h>

#include "store/store_int.h"

#define AWAY_PATIENCE (2 * CLOCK_SECOND) /* for a database that is away when the question comes */

/* --- columns ------------------------------------------------------------------------------------------------------- */

void
row_read(const PGresult *res, int row, int lane_column, struct task_row *r)
{
	int c = lane_column;
	struct span options;

	r->lane = (int32_t)col_int(res, row, c++);
	r->queue = col_span(res, row, c++);
	r->task_type = col_span(res, row, c++);
	r->group = col_span(res, row, c++);
	r->ordering_key = col_span(res, row, c++);
	r->priority = -(int)col_int(res, row, c++);
	r->max_attempts = (int)col_int(res, row, c++);
	r->created_at = col_time(res, row, c++);
	r->run_at = col_time(res, row, c++);
	options = col_span(res, row, c++);
	r->payload = col_span(res, row, c++);
	if (options.len > 0 && !task_options_unpack(options, r)) {
		r->schema_version = r->trace_id = (struct span){ NULL, 0 };
		r->nlabels = 0;
	}
}

/* A whole row of get. */
void
row_read_state(const PGresult *res, int row, struct task_row *r)
{
	const char *class;

	memset(r, 0, sizeof(*r));
	r->id = col_id(res, row, SQL_GET_ID);
	row_read(res, row, SQL_GET_LANE, r);
	r->state = (enum task_state)col_int(res, row, SQL_GET_STATE);
	r->run = (int)col_int(res, row, SQL_GET_RUN);
	r->attempts = (int)col_int(res, row, SQL_GET_ATTEMPTS);
	r->crashes = (int)col_int(res, row, SQL_GET_CRASHES);
	r->updated_at = col_time(res, row, SQL_GET_UPDATED_AT);
	r->finished_at = col_time(res, row, SQL_GET_FINISHED_AT);
	r->result = col_span(res, row, SQL_GET_RESULT);
	r->last_error = col_span(res, row, SQL_GET_MESSAGE);
	r->error_code = col_span(res, row, SQL_GET_CODE);
	class = task_class_name((enum task_class)col_int(res, row, SQL_GET_CLASS));
	r->error_class = span_of(class);
}

void
read_hide_result(const struct store *s, struct task_row *row)
{
	if (row->result.len > 0 && store_db_now(s) - row->finished_at >= store_result_life(s->o.conf, row->queue))
		row->result = (struct span){ NULL, 0 };
}

struct request *
read_request(struct store *s, request_fn *fn, void *arg)
{
	struct request *r = request_new(fn, arg);

	r->repeat = true;
	r->deadline = clock_now() + s->o.conf->postgres.deadline;
	return r;
}

enum store_status
read_status(const struct request *r)
{
	return r->status == STORE_OK ? STORE_OK : STORE_FAILED;
}

int
read_rows(const struct request *r)
{
	return r->status == STORE_OK ? PQntuples(r->results[0]) : 0;
}

enum store_status
act_status(const struct request *r)
{
	return r->status == STORE_REFUSED ? STORE_FAILED : r->status;
}

struct request *
read_ask(struct store *s, request_fn *fn, void *arg)
{
	struct request *r = read_request(s, fn, arg);
	int64_t patience = clock_now() + AWAY_PATIENCE;

	if (pool_up(store_any_pool(s)) == 0 && r->deadline > patience)
		r->deadline = patience;
	return r;
}

/* --- which are final ------------------------------------------------------------------------------------------------ */

struct settling {
	int n;
	store_settled_fn *fn;
	void *arg;
};

static void
on_settled(struct request *r)
{
	struct settling *g = r->arg;
	bool *settled = mem_zalloc(sizeof(bool) * (size_t)g->n);
	int64_t at;
	int row;

	for (row = 0; r->status == STORE_OK && row < PQntuples(r->results[0]); row++) {
		at = col_int(r->results[0], row, SQL_SETTLED_N) - 1;
		ASSERT(at >= 0 && at < g->n);
		settled[at] = true;
	}
	g->fn(g->arg, read_status(r), settled);
	mem_free(&settled);
	mem_free(&g);
	request_free(&r);
}

void
store_settled(struct store *s, const struct id *ids, int n, store_settled_fn *fn, void *arg)
{
	struct settling *g = mem_zalloc(sizeof(*g));
	struct request *r = read_ask(s, on_settled, g);
	struct stmt *t = request_stmt(r, SQL_SETTLED);
	int i;

	ASSERT(n > 0);
	g->n = n;
	g->fn = fn;
	g->arg = arg;
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_uuid(t, &ids[i]);
	stmt_array_end(t);
	request_send(store_any_pool(s), r);
}
