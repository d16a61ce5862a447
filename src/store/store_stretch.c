/* store_stretch.c - tasks, read back by where they are: the newest ones below an id.
 *
 * What each table has of a stretch comes in rows of its own, and a task is put together here: its state is that of the part of the highest
 * rank, as in get.  The tasks come first, newest first; the order of the rest does not matter.  What is long is not shown, and its task
 * left to who asks for it by its id, so that a statement is bounded however many stretches it has.  Logs nothing.  Next: store_list.c.
 */
#include "store/store_flight.h"

#define TASKS_MOST 512
#define LONG (FLIGHT_BYTES / TASKS_MOST / 2) /* of a payload or a result */

#define PARTS 16 /* a row's number is its part and so many times its stretch */

/* What a row is; from `ready` to `done` a task is where the greatest one tells. */
enum part {
	PART_TASK,
	PART_LANE,
	PART_AMEND,
	PART_READY,
	PART_WAITING,
	PART_LEASE,
	PART_LETTER,
	PART_DONE,
	PART_REPLAYED,
	PART_ERROR
};

/* What is kept of a task until all of its parts were seen. */
struct rest {
	struct id id;
	enum part place;
	int64_t error_at, replayed_at;
	bool is_long;
};

/* One stretch of the answer. */
struct stretch {
	struct task_row *rows;
	struct rest *rests;
	int n;
	bool whole; /* its tasks are all there */
};

/* --- the question -------------------------------------------------------------------------------------------------------- */

/* The two ids of a stretch, in one array for all of them; returns the least or the greatest. */
static struct id
bind_bounds(struct stmt *t, const struct list *questions, int which, int sign)
{
	struct id best = { { 0 } };
	struct list *pos, *tmp;
	bool any = false;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, questions) {
		const struct id *id = &container_of(pos, struct question, node)->ids[which];

		stmt_uuid(t, id);
		if (!any || sign * id_cmp(id, &best) > 0)
			best = *id;
		any = true;
	}
	stmt_array_end(t);
	return best;
}

static void
bind_stretches(struct stmt *t, const struct list *questions)
{
	struct id to = bind_bounds(t, questions, 0, 1), from = bind_bounds(t, questions, 1, -1);
	struct list *pos, *tmp;

	stmt_array(t);
	LIST_FOREACH_SAFE (pos, tmp, questions)
		stmt_int4(t, container_of(pos, struct question, node)->n);
	stmt_array_end(t);
	stmt_uuid(t, &from);
	stmt_uuid(t, &to);
	stmt_int4(t, LONG);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------- */

static void
take_task(struct stretch *h, const PGresult *res, int i)
{
	struct task_row *row = &h->rows[h->n];
	struct rest *rest = &h->rests[h->n++];

	row->id = rest->id = col_id(res, i, SQL_PAGE_ID);
	row->state = TASK_READY;
	row_read(res, i, SQL_PAGE_LANE, row);
	rest->is_long = col_bool(res, i, SQL_PAGE_LONG);
}

static void
take_lane(struct stretch *h, const PGresult *res, int i)
{
	int32_t lane = (int32_t)col_int(res, i, SQL_PAGE_LANE);

	for (int j = 0; j < h->n; j++) {
		if (h->rows[j].lane != lane)
			continue;
		h->rows[j].queue = col_span(res, i, SQL_PAGE_QUEUE);
		h->rows[j].task_type = col_span(res, i, SQL_PAGE_KIND);
		h->rows[j].group = col_span(res, i, SQL_PAGE_GRP);
		h->rows[j].ordering_key = col_span(res, i, SQL_PAGE_ORD);
	}
}

static void
take_amend(struct task_row *row, struct rest *rest, const PGresult *res, int i)
{
	if (!col_null(res, i, SQL_PAGE_MAX_ATTEMPTS))
		row->max_attempts = (int)col_int(res, i, SQL_PAGE_MAX_ATTEMPTS);
	if (col_null(res, i, SQL_PAGE_BODY) && col_null(res, i, SQL_PAGE_LONG)) /* the payload is as it was */
		return;
	row->payload = col_span(res, i, SQL_PAGE_BODY);
	rest->is_long = col_bool(res, i, SQL_PAGE_LONG);
}

/* Where it is, if nothing told a greater place. */
static void
take_place(struct task_row *row, struct rest *rest, enum part place, const PGresult *res, int i)
{
	static const enum task_state states[] = {
		[PART_READY] = TASK_READY,
		[PART_WAITING] = TASK_WAITING,
		[PART_LEASE] = TASK_LEASED,
		[PART_LETTER] = TASK_DEAD,
		[PART_DONE] = TASK_SUCCEEDED - TASK_DONE_SUCCEEDED, /* and its status */
	};
	int64_t at = col_time(res, i, SQL_PAGE_CREATED_AT);

	if (place <= rest->place)
		return;
	rest->place = place;
	row->state = (enum task_state)((int)states[place] + (int)col_int(res, i, SQL_PAGE_STATUS));
	row->run = (int)col_int(res, i, SQL_PAGE_RUN);
	row->attempts = (int)col_int(res, i, SQL_PAGE_ATTEMPTS);
	row->crashes = (int)col_int(res, i, SQL_PAGE_CRASHES);
	row->updated_at = at;
	if (place >= PART_LETTER)
		row->finished_at = at;
	if (place == PART_DONE) {
		row->result = col_span(res, i, SQL_PAGE_BODY);
		rest->is_long = rest->is_long || col_bool(res, i, SQL_PAGE_LONG);
	}
}

/* A range that is ready. */
static void
take_ready(struct stretch *h, const PGresult *res, int i)
{
	struct id lo = col_id(res, i, SQL_PAGE_ID), hi = col_id(res, i, SQL_PAGE_HI);
	int32_t lane = (int32_t)col_int(res, i, SQL_PAGE_LANE);
	int priority = -(int)col_int(res, i, SQL_PAGE_PRIO);

	for (int j = 0; j < h->n; j++)
		if (h->rows[j].lane == lane && h->rows[j].priority == priority && id_cmp(&h->rests[j].id, &lo) >= 0 &&
		    id_cmp(&h->rests[j].id, &hi) <= 0)
			take_place(&h->rows[j], &h->rests[j], PART_READY, res, i);
}

static void
take_error(struct task_row *row, struct rest *rest, const PGresult *res, int i)
{
	rest->error_at = col_time(res, i, SQL_PAGE_CREATED_AT);
	row->last_error = col_span(res, i, SQL_PAGE_QUEUE);
	row->error_code = col_span(res, i, SQL_PAGE_KIND);
	row->error_class = span_of(task_class_name((enum task_class)col_int(res, i, SQL_PAGE_STATUS)));
}

static void
take_replay(struct rest *rest, const PGresult *res, int i)
{
	int64_t at = col_time(res, i, SQL_PAGE_CREATED_AT);

	if (at > rest->replayed_at)
		rest->replayed_at = at;
}

/* What names its task. */
static void
take_rest(struct stretch *h, enum part part, const PGresult *res, int i)
{
	struct id id = col_id(res, i, SQL_PAGE_ID);
	int j = 0;

	while (j < h->n && !id_eq(&h->rests[j].id, &id))
		j++;
	if (j == h->n)
		return;
	switch (part) {
	case PART_AMEND:
		take_amend(&h->rows[j], &h->rests[j], res, i);
		break;
	case PART_ERROR:
		take_error(&h->rows[j], &h->rests[j], res, i);
		break;
	case PART_REPLAYED:
		take_replay(&h->rests[j], res, i);
		break;
	default:
		take_place(&h->rows[j], &h->rests[j], part, res, i);
		break;
	}
}

/* All of it was seen. */
static void
end_task(const struct store *s, struct task_row *row, const struct rest *rest)
{
	bool failed = rest->place != PART_DONE || row->state == TASK_FAILED;
	bool shown = failed && rest->error_at > rest->replayed_at;

	if (!shown)
		row->last_error = row->error_code = row->error_class = (struct span){ NULL, 0 };
	if (row->updated_at == 0)
		row->updated_at = shown ? rest->error_at : row->created_at;
	if (rest->is_long)
		row->state = TASK_NEW;
	else
		read_hide_result(s, row);
}

/* Their places, each behind those of the one before. */
static struct stretch *
place_stretches(const struct list *questions, struct task_row *rows, struct rest *rests, int nrows)
{
	struct stretch *made = mem_zalloc(sizeof(*made) * (size_t)nrows);
	struct list *pos, *tmp;
	int n = 0, at = 0;

	LIST_FOREACH_SAFE (pos, tmp, questions) {
		made[n++] = (struct stretch){ .rows = rows + at, .rests = rests + at };
		at += container_of(pos, struct question, node)->n;
	}
	ASSERT(at == nrows);
	return made;
}

static void
take_part(struct stretch *h, enum part part, const PGresult *res, int i)
{
	ASSERT(part != PART_TASK || !h->whole);
	h->whole = part != PART_TASK;
	switch (part) {
	case PART_TASK:
		take_task(h, res, i);
		break;
	case PART_LANE:
		take_lane(h, res, i);
		break;
	case PART_READY:
		take_ready(h, res, i);
		break;
	default:
		take_rest(h, part, res, i);
		break;
	}
}

static int
take_stretches(const struct store *s, const struct list *questions, const PGresult *res, struct task_row *rows,
    int nrows, int64_t *bytes_r)
{
	struct rest *rests = mem_zalloc(sizeof(*rests) * (size_t)nrows);
	struct stretch *made = place_stretches(questions, rows, rests, nrows);

	(void)bytes_r; /* they are small */
	for (int i = 0; i < PQntuples(res); i++) {
		int64_t n = col_int(res, i, SQL_PAGE_N);

		ASSERT(n >= PARTS && n / PARTS <= nrows);
		take_part(&made[n / PARTS - 1], (enum part)(n % PARTS), res, i);
	}
	for (int i = 0; i < nrows; i++)
		if (!id_is_zero(&rows[i].id))
			end_task(s, &rows[i], &rests[i]);
	mem_free(&made);
	mem_free(&rests);
	return nrows;
}

const struct flight_kind stretch_kind = {
	.sql = SQL_PAGE, .most = TASKS_MOST, .beside = 20 * CLOCK_MS, .bind = bind_stretches, .take = take_stretches
};

/* --- public --------------------------------------------------------------------------------------------------------------- */

const struct question *
store_look_below(struct store *s, const struct stretch_wish *w, look_fn *fn, void *arg)
{
	struct question *q = question_new(2);

	ASSERT(w->most >= 1 && w->most <= LOOK_MOST);
	q->ids[0] = w->before;
	q->ids[1] = w->floor;
	q->n = w->most;
	q->asked_at = w->asked_at;
	q->look_fn = fn;
	q->arg = arg;
	if (!flights_ask(s->stretcher, q))
		mem_free(&q);
	return q;
}
