/* store_escalate.c - what is overdue, for the keeper who tells it.
 *
 * A cause is given out for a while (cause.escalate_at), so that of several keepers one tells it; should that one die, another does.  It is told
 * once for each due time: a cause whose due time comes after it was told last is told again.  What is told stays to be told until
 * store_escalated() was stored, so it may be told twice, never not at all.  Logs nothing.  Next: keep/keep_escalate.c.
 */
#include "store/store_dead_int.h"

struct watching {
	struct store *store;
	store_watched_fn *fn;
	void *arg;
};

static struct store_overdue
overdue_of(const PGresult *res, int row)
{
	return (struct store_overdue){
		.cause = (int32_t)col_int(res, row, SQL_ESCALATE_ID),
		.queue = col_span(res, row, SQL_ESCALATE_QUEUE),
		.task_type = col_span(res, row, SQL_ESCALATE_KIND),
		.reason = col_span(res, row, SQL_ESCALATE_REASON),
		.class = (enum task_class)col_int(res, row, SQL_ESCALATE_CLASS),
		.code = col_span(res, row, SQL_ESCALATE_CODE),
		.fingerprint = col_id(res, row, SQL_ESCALATE_FINGERPRINT),
		.schema_version = col_span(res, row, SQL_ESCALATE_SCHEMA_VERSION),
		.sample = col_span(res, row, SQL_ESCALATE_SAMPLE),
		.open = col_int(res, row, SQL_ESCALATE_OPEN),
		.oldest_at = col_time(res, row, SQL_ESCALATE_OLDEST_AT),
		.owner = col_span(res, row, SQL_ESCALATE_OWNER),
		.due_at = col_time(res, row, SQL_ESCALATE_DUE_AT),
		.seen_by = col_span(res, row, SQL_ESCALATE_SEEN_BY),
		.note = col_span(res, row, SQL_ESCALATE_NOTE),
		.tries = (int)col_int(res, row, SQL_ESCALATE_TRIES),
	};
}

static void
on_ended(struct request *r)
{
	request_free(&r);
}

/* What was said of causes ends with their last letter. */
static void
end_sayings(struct store *s)
{
	struct request *r = read_request(s, on_ended, s);

	request_stmt(r, SQL_SEEN_END);
	request_send(keep_pool(s), r);
}

static int64_t
next_of(const PGresult *res)
{
	int64_t next;

	if (res == NULL || col_int(res, 0, SQL_ESCALATE_ENDED) > 0)
		return 0;
	if (col_null(res, 0, SQL_ESCALATE_NEXT))
		return INT64_MAX;
	next = col_int(res, 0, SQL_ESCALATE_NEXT);
	return next > 0 ? next : 0;
}

static void
on_watched(struct request *r)
{
	struct watching *g = r->arg;
	struct store_watched w = { .status = read_status(r) };
	const PGresult *res = r->status == STORE_OK ? r->results[0] : NULL;
	struct store_overdue *causes = mem_zalloc(sizeof(*causes) * STORE_ESCALATIONS);

	if (res != NULL) {
		w.causes = col_int(res, 0, SQL_ESCALATE_CAUSES);
		w.overdue = col_int(res, 0, SQL_ESCALATE_OVERDUE);
		w.unowned = col_int(res, 0, SQL_ESCALATE_UNOWNED);
		w.acknowledged = col_int(res, 0, SQL_ESCALATE_ACKNOWLEDGED);
		w.now = col_time(res, 0, SQL_ESCALATE_NOW);
	}
	w.next = next_of(res);
	for (int i = 0; res != NULL && i < PQntuples(res) && !col_null(res, i, SQL_ESCALATE_ID); i++)
		causes[w.n++] = overdue_of(res, i);
	w.late = causes;
	if (res != NULL && col_int(res, 0, SQL_ESCALATE_ENDED) > 0)
		end_sayings(g->store);
	g->fn(g->arg, &w);
	mem_free(&causes);
	mem_free(&g);
	request_free(&r);
}

/* A try that was cut may have given some out; then they are given again when their time is over. */
void
store_escalate(struct store *s, store_watched_fn *fn, void *arg)
{
	struct watching *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_watched, g);
	struct stmt *t = request_stmt(r, SQL_ESCALATE);

	*g = (struct watching){ .store = s, .fn = fn, .arg = arg };
	stmt_int4(t, STORE_ESCALATIONS);
	stmt_int8(t, STORE_ESCALATION);
	request_send(keep_pool(s), r);
}

static void
on_escalated(struct request *r)
{
	request_free(&r);
}

void
store_escalated(struct store *s, int32_t cause, int64_t at)
{
	struct request *r = read_request(s, on_escalated, s);
	struct stmt *t = request_stmt(r, SQL_ESCALATED);

	stmt_int4(t, cause);
	stmt_time(t, at);
	request_send(keep_pool(s), r);
}
