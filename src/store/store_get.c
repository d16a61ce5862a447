/* store_get.c - tasks, read back by their ids.  Logs nothing.  Next: store_stretch.c. */
#include <string.h>

#include "store/store_flight.h"

static void
bind_firsts(struct stmt *t, const struct list *questions)
{
	struct list *pos, *tmp;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, questions) {
		struct question *q = container_of(pos, struct question, node);

		for (int i = 0; i < q->n; i++) {
			struct id first = task_id_at(&q->ids[i], 0);

			stmt_uuid(t, &first);
		}
	}
	stmt_array_end(t);
}

static void
bind_ids(struct stmt *t, const struct list *questions)
{
	struct id least = { { 0 } }, most = { { 0 } };
	struct list *pos, *tmp;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, questions) {
		struct question *q = container_of(pos, struct question, node);

		for (int i = 0; i < q->n; i++) {
			stmt_uuid(t, &q->ids[i]);
			if (id_is_zero(&least) || id_cmp(&q->ids[i], &least) < 0)
				least = q->ids[i];
			if (id_cmp(&q->ids[i], &most) > 0)
				most = q->ids[i];
		}
	}
	stmt_array_end(t);
	stmt_uuid(t, &least);
	stmt_uuid(t, &most);
	stmt_int8(t, FLIGHT_BYTES);
	bind_firsts(t, questions);
}

static int
take_rows(const struct store *s, const struct list *questions, const PGresult *res, struct task_row *rows, int nrows,
    int64_t *bytes_r)
{
	int64_t n = 0;

	(void)questions;
	for (int i = 0; i < PQntuples(res); i++) {
		struct task_row *row;

		n = col_int(res, i, SQL_GET_N);
		ASSERT(n >= 1 && n <= nrows);
		row = &rows[n - 1];
		row_read_state(res, i, row);
		*bytes_r = col_int(res, i, SQL_GET_BYTES);
		read_hide_result(s, row);
		row->percent = (int)col_int(res, i, SQL_GET_PERCENT);
		row->note = col_span(res, i, SQL_GET_NOTE);
		row->said_at = col_time(res, i, SQL_GET_SAID_AT);
	}
	return *bytes_r < FLIGHT_BYTES ? nrows : (int)n;
}

const struct flight_kind get_kind = {
	.sql = SQL_GET, .most = 256, .beside = 5 * CLOCK_MS, .bind = bind_ids, .take = take_rows
};

/* --- public --------------------------------------------------------------------------------------------------------------- */

void
store_get(struct store *s, const struct id *id, store_row_fn *fn, void *arg)
{
	struct question *q = question_new(1);

	q->ids[0] = *id;
	q->row_fn = fn;
	q->arg = arg;
	if (!flights_ask(s->getter, q))
		mem_free(&q);
}

void
store_look_up(struct store *s, const struct id *ids, int n, look_fn *fn, void *arg)
{
	struct question *q = question_new(n);

	ASSERT(n >= 1 && n <= LOOK_MOST);
	memcpy(q->ids, ids, sizeof(*ids) * (size_t)n);
	q->look_fn = fn;
	q->arg = arg;
	if (!flights_ask(s->getter, q)) {
		mem_free(&q);
		fn(arg, STORE_FAILED, NULL, 0, NULL);
	}
}
