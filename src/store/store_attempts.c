/* store_attempts.c - how the runs of one task ended, read back.  Logs nothing.  Next: http/api_attempts.c. */
#include "store/store_attempts.h"
#include "store/store_int.h"

struct recalling {
	store_attempts_fn *fn;
	void *arg;
};

void
attempt_read(const PGresult *res, int row, int run_column, struct store_attempt *a)
{
	int c = run_column;

	a->run = (int)col_int(res, row, c++);
	a->how = (enum store_attempt_how)col_int(res, row, c++);
	a->worker = col_int(res, row, c++);
	a->started_at = col_time(res, row, c++);
	a->ended_at = col_time(res, row, c++);
	if (a->started_at > a->ended_at) /* by the clock of the worker, which is about that of the database */
		a->started_at = a->ended_at;
	a->class = (enum task_class)col_int(res, row, c++);
	a->code = col_span(res, row, c++);
	a->message = col_span(res, row, c++);
	a->exit = (int)col_int_or(res, row, c++, -1);
	a->tail = col_span(res, row, c++);
	a->node = col_span(res, row, c++);
}

static void
on_attempts(struct request *r)
{
	struct recalling *g = r->arg;
	int rows = read_rows(r);
	bool found = rows > 0;
	struct store_attempt *all = mem_zalloc(sizeof(*all) * (size_t)(rows + 1));

	if (found && col_null(r->results[0], 0, SQL_ATTEMPTS_RUN))
		rows = 0;
	for (int i = 0; i < rows; i++)
		attempt_read(r->results[0], rows - 1 - i, SQL_ATTEMPTS_RUN, &all[i]);
	g->fn(g->arg, read_status(r), found ? all : NULL, rows);
	mem_free(&all);
	mem_free(&g);
	request_free(&r);
}

void
store_attempts(struct store *s, const struct id *id, store_attempts_fn *fn, void *arg)
{
	struct recalling *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_attempts, g);
	struct stmt *t = request_stmt(r, SQL_ATTEMPTS);

	g->fn = fn;
	g->arg = arg;
	stmt_uuid(t, id);
	stmt_int4(t, STORE_ATTEMPTS);
	request_send(store_any_pool(s), r);
}
