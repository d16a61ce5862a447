/* store_page.c - a page of tasks, newest first.
 *
 * A page looks at a bounded number of tasks in each of a bounded number of rounds, so a filter that fits little gives a short page with a
 * cursor, not a long query.  A round stays within a stretch of days, first that of the newest ids: partitions outside are not
 * opened, and opening all costs as much as reading a page.  Logs nothing.  Next: store_hand.c.
 */
#include <string.h>

#include "store/store_list.h"

#define EXAMINE 1000                 /* tasks that one round of a filtered list looks at */
#define PAGE_BYTES (8 * 1024 * 1024) /* of payloads and results; the task that reaches it is the last of its page */
#define DAY (24 * 60 * 60 * CLOCK_SECOND)
#define AHEAD \
	DAY /* ids are of the database's clock: none is from later than this, even when it was set back a little */

static void on_lanes(struct request *r);
static void on_key(struct request *r);
static void on_page(struct request *r);

/* Waiting for a twin's answer is waiting too. */
static struct request *
ask(struct listing *l, request_fn *fn)
{
	struct request *r = read_ask(l->store, fn, l);

	if (l->begun)
		return r;
	l->begun = true;
	l->first = r;
	r->deadline -= clock_now() - l->asked_at;
	return r;
}

/* The first id of an instant. */
static struct id
id_floor(int64_t wall)
{
	uint64_t ms = (uint64_t)(wall / CLOCK_MS);
	struct id id = { { 0 } };

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	return id;
}

/* The day of the newest ids that may be in the page. */
static void
first_stretch(struct listing *l)
{
	int64_t now = store_db_now(l->store), newest = now;
	struct id most = id_floor(now + AHEAD);

	if (id_cmp(&l->before, &most) > 0)
		l->before = most;
	else if (task_id_time(&l->before) < now)
		newest = task_id_time(&l->before);
	l->from = id_floor(newest - newest % DAY);
}

static void
bind_states(struct stmt *t, const struct store_filter *f)
{
	if (f->state < 0) {
		stmt_null(t);
		return;
	}
	stmt_array(t);
	stmt_int2(t, f->state);
	if (f->state == TASK_READY) /* pending is both */
		stmt_int2(t, TASK_WAITING);
	if (f->or_state != 0)
		stmt_int2(t, f->or_state);
	stmt_array_end(t);
}

static void
ask_page(struct listing *l)
{
	struct request *r = ask(l, on_page);
	struct stmt *t = request_stmt(r, SQL_LIST);
	int i;

	stmt_uuid(t, &l->before);
	stmt_int4(t, l->examine);
	if (l->by_lane) {
		stmt_array(t);
		for (i = 0; i < l->nlanes; i++)
			stmt_int4(t, l->lanes[i]);
		stmt_array_end(t);
	} else {
		stmt_null(t);
	}
	bind_states(t, &l->f);
	stmt_int4(t, l->f.limit + 1 - l->nrows + l->skip);
	stmt_int8(t, PAGE_BYTES - l->bytes);
	stmt_uuid(t, &l->from);
	if (!l->plain) {
		t = request_stmt(r, SQL_LIST_END);
		stmt_uuid(t, &l->before);
		stmt_int4(t, l->examine);
		stmt_uuid(t, &l->from);
	}
	request_send(store_any_pool(l->store), r);
}

/* Takes the rows; true when it was their bytes that ended the look. */
static bool
take_rows(struct listing *l, const PGresult *res)
{
	int64_t bytes = 0, room = PAGE_BYTES - l->bytes, size;
	int row;

	for (row = 0; row < PQntuples(res) && l->nrows <= l->f.limit; row++) {
		size = PQgetlength(res, row, SQL_LIST_PAYLOAD) + PQgetlength(res, row, SQL_LIST_RESULT);
		bytes += size;
		if (l->skip > 0) {
			l->skip--;
			continue;
		}
		row_read_state(res, row, &l->rows[l->nrows]);
		read_hide_result(l->store, &l->rows[l->nrows++]);
		l->bytes += size;
	}
	if (bytes < room)
		return false;
	l->before = col_id(res, PQntuples(res) - 1, SQL_LIST_ID);
	return true;
}

/* Where the look ended, if tasks of the stretch may follow; false: it has no more. */
static bool
look_ended(struct listing *l, const struct request *r)
{
	const PGresult *rows = r->results[0];

	if (l->plain && PQntuples(rows) < l->examine)
		return false;
	if (!l->plain && PQntuples(r->results[1]) == 0)
		return false;
	l->before =
	    l->plain ? col_id(rows, PQntuples(rows) - 1, SQL_LIST_ID) : col_id(r->results[1], 0, SQL_LIST_END_ID);
	return true;
}

/* All days before the stretch are the last one. */
static bool
next_stretch(struct listing *l)
{
	if (id_is_zero(&l->from))
		return false;
	l->before = l->from;
	memset(&l->from, 0, sizeof(l->from));
	return true;
}

/* Rows stay in the result they came in. */
static void
keep_result(struct listing *l, struct request *r, int nrows_before)
{
	if (l->nrows == nrows_before)
		return;
	ASSERT((size_t)l->nkept < ARRAY_LEN(l->kept));
	l->kept[l->nkept++] = r->results[0];
	r->results[0] = NULL;
}

static void
on_page(struct request *r)
{
	struct listing *l = r->arg;
	bool full, more, next = false;
	int nrows;

	MAGIC_CHECK(l, LIST_MAGIC);
	nrows = l->nrows;
	l->first = NULL;
	if (r->status != STORE_OK) {
		l->nrows = 0;
		list_answer(l, STORE_FAILED, false, NULL);
		request_free(&r);
		return;
	}
	full = take_rows(l, r->results[0]);
	more = full || look_ended(l, r); /* the look ended before the tasks did */
	if (!more && l->nrows <= l->f.limit)
		more = next = next_stretch(l);
	keep_result(l, r, nrows);
	request_free(&r);
	if (l->nrows > l->f.limit) {
		l->nrows--;
		list_answer(l, STORE_OK, true, &l->rows[l->nrows - 1].id);
	} else if (more && !(full && l->nrows > 0) && (next || ++l->rounds < LIST_ROUNDS)) {
		ask_page(l);
	} else {
		list_answer(l, STORE_OK, more, &l->before);
	}
}

static void
on_lanes(struct request *r)
{
	struct listing *l = r->arg;
	const PGresult *res = r->results[0];
	int i;

	MAGIC_CHECK(l, LIST_MAGIC);
	l->first = NULL;
	if (r->status == STORE_OK && PQntuples(res) > 0) {
		l->by_lane = true;
		l->nlanes = PQntuples(res);
		l->lanes = arena_alloc(l->arena, sizeof(int32_t) * (size_t)l->nlanes);
		for (i = 0; i < l->nlanes; i++)
			l->lanes[i] = (int32_t)col_int(res, i, SQL_LANE_FIND_ID);
		ask_page(l);
	} else {
		list_answer(l, r->status == STORE_OK ? STORE_OK : STORE_FAILED, false, NULL);
	}
	request_free(&r);
}

static void
ask_lanes(struct listing *l)
{
	struct request *r = ask(l, on_lanes);
	struct stmt *t = request_stmt(r, SQL_LANE_FIND);

	if (l->f.queue.len > 0)
		stmt_text(t, l->f.queue);
	else
		stmt_null(t);
	if (l->f.task_type.len > 0)
		stmt_text(t, l->f.task_type);
	else
		stmt_null(t);
	request_send(store_any_pool(l->store), r);
}

static bool
has_state(const struct store_filter *f, enum task_state state)
{
	int s = (int)state;

	return f->state < 0 || s == f->state || (f->or_state != 0 && s == f->or_state) ||
	       (f->state == TASK_READY && state == TASK_WAITING);
}

/* The task of a key, if it passes the other filters. */
static void
on_keyed_task(void *arg, enum store_status status, const struct task_row *row)
{
	struct listing *l = arg;
	const struct store_filter *f = &l->f;

	MAGIC_CHECK(l, LIST_MAGIC);
	if (row != NULL && (f->queue.len == 0 || span_eq(f->queue, row->queue)) &&
	    (f->task_type.len == 0 || span_eq(f->task_type, row->task_type)) && f->offset == 0 &&
	    has_state(f, row->state) && id_cmp(&row->id, &l->before) < 0)
		l->rows[l->nrows++] = *row;
	list_answer(l, status, false, NULL);
}

static void
on_key(struct request *r)
{
	struct listing *l = r->arg;
	struct id id;

	MAGIC_CHECK(l, LIST_MAGIC);
	l->first = NULL;
	if (r->status == STORE_OK && PQntuples(r->results[0]) > 0) {
		id = col_id(r->results[0], 0, SQL_IDEM_READ_ID);
		store_get(l->store, &id, on_keyed_task, l);
	} else {
		list_answer(l, r->status == STORE_OK ? STORE_OK : STORE_FAILED, false, NULL);
	}
	request_free(&r);
}

static void
ask_key(struct listing *l)
{
	struct request *r = ask(l, on_key);
	struct stmt *t = request_stmt(r, SQL_IDEM_READ);
	struct id digest = task_key_digest(l->f.tenant, l->f.key);

	stmt_array(t);
	stmt_uuid(t, &digest);
	stmt_array_end(t);
	request_send(store_any_pool(l->store), r);
}

void
page_begin(struct listing *l)
{
	const struct store_filter *f = &l->f;

	l->before = f->before;
	if (id_is_zero(&f->before))
		memset(l->before.b, 0xff, sizeof(l->before.b));
	if (f->key.len > 0) {
		ask_key(l);
		return;
	}
	first_stretch(l);
	l->plain = f->state < 0 && f->queue.len == 0 && f->task_type.len == 0;
	l->examine = l->plain ? f->limit + 1 + (f->offset < EXAMINE ? f->offset : EXAMINE) : EXAMINE;
	if (f->queue.len > 0 || f->task_type.len > 0)
		ask_lanes(l);
	else
		ask_page(l);
}
