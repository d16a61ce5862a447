/* store_dead_read.c - dead letters read back: a page of the open ones, one with all that it keeps, and the causes.
 *
 * A page narrows the causes first, a few rows, and then looks at a bounded number of letters; one whose filter fits little is short, with the
 * place where the look ended.  Reads are repeated after a lost line.  Logs nothing.  Next: http/api_dead.c.
 */
#include "store/store_dead_int.h"

#define READ_MAGIC 0x5c0ade7dU
#define EXAMINE 2000 /* letters in one look */

struct dead_reading {
	unsigned magic;
	int limit;
	store_dead_list_fn *list;
	store_dead_get_fn *get;
	store_causes_fn *causes;
	void *arg;
};

static struct dead_reading *
reading_new(void *arg)
{
	struct dead_reading *g = mem_zalloc(sizeof(*g));

	g->magic = READ_MAGIC;
	g->arg = arg;
	return g;
}

static struct dead_reading *
reading_of(const struct request *r)
{
	struct dead_reading *g = r->arg;

	MAGIC_CHECK(g, READ_MAGIC);
	return g;
}

static void
reading_free(struct dead_reading *g, struct request *r)
{
	g->magic = 0;
	mem_free(&g);
	request_free(&r);
}

/* --- a page ---------------------------------------------------------------------------------------------------------------------- */

/* dead_list_ids has the same columns. */
static void
letter_read(const PGresult *res, int row, struct store_letter *l)
{
	*l = (struct store_letter){
		.id = col_id(res, row, SQL_DEAD_LIST_ID),
		.lease_id = col_int(res, row, SQL_DEAD_LIST_LEASE_ID),
		.queue = col_span(res, row, SQL_DEAD_LIST_QUEUE),
		.task_type = col_span(res, row, SQL_DEAD_LIST_KIND),
		.cause = (int32_t)col_int(res, row, SQL_DEAD_LIST_CAUSE),
		.reason = col_span(res, row, SQL_DEAD_LIST_REASON),
		.class = (enum task_class)col_int(res, row, SQL_DEAD_LIST_CLASS),
		.code = col_span(res, row, SQL_DEAD_LIST_CODE),
		.message = col_span(res, row, SQL_DEAD_LIST_MESSAGE),
		.fingerprint = col_id(res, row, SQL_DEAD_LIST_FINGERPRINT),
		.schema_version = col_span(res, row, SQL_DEAD_LIST_VERSION),
		.trace_id = col_span(res, row, SQL_DEAD_LIST_TRACE_ID),
		.run = (int)col_int(res, row, SQL_DEAD_LIST_RUN),
		.attempts = (int)col_int(res, row, SQL_DEAD_LIST_ATTEMPTS),
		.max_attempts = (int)col_int(res, row, SQL_DEAD_LIST_MAX_ATTEMPTS),
		.crashes = (int)col_int(res, row, SQL_DEAD_LIST_CRASHES),
		.exit = (int)col_int_or(res, row, SQL_DEAD_LIST_EXIT, -1),
		.created_at = col_time(res, row, SQL_DEAD_LIST_CREATED_AT),
		.died_at = col_time(res, row, SQL_DEAD_LIST_DIED_AT),
		.labels = col_span(res, row, SQL_DEAD_LIST_LABELS),
	};
}

/* One more letter than the page holds was asked for; there is a row without one when none fits. */
static void
page_read(const struct dead_reading *g, const PGresult *res, struct store_letter *letters, struct store_dead_page *page)
{
	int rows = col_null(res, 0, SQL_DEAD_LIST_ID) ? 0 : PQntuples(res);

	page->n = rows < g->limit ? rows : g->limit;
	for (int i = 0; i < page->n; i++)
		letter_read(res, i, &letters[i]);
	if (rows > g->limit) {
		page->next.died_at = letters[page->n - 1].died_at;
		page->next.id = letters[page->n - 1].id;
		page->more = true;
	} else if (col_bool(res, 0, SQL_DEAD_LIST_CUT)) {
		page->next.died_at = col_time(res, 0, SQL_DEAD_LIST_LAST_AT);
		page->next.id = col_id(res, 0, SQL_DEAD_LIST_LAST_ID);
		page->more = true;
	}
}

static void
on_list(struct request *r)
{
	struct dead_reading *g = reading_of(r);
	struct store_dead_page page = { .status = read_status(r) };
	struct store_letter *letters = mem_zalloc(sizeof(*letters) * (size_t)g->limit);

	page.letters = letters;
	if (r->status == STORE_OK)
		page_read(g, r->results[0], letters, &page);
	g->list(g->arg, &page);
	mem_free(&letters);
	reading_free(g, r);
}

void
store_dead_list(struct store *s, const struct store_dead_filter *f, const struct store_dead_place *after, int limit,
    store_dead_list_fn *fn, void *arg)
{
	struct dead_reading *g = reading_new(arg);
	struct request *r = read_request(s, on_list, g);
	struct stmt *t = request_stmt(r, f->nids > 0 ? SQL_DEAD_LIST_IDS : SQL_DEAD_LIST);

	ASSERT(limit >= 1 && limit <= STORE_DEAD_PAGE);
	g->list = fn;
	g->limit = limit;
	dead_bind_causes(t, f);
	dead_bind_letters(t, f);
	stmt_time(t, after->died_at);
	if (after->died_at != 0)
		stmt_uuid(t, &after->id);
	else
		stmt_null(t);
	stmt_int4(t, limit + 1);
	if (f->nids > 0) {
		stmt_array(t);
		for (int i = 0; i < f->nids; i++)
			stmt_uuid(t, &f->ids[i]);
		stmt_array_end(t);
	} else {
		stmt_int4(t, f->label_name.len > 0 ? EXAMINE : limit + 1);
	}
	request_send(store_any_pool(s), r);
}

/* --- one ---------------------------------------------------------------------------------------------------------------------------- */

static void
detail_read(const PGresult *res, struct store_letter *l)
{
	l->id = col_id(res, 0, SQL_DEAD_GET_ID);
	l->lease_id = col_int(res, 0, SQL_DEAD_GET_LEASE_ID);
	l->queue = col_span(res, 0, SQL_DEAD_GET_QUEUE);
	l->task_type = col_span(res, 0, SQL_DEAD_GET_KIND);
	l->group = col_span(res, 0, SQL_DEAD_GET_GRP);
	l->ordering_key = col_span(res, 0, SQL_DEAD_GET_ORD);
	l->cause = (int32_t)col_int(res, 0, SQL_DEAD_GET_CAUSE);
	l->reason = col_span(res, 0, SQL_DEAD_GET_REASON);
	l->class = (enum task_class)col_int(res, 0, SQL_DEAD_GET_CLASS);
	l->code = col_span(res, 0, SQL_DEAD_GET_CODE);
	l->message = col_span(res, 0, SQL_DEAD_GET_MESSAGE);
	l->fingerprint = col_id(res, 0, SQL_DEAD_GET_FINGERPRINT);
	l->schema_version = col_span(res, 0, SQL_DEAD_GET_VERSION);
	l->trace_id = col_span(res, 0, SQL_DEAD_GET_TRACE_ID);
	l->run = (int)col_int(res, 0, SQL_DEAD_GET_RUN);
	l->attempts = (int)col_int(res, 0, SQL_DEAD_GET_ATTEMPTS);
	l->max_attempts = (int)col_int(res, 0, SQL_DEAD_GET_MAX_ATTEMPTS);
	l->crashes = (int)col_int(res, 0, SQL_DEAD_GET_CRASHES);
	l->exit = (int)col_int_or(res, 0, SQL_DEAD_GET_EXIT, -1);
	l->created_at = col_time(res, 0, SQL_DEAD_GET_CREATED_AT);
	l->died_at = col_time(res, 0, SQL_DEAD_GET_DIED_AT);
	l->labels = col_span(res, 0, SQL_DEAD_GET_LABELS);
	l->tail = col_span(res, 0, SQL_DEAD_GET_TAIL);
	l->payload = col_span(res, 0, SQL_DEAD_GET_PAYLOAD);
	l->priority = -(int)col_int(res, 0, SQL_DEAD_GET_PRIO);
}

/* What is known of it since. */
static void
detail_read_rest(const PGresult *res, struct store_letter *l)
{
	struct task_row options = { .created_at = l->created_at };

	if (task_options_unpack(col_span(res, 0, SQL_DEAD_GET_OPTIONS), &options)) {
		l->schema_version = options.schema_version;
		l->trace_id = options.trace_id;
		l->expires_at = task_expires_at(&options);
	}
	l->run_at = col_time(res, 0, SQL_DEAD_GET_RUN_AT);
	l->first_seen = col_time(res, 0, SQL_DEAD_GET_FIRST_SEEN);
	l->owner = col_span(res, 0, SQL_DEAD_GET_OWNER);
	l->due_at = col_time(res, 0, SQL_DEAD_GET_DUE_AT);
	l->acknowledged_by = col_span(res, 0, SQL_DEAD_GET_SEEN_BY);
	l->note = col_span(res, 0, SQL_DEAD_GET_NOTE);
	l->resolution = (enum store_resolution)col_int(res, 0, SQL_DEAD_GET_RESOLUTION);
	l->resolved_at = l->resolution != STORE_LETTER_OPEN ? col_time(res, 0, SQL_DEAD_GET_RESOLVED_AT) : 0;
	l->by = col_span(res, 0, SQL_DEAD_GET_BY);
	l->why = col_span(res, 0, SQL_DEAD_GET_WHY);
	l->sweep = col_int(res, 0, SQL_DEAD_GET_SWEEP);
}

static void
on_get(struct request *r)
{
	struct dead_reading *g = reading_of(r);
	bool found = r->status == STORE_OK && PQntuples(r->results[0]) > 0;
	int n = found ? PQntuples(r->results[1]) : 0;
	struct store_attempt *all = mem_zalloc(sizeof(*all) * (size_t)(n + 1));
	struct store_letter l = { 0 };

	if (found) {
		detail_read(r->results[0], &l);
		detail_read_rest(r->results[0], &l);
	}
	for (int i = 0; i < n; i++)
		attempt_read(r->results[1], n - 1 - i, SQL_DEAD_ATTEMPTS_RUN, &all[i]);
	g->get(g->arg, read_status(r), found ? &l : NULL, all, n);
	mem_free(&all);
	reading_free(g, r);
}

void
store_dead_get(struct store *s, const struct id *id, store_dead_get_fn *fn, void *arg)
{
	struct dead_reading *g = reading_new(arg);
	struct request *r = read_request(s, on_get, g);
	struct stmt *t;

	g->get = fn;
	stmt_uuid(request_stmt(r, SQL_DEAD_GET), id);
	t = request_stmt(r, SQL_DEAD_ATTEMPTS);
	stmt_uuid(t, id);
	stmt_int4(t, STORE_ATTEMPTS);
	request_send(store_any_pool(s), r);
}

/* --- causes ------------------------------------------------------------------------------------------------------------------------- */

static void
cause_read(const PGresult *res, int row, struct store_cause *c)
{
	*c = (struct store_cause){
		.id = (int32_t)col_int(res, row, SQL_DEAD_CAUSES_ID),
		.queue = col_span(res, row, SQL_DEAD_CAUSES_QUEUE),
		.task_type = col_span(res, row, SQL_DEAD_CAUSES_KIND),
		.reason = col_span(res, row, SQL_DEAD_CAUSES_REASON),
		.class = (enum task_class)col_int(res, row, SQL_DEAD_CAUSES_CLASS),
		.code = col_span(res, row, SQL_DEAD_CAUSES_CODE),
		.fingerprint = col_id(res, row, SQL_DEAD_CAUSES_FINGERPRINT),
		.schema_version = col_span(res, row, SQL_DEAD_CAUSES_VERSION),
		.sample = col_span(res, row, SQL_DEAD_CAUSES_SAMPLE),
		.first_at = col_time(res, row, SQL_DEAD_CAUSES_FIRST_AT),
		.last_at = col_time(res, row, SQL_DEAD_CAUSES_LAST_AT),
		.filed = col_int(res, row, SQL_DEAD_CAUSES_FILED),
		.open = col_int(res, row, SQL_DEAD_CAUSES_OPEN),
		.oldest_at = col_time(res, row, SQL_DEAD_CAUSES_OLDEST_AT),
		.lately = col_int(res, row, SQL_DEAD_CAUSES_LATELY),
		.seen_by = col_span(res, row, SQL_DEAD_CAUSES_SEEN_BY),
		.note = col_span(res, row, SQL_DEAD_CAUSES_NOTE),
		.seen_at = col_time(res, row, SQL_DEAD_CAUSES_SEEN_AT),
		.owner = col_span(res, row, SQL_DEAD_CAUSES_OWNER),
		.due_at = col_time(res, row, SQL_DEAD_CAUSES_DUE_AT),
	};
}

static void
on_causes(struct request *r)
{
	struct dead_reading *g = reading_of(r);
	struct store_causes all = { .status = read_status(r) };
	int rows = read_rows(r);
	struct store_cause *causes = mem_zalloc(sizeof(*causes) * (size_t)(rows + 1));

	all.causes = causes;
	all.n = rows < STORE_CAUSES ? rows : STORE_CAUSES;
	all.more = rows > STORE_CAUSES;
	for (int i = 0; i < all.n; i++)
		cause_read(r->results[0], i, &causes[i]);
	if (rows > 0)
		all.now = col_time(r->results[0], 0, SQL_DEAD_CAUSES_NOW);
	g->causes(g->arg, &all);
	mem_free(&causes);
	reading_free(g, r);
}

void
store_dead_summary(struct store *s, const struct store_dead_filter *f, store_causes_fn *fn, void *arg)
{
	struct dead_reading *g = reading_new(arg);
	struct request *r = read_request(s, on_causes, g);
	struct stmt *t = request_stmt(r, SQL_DEAD_CAUSES);

	g->causes = fn;
	dead_bind_causes(t, f);
	stmt_int4(t, STORE_CAUSES + 1);
	request_send(store_any_pool(s), r);
}
