/* store_page.c - a page of tasks, newest first.
 *
 * Where everything fits, tasks are read where they are, in questions that go together with those of others (store_stretch.c).  With a filter
 * a round has two steps: which tasks fit, as the table of their state tells, and then those tasks (store_get.c); one that has left the
 * state meanwhile is left out.  A round looks at a bounded number of tasks and there is a bounded number of rounds, so a filter that
 * fits little gives a short page with a cursor, not a long query.  It stays within a stretch of days, first that of the newest ids:
 * partitions outside are not opened, and opening all costs as much as reading a page.
 * Logs nothing.  Next: store_hand.c.
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
static void on_ids(struct request *r);
static void go_on(struct listing *l);

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

static bool
has_state(const struct store_filter *f, enum task_state state)
{
	int s = (int)state;

	return f->state < 0 || s == f->state || (f->or_state != 0 && s == f->or_state) ||
	       (f->state == TASK_READY && state == TASK_WAITING); /* pending is both */
}

/* --- which tasks ----------------------------------------------------------------------------------------------------------------- */

/* The statement that finds tasks of the state. */
static enum store_sql
list_of_state(int state)
{
	switch (state) {
	case TASK_READY:
	case TASK_WAITING:
	case TASK_LEASED:
		return SQL_LIST_LIVE;
	case TASK_DEAD:
		return SQL_LIST_DEAD;
	default:
		return state < 0 ? SQL_LIST : SQL_LIST_DONE;
	}
}

static void
bind_lanes(struct stmt *t, const struct listing *l)
{
	if (!l->by_lane) {
		stmt_null(t);
		return;
	}
	stmt_array(t);
	for (int i = 0; i < l->nlanes; i++)
		stmt_int4(t, l->lanes[i]);
	stmt_array_end(t);
}

/* What done.status says of these. */
static void
bind_statuses(struct stmt *t, const struct store_filter *f)
{
	stmt_array(t);
	stmt_int2(t, f->state - TASK_SUCCEEDED + 1);
	if (f->or_state != 0)
		stmt_int2(t, f->or_state - TASK_SUCCEEDED + 1);
	stmt_array_end(t);
}

static void
ask_ids(struct listing *l)
{
	enum store_sql sql = list_of_state(l->f.state);
	struct request *r = ask(l, on_ids);
	struct stmt *t = request_stmt(r, sql);

	l->asked = l->f.limit + 1 - l->nrows + (l->skip < l->examine ? l->skip : l->examine); /* no more rows come */
	stmt_uuid(t, &l->before);
	stmt_int4(t, l->examine);
	stmt_uuid(t, &l->from);
	bind_lanes(t, l);
	stmt_int4(t, l->asked);
	if (sql == SQL_LIST_LIVE)
		stmt_bool(t, l->f.state == TASK_LEASED);
	if (sql == SQL_LIST_DONE)
		bind_statuses(t, &l->f);
	request_send(store_any_pool(l->store), r);
}

static void
take_ids(struct listing *l, const PGresult *res)
{
	int last = PQntuples(res) - 1;

	l->nids = l->next_id = 0;
	for (int i = 0; i <= last; i++) {
		if (!col_bool(res, i, SQL_LIST_FITS))
			continue;
		if (l->skip > 0)
			l->skip--;
		else
			l->ids[l->nids++] = col_id(res, i, SQL_LIST_ID);
	}
	l->ended = last >= 0 && (last + 1 == l->asked || col_int(res, last, SQL_LIST_NTH) == l->examine);
	if (l->ended)
		l->end = col_id(res, last, SQL_LIST_ID);
}

static void
on_ids(struct request *r)
{
	struct listing *l = r->arg;

	MAGIC_CHECK(l, LIST_MAGIC);
	l->first = NULL;
	if (r->status == STORE_OK) {
		take_ids(l, r->results[0]);
		go_on(l);
	} else {
		list_answer(l, STORE_FAILED, false, NULL);
	}
	request_free(&r);
}

/* --- the tasks themselves ------------------------------------------------------------------------------------------------------- */

/* Its progress is told only where it is asked for alone. */
static void
take_row(struct listing *l, const struct task_row *row)
{
	l->rows[l->nrows] = *row;
	l->rows[l->nrows++].said_at = 0;
}

/* Those that follow each other and were read. */
static void
take_rows(struct listing *l, const struct task_row *rows, int n, struct looked *from)
{
	int before = l->nrows, i;

	for (i = 0; i < n && !l->full; i++) {
		if (!id_is_zero(&rows[i].id) && rows[i].state == TASK_NEW)
			break;
		if (id_is_zero(&rows[i].id) || !has_state(&l->f, rows[i].state))
			continue;
		take_row(l, &rows[i]);
		l->bytes += (int64_t)(rows[i].payload.len + rows[i].result.len);
		l->full = l->bytes >= PAGE_BYTES;
	}
	l->next_id += i;
	if (l->nrows > before)
		l->kept[l->nkept++] = looked_keep(from);
}

static void
on_tasks(void *arg, enum store_status status, const struct task_row *rows, int n, struct looked *from)
{
	struct listing *l = arg;

	MAGIC_CHECK(l, LIST_MAGIC);
	if (status == STORE_OK) {
		take_rows(l, rows, n, from);
		go_on(l);
	} else {
		l->nrows = 0;
		list_answer(l, STORE_FAILED, false, NULL);
	}
}

/* Those that are too large to be read on the way, and the ones after them, are looked up. */
static void
on_stretch(void *arg, enum store_status status, const struct task_row *rows, int n, struct looked *from)
{
	struct listing *l = arg;

	MAGIC_CHECK(l, LIST_MAGIC);
	l->look = NULL;
	l->nids = l->next_id = 0;
	for (int i = 0; i < n && !id_is_zero(&rows[i].id); i++)
		l->ids[l->nids++] = rows[i].id;
	l->ended = l->nids > 0 && l->nids == l->asked;
	if (l->ended)
		l->end = l->ids[l->nids - 1];
	on_tasks(l, status, rows, l->nids, from);
}

static void
ask_stretch(struct listing *l)
{
	struct stretch_wish w = {
		.before = l->before, .floor = l->from, .asked_at = l->begun ? clock_now() : l->asked_at
	};
	bool begins = !l->begun; /* who asks after something was read must not join */
	const struct question *look;

	l->asked = l->f.limit + 1 - l->nrows < LOOK_MOST ? l->f.limit + 1 - l->nrows : LOOK_MOST;
	w.most = l->asked;
	l->begun = true;
	look = store_look_below(l->store, &w, on_stretch, l);
	if (look == NULL)
		list_answer(l, STORE_FAILED, false, NULL);
	else if (begins)
		l->look = look;
}

static void
ask_round(struct listing *l)
{
	if (l->plain)
		ask_stretch(l);
	else
		ask_ids(l);
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

/* Everything that was found is read: the page is whole, or another round looks on. */
static void
end_round(struct listing *l)
{
	bool next = false;

	if (l->nrows > l->f.limit) {
		l->nrows--;
		list_answer(l, STORE_OK, true, &l->rows[l->nrows - 1].id);
		return;
	}
	if (l->full)
		l->before = l->rows[l->nrows - 1].id;
	else if (l->ended)
		l->before = l->end;
	else
		next = next_stretch(l);
	if (next || (l->ended && !l->full && (l->plain || ++l->rounds < LIST_ROUNDS)))
		ask_round(l);
	else
		list_answer(l, STORE_OK, l->full || l->ended, &l->before);
}

static void
go_on(struct listing *l)
{
	if (l->full || l->next_id == l->nids) {
		end_round(l);
		return;
	}
	l->asked = l->nids - l->next_id < LOOK_MOST ? l->nids - l->next_id : LOOK_MOST;
	store_look_up(l->store, l->ids + l->next_id, l->asked, on_tasks, l);
}

/* --- lanes, and keys ---------------------------------------------------------------------------------------------------------------- */

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
		ask_ids(l);
	} else {
		list_answer(l, read_status(r), false, NULL);
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
		take_row(l, row);
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
		list_answer(l, read_status(r), false, NULL);
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
	bool all = f->state < 0 && f->queue.len == 0 && f->task_type.len == 0;

	l->before = f->before;
	if (id_is_zero(&f->before))
		memset(l->before.b, 0xff, sizeof(l->before.b));
	if (f->key.len > 0) {
		ask_key(l);
		return;
	}
	first_stretch(l);
	l->plain = all && f->offset == 0;
	l->examine = all ? f->limit + 1 + (f->offset < EXAMINE ? f->offset : EXAMINE) : EXAMINE;
	if (f->queue.len > 0 || f->task_type.len > 0)
		ask_lanes(l);
	else
		ask_round(l);
}
