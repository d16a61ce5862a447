/* store_read.c - tasks read back: one, or a page of them.
 *
 * The state of a task is not stored; it follows from the rows and comes computed.  A page looks at a bounded number of tasks in each of a
 * bounded number of rounds, so a filter that fits little gives a short page with a cursor, not a long query.  Reads are repeated after a lost
 * line: they change nothing.  Logs nothing.  Next: store_hand.c.
 */
#include <string.h>

#include "store/store_int.h"

#define LIST_MAGIC 0x5c0a1157U
#define EXAMINE 1000 /* tasks that one round of a filtered list looks at */
#define ROUNDS 10
#define PAGE_BYTES (8 * 1024 * 1024)     /* of payloads and results; the task that reaches it is the last of its page */
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

/* A whole row of get or list. */
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
	_Static_assert((int)SQL_GET_CLASS == (int)SQL_LIST_CLASS, "get and list have the same columns");
}

/* Its queue may not show results for so long. */
static void
hide_result(const struct store *s, struct task_row *row)
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

/* For somebody who waits for the answer, and can ask again. */
static struct request *
ask(struct store *s, request_fn *fn, void *arg)
{
	struct request *r = read_request(s, fn, arg);
	int64_t patience = clock_now() + AWAY_PATIENCE;

	if (pool_up(store_any_pool(s)) == 0 && r->deadline > patience)
		r->deadline = patience;
	return r;
}

/* --- one ------------------------------------------------------------------------------------------------------------ */

struct getting {
	struct store *store;
	store_row_fn *fn;
	void *arg;
};

static void
read_progress(const PGresult *res, struct task_row *row)
{
	row->percent = (int)col_int(res, 0, SQL_GET_PERCENT);
	row->note = col_span(res, 0, SQL_GET_NOTE);
	row->said_at = col_time(res, 0, SQL_GET_SAID_AT);
}

static void
on_get(struct request *r)
{
	struct getting *g = r->arg;
	struct task_row row;
	bool found = r->status == STORE_OK && PQntuples(r->results[0]) > 0;

	if (found) {
		row_read_state(r->results[0], 0, &row);
		hide_result(g->store, &row);
		read_progress(r->results[0], &row);
	}
	g->fn(g->arg, r->status == STORE_OK ? STORE_OK : STORE_FAILED, found ? &row : NULL);
	mem_free(&g);
	request_free(&r);
}

void
store_get(struct store *s, const struct id *id, store_row_fn *fn, void *arg)
{
	struct getting *g = mem_zalloc(sizeof(*g));
	struct request *r = ask(s, on_get, g);

	g->store = s;
	g->fn = fn;
	g->arg = arg;
	stmt_uuid(request_stmt(r, SQL_GET), id);
	request_send(store_any_pool(s), r);
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
	g->fn(g->arg, r->status == STORE_OK ? STORE_OK : STORE_FAILED, settled);
	mem_free(&settled);
	mem_free(&g);
	request_free(&r);
}

void
store_settled(struct store *s, const struct id *ids, int n, store_settled_fn *fn, void *arg)
{
	struct settling *g = mem_zalloc(sizeof(*g));
	struct request *r = ask(s, on_settled, g);
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

/* --- a page --------------------------------------------------------------------------------------------------------------- */

struct listing {
	unsigned magic;
	struct store *store;
	store_list_fn *fn;
	void *arg;
	struct store_filter f;
	struct arena *arena;   /* of the filter's words and the rows */
	struct task_row *rows; /* room for limit + 1 */
	int nrows, skip;
	int32_t *lanes;
	int nlanes;
	bool by_lane;
	struct id before;
	int examine, rounds;
	int64_t bytes; /* of the rows so far */
};

static void on_lanes(struct request *r);
static void on_key(struct request *r);
static void on_page(struct request *r);

static void
list_answer(struct listing *l, enum store_status status, bool more, const struct id *next)
{
	struct store_page page = { .status = status, .rows = l->rows, .nrows = l->nrows, .more = more };

	page.skipped = l->f.offset - l->skip;
	if (more)
		page.next = *next;
	l->fn(l->arg, &page);
	arena_free(&l->arena);
	l->magic = 0;
	mem_free(&l);
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
	struct request *r = ask(l->store, on_page, l);
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
	t = request_stmt(r, SQL_LIST_END);
	stmt_uuid(t, &l->before);
	stmt_int4(t, l->examine);
	request_send(store_any_pool(l->store), r);
}

/* Rows live on in the arena when further rounds follow. */
static void
keep_row(struct listing *l, const PGresult *res, int row)
{
	struct task_row *r = &l->rows[l->nrows++];
	struct span *spans[] = { &r->queue, &r->task_type, &r->group, &r->ordering_key, &r->payload, &r->schema_version,
		&r->trace_id, &r->result, &r->last_error, &r->error_code };
	size_t i;
	int k;

	row_read_state(res, row, r);
	hide_result(l->store, r);
	for (i = 0; i < ARRAY_LEN(spans); i++)
		if (spans[i]->len > 0)
			*spans[i] = arena_span(l->arena, *spans[i]);
	for (k = 0; k < r->nlabels; k++) {
		r->labels[k].name = arena_span(l->arena, r->labels[k].name);
		r->labels[k].value = arena_span(l->arena, r->labels[k].value);
	}
}

/* Takes the rows; true when it was their bytes that ended the look. */
static bool
take_rows(struct listing *l, const PGresult *res)
{
	int64_t bytes = 0, room = PAGE_BYTES - l->bytes;
	int row;

	for (row = 0; row < PQntuples(res) && l->nrows <= l->f.limit; row++) {
		bytes += PQgetlength(res, row, SQL_LIST_PAYLOAD) + PQgetlength(res, row, SQL_LIST_RESULT);
		if (l->skip > 0) {
			l->skip--;
		} else {
			keep_row(l, res, row);
			l->bytes += PQgetlength(res, row, SQL_LIST_PAYLOAD) + PQgetlength(res, row, SQL_LIST_RESULT);
		}
	}
	if (bytes < room)
		return false;
	l->before = col_id(res, PQntuples(res) - 1, SQL_LIST_ID);
	return true;
}

static void
on_page(struct request *r)
{
	struct listing *l = r->arg;
	const PGresult *end = r->results[1];
	bool full, more;

	MAGIC_CHECK(l, LIST_MAGIC);
	if (r->status != STORE_OK) {
		l->nrows = 0;
		list_answer(l, STORE_FAILED, false, NULL);
		request_free(&r);
		return;
	}
	full = take_rows(l, r->results[0]);
	more = full || PQntuples(end) > 0; /* the look ended before the tasks did */
	if (more && !full)
		l->before = col_id(end, 0, SQL_LIST_END_ID);
	request_free(&r);
	if (l->nrows > l->f.limit) {
		l->nrows--;
		list_answer(l, STORE_OK, true, &l->rows[l->nrows - 1].id);
	} else if (more && !(full && l->nrows > 0) && ++l->rounds < ROUNDS) {
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
	struct request *r = ask(l->store, on_lanes, l);
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
	struct request *r = ask(l->store, on_key, l);
	struct stmt *t = request_stmt(r, SQL_IDEM_READ);
	struct id digest = task_key_digest(l->f.tenant, l->f.key);

	stmt_array(t);
	stmt_uuid(t, &digest);
	stmt_array_end(t);
	request_send(store_any_pool(l->store), r);
}

void
store_list(struct store *s, const struct store_filter *f, store_list_fn *fn, void *arg)
{
	struct listing *l = mem_zalloc(sizeof(*l));
	bool filtered = f->state >= 0 || f->queue.len > 0 || f->task_type.len > 0;

	ASSERT(f->limit >= 1 && f->limit <= 1000 && f->offset >= 0);
	l->magic = LIST_MAGIC;
	l->store = s;
	l->fn = fn;
	l->arg = arg;
	l->f = *f;
	l->arena = arena_new(4096);
	l->f.queue = arena_span(l->arena, f->queue);
	l->f.task_type = arena_span(l->arena, f->task_type);
	l->f.tenant = arena_span(l->arena, f->tenant);
	l->f.key = arena_span(l->arena, f->key);
	l->rows = arena_alloc(l->arena, sizeof(struct task_row) * (size_t)(f->limit + 1));
	l->skip = f->offset;
	l->before = f->before;
	if (id_is_zero(&f->before))
		memset(l->before.b, 0xff, sizeof(l->before.b));
	l->examine = filtered ? EXAMINE : f->limit + 1 + (f->offset < EXAMINE ? f->offset : EXAMINE);
	if (f->key.len > 0)
		ask_key(l);
	else if (f->queue.len > 0 || f->task_type.len > 0)
		ask_lanes(l);
	else
		ask_page(l);
}
