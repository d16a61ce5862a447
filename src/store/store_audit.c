/* store_audit.c - the acts of operators: read, and the way in for those that are not acts of the database.
 *
 * An act of the database writes its row by a part of its own statement, which binds `by` and `why` with audit_bind(): so it is told once, also
 * when the statement is sent twice.  Logs nothing.  Next: http/api_audit.c.
 */
#include "store/store_audit.h"
#include "store/store_int.h"

#define LOOKS 10000 /* rows that a page looks at */

/* --- for those who act ------------------------------------------------------------------------------------------------------ */

void
audit_bind(struct stmt *t, const struct store_who *who)
{
	stmt_text(t, who->by);
	stmt_text(t, who->why);
}

static void
audit_add(struct request *r, const char *act, const struct store_who *who, struct span target, int64_t n)
{
	struct stmt *t = request_stmt(r, SQL_AUDIT);

	stmt_text(t, span_of(act));
	audit_bind(t, who);
	stmt_text(t, target);
	stmt_int8(t, n);
}

struct adding {
	store_audited_fn *fn;
	void *arg;
};

static void
on_added(struct request *r)
{
	struct adding *g = r->arg;

	g->fn(g->arg, act_status(r));
	mem_free(&g);
	request_free(&r);
}

void
store_audit_add(struct store *s, const char *act, const struct store_who *who, struct span target, int64_t n,
    store_audited_fn *fn, void *arg)
{
	struct adding *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_added, g);

	*g = (struct adding){ .fn = fn, .arg = arg };
	r->repeat = false;
	audit_add(r, act, who, target, n);
	request_send(store_any_pool(s), r);
}

/* --- for those who look ------------------------------------------------------------------------------------------------------ */

struct reading {
	store_audit_fn *fn;
	void *arg;
	int limit;
};

static struct store_audit
audit_of(const PGresult *res, int row)
{
	return (struct store_audit){
		.id = col_int(res, row, SQL_AUDIT_LIST_ID),
		.at = col_time(res, row, SQL_AUDIT_LIST_AT),
		.act = col_span(res, row, SQL_AUDIT_LIST_ACT),
		.who.by = col_span(res, row, SQL_AUDIT_LIST_BY),
		.who.why = col_span(res, row, SQL_AUDIT_LIST_WHY),
		.target = col_span(res, row, SQL_AUDIT_LIST_TARGET),
		.n = col_int(res, row, SQL_AUDIT_LIST_N),
	};
}

/* The row without an act tells how far was looked. */
static void
read_page(const PGresult *res, int limit, struct store_audit_page *page, struct store_audit *rows)
{
	for (int i = 0; i < PQntuples(res); i++) {
		if (col_null(res, i, SQL_AUDIT_LIST_ACT))
			page->next = col_int(res, i, SQL_AUDIT_LIST_ID);
		else
			rows[page->nrows++] = audit_of(res, i);
	}
	if (page->nrows == limit)
		page->next = rows[limit - 1].id;
	page->rows = rows;
}

static void
on_read(struct request *r)
{
	struct reading *g = r->arg;
	struct store_audit_page page = { .status = read_status(r) };
	struct store_audit *rows = mem_zalloc(sizeof(*rows) * (size_t)(g->limit + 1));

	if (r->status == STORE_OK)
		read_page(r->results[0], g->limit, &page, rows);
	g->fn(g->arg, &page);
	mem_free(&rows);
	mem_free(&g);
	request_free(&r);
}

static void
bind_wanted(struct stmt *t, struct span text)
{
	if (text.len == 0)
		stmt_null(t);
	else
		stmt_text(t, text);
}

void
store_audit(struct store *s, const struct store_audit_filter *f, store_audit_fn *fn, void *arg)
{
	struct reading *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_read, g);
	struct stmt *t = request_stmt(r, SQL_AUDIT_LIST);

	*g = (struct reading){ .fn = fn, .arg = arg, .limit = f->limit };
	stmt_int8(t, f->before != 0 ? f->before : INT64_MAX);
	bind_wanted(t, f->act);
	bind_wanted(t, f->by);
	stmt_time(t, f->since);
	stmt_int4(t, f->limit);
	stmt_int4(t, LOOKS);
	request_send(store_any_pool(s), r);
}
