/* store_queues.c - what is in the queues now, for somebody who looks.
 *
 * One statement that reads a bounded number of rows, however many tasks there are; where a bound was met the numbers are the least that
 * there is.  Nothing is remembered: the answer is as old as it took.  Logs nothing.  Next: http/api_queues.c.
 */
#include "store/store_int.h"

#define LANES 1000
#define RANGES 50
#define ROWS 5000

struct looking {
	store_queues_fn *fn;
	void *arg;
};

static struct store_queue
queue_of(const PGresult *res, int row)
{
	struct store_queue q = {
		.name = col_span(res, row, SQL_QUEUES_NAME),
		.ready = col_int(res, row, SQL_QUEUES_READY),
		.oldest_at = col_time(res, row, SQL_QUEUES_OLDEST_AT),
		.waiting = col_int(res, row, SQL_QUEUES_WAITING),
		.due_at = col_time(res, row, SQL_QUEUES_DUE_AT),
		.processing = col_int(res, row, SQL_QUEUES_PROCESSING),
		.least = col_bool(res, row, SQL_QUEUES_LEAST),
		.paused = col_bool(res, row, SQL_QUEUES_PAUSED),
		.now = col_time(res, row, SQL_QUEUES_NOW),
	};

	q.pause = (struct store_pause){
		.what = STORE_PAUSED_QUEUE,
		.name = q.name,
		.why = col_span(res, row, SQL_QUEUES_WHY),
		.by = col_span(res, row, SQL_QUEUES_BY),
		.at = col_time(res, row, SQL_QUEUES_AT),
	};
	return q;
}

static void
on_queues(struct request *r)
{
	struct looking *g = r->arg;
	int n = read_rows(r);
	struct store_queue *queues = mem_zalloc(sizeof(*queues) * (size_t)(n + 1));
	int i;

	for (i = 0; i < n; i++)
		queues[i] = queue_of(r->results[0], i);
	g->fn(g->arg, read_status(r), queues, n);
	mem_free(&queues);
	mem_free(&g);
	request_free(&r);
}

void
store_queues(struct store *s, store_queues_fn *fn, void *arg)
{
	struct looking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_queues, g);
	struct stmt *t = request_stmt(r, SQL_QUEUES);

	g->fn = fn;
	g->arg = arg;
	stmt_int4(t, LANES);
	stmt_int4(t, RANGES);
	stmt_int4(t, ROWS);
	stmt_int4(t, STORE_QUEUES);
	request_send(store_any_pool(s), r);
}
