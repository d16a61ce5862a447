/* store_shape.c - how old what is in the queues is, for somebody who looks: one statement that reads a bounded number of rows, however many
 * tasks there are.  Logs nothing.  Next: store_queues.c, http/api_shape.c. */
#include <string.h>

#include "store/store_int.h"
#include "store/store_shape.h"

struct looking {
	store_shape_fn *fn;
	void *arg;
};

const int store_shape_minutes[STORE_SHAPE_SPANS - 1] = { 5, 10, 20, 40, 80, 160, 320, 640, 1280 };

/* The rows of one shape follow each other. */
static bool
is_next(const struct store_shape *s, const PGresult *res, int row)
{
	return (int)s->state != (int)col_int(res, row, SQL_SHAPE_STATE) ||
	       !span_eq(s->queue, col_span(res, row, SQL_SHAPE_QUEUE)) ||
	       !span_eq(s->task_type, col_span(res, row, SQL_SHAPE_KIND));
}

static int
read_shapes(const PGresult *res, struct store_shape *shapes)
{
	int n = 0;

	for (int i = 0; i < PQntuples(res) && !col_null(res, i, SQL_SHAPE_QUEUE); i++) {
		int64_t span = col_int(res, i, SQL_SHAPE_SPAN);

		if (n == 0 || is_next(&shapes[n - 1], res, i))
			shapes[n++] = (struct store_shape){
				.queue = col_span(res, i, SQL_SHAPE_QUEUE),
				.task_type = col_span(res, i, SQL_SHAPE_KIND),
				.state = (enum store_shape_state)col_int(res, i, SQL_SHAPE_STATE),
			};
		ASSERT(span >= 0 && span < STORE_SHAPE_SPANS);
		shapes[n - 1].n[span] += col_int(res, i, SQL_SHAPE_N);
	}
	return n;
}

static void
on_shape(struct request *r)
{
	struct looking *g = r->arg;
	bool good = r->status == STORE_OK;
	struct store_shape *shapes = mem_zalloc(sizeof(*shapes) * (size_t)((good ? PQntuples(r->results[0]) : 0) + 1));
	int n = good ? read_shapes(r->results[0], shapes) : 0;

	g->fn(g->arg, good ? STORE_OK : STORE_FAILED, shapes, n, good && col_bool(r->results[0], 0, SQL_SHAPE_LEAST));
	mem_free(&shapes);
	mem_free(&g);
	request_free(&r);
}

void
store_shape(struct store *s, struct span queue, bool by_type, store_shape_fn *fn, void *arg)
{
	struct looking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_shape, g);
	struct stmt *t = request_stmt(r, SQL_SHAPE);

	*g = (struct looking){ .fn = fn, .arg = arg };
	stmt_array(t);
	for (int i = 0; i < STORE_SHAPE_SPANS - 1; i++)
		stmt_int4(t, store_shape_minutes[i]);
	stmt_array_end(t);
	stmt_int4(t, STORE_SHAPE_LANES);
	stmt_int4(t, STORE_SHAPE_RANGES);
	stmt_int4(t, STORE_SHAPE_WAITING);
	stmt_int4(t, STORE_SHAPE_LEASES);
	stmt_int4(t, STORE_SHAPE_CAUSES);
	stmt_int4(t, STORE_SHAPE_LETTERS);
	if (queue.len > 0)
		stmt_text(t, queue);
	else
		stmt_null(t);
	stmt_bool(t, by_type);
	request_send(store_any_pool(s), r);
}
