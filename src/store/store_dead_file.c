/* store_dead_file.c - the keeper's duties for dead letters: files them, counts them, deletes old ones.
 *
 * A letter that was just written has no cause.  A small batch is read, fingerprints are computed here, and one transaction makes sure of the
 * causes, files the letters and counts them; whoever else files the same ones finds them locked, or filed.  So all may be repeated.
 * Logs a batch that the database refuses.  Next: store_dead_read.c.
 */
#include <stdio.h>

#include "log/log.h"
#include "stats/stats.h"

#include "store/store_dead_int.h"

#define FILE_MAGIC 0x5c0adeadU
#define FILE_BATCH 200
#define FOLD_BATCH 1000
#define CAUSES_MOST 500   /* of a queue and a task type; those beyond share one for each reason */
#define FILE_ATTEMPTS 200 /* that are copied into a letter */
#define PURGE_ROWS 1000   /* of one stretch */
#define PURGE_PAUSE CLOCK_SECOND
#define PURGE_REST (60 * CLOCK_SECOND) /* between two walks, at most; and ... */
#define PURGE_SHARE 60                 /* ... no more than such a part of what is kept */
#define UNFILED_BOUND 10001

struct filing {
	unsigned magic;
	struct store *store;
	store_count_fn *fn;
	void *arg;
	struct arena *arena; /* what was computed */
	int64_t count;
	int n;
};

/* A letter that is being filed, with what is found out about it. */
struct unfiled {
	struct id id;
	int64_t lease_id;
	int bucket;
	const char *reason;
	struct id fingerprint;
	struct span version, trace, labels;
};

static struct filing *
filing_new(struct store *s, store_count_fn *fn, void *arg)
{
	struct filing *g = mem_zalloc(sizeof(*g));

	*g = (struct filing){ .magic = FILE_MAGIC, .store = s, .fn = fn, .arg = arg };
	return g;
}

static void
filing_answer(struct filing *g, enum store_status status, int64_t next)
{
	g->fn(g->arg, status, g->count, next);
	arena_free(&g->arena);
	g->magic = 0;
	mem_free(&g);
}

static int64_t
sum(const PGresult *res)
{
	int64_t n = 0;

	for (int row = 0; row < PQntuples(res); row++)
		n += col_int(res, row, 0);
	return n;
}

/* --- what a letter is about -------------------------------------------------------------------------------------------------- */

static struct span
labels_json(struct arena *a, const struct task_row *row)
{
	struct buf b = { 0 };
	struct span s;

	if (row->nlabels == 0)
		return (struct span){ 0 };
	for (int i = 0; i < row->nlabels; i++) {
		buf_putc(&b, i > 0 ? ',' : '{');
		buf_json_string(&b, row->labels[i].name);
		buf_putc(&b, ':');
		buf_json_string(&b, row->labels[i].value);
	}
	buf_putc(&b, '}');
	s = arena_span(a, buf_span(&b));
	buf_free(&b);
	return s;
}

static void
unfiled_read(struct arena *a, const PGresult *res, int row, struct unfiled *u)
{
	struct task_row options = { 0 };
	enum task_class class = (enum task_class)col_int(res, row, SQL_DEAD_UNFILED_CLASS);

	u->id = col_id(res, row, SQL_DEAD_UNFILED_ID);
	u->lease_id = col_int(res, row, SQL_DEAD_UNFILED_LEASE_ID);
	u->bucket = (int)col_int(res, row, SQL_DEAD_UNFILED_BUCKET);
	u->reason = task_dead_reason(col_span(res, row, SQL_DEAD_UNFILED_REASON));
	u->fingerprint = task_fingerprint(
	    class, col_span(res, row, SQL_DEAD_UNFILED_CODE), col_span(res, row, SQL_DEAD_UNFILED_MESSAGE));
	if (!task_options_unpack(col_span(res, row, SQL_DEAD_UNFILED_OPTIONS), &options))
		return;
	u->version = arena_span(a, options.schema_version);
	u->trace = arena_span(a, options.trace_id);
	u->labels = labels_json(a, &options);
}

/* --- filing ---------------------------------------------------------------------------------------------------------------------- */

/* The six arrays that both statements begin with. */
static void
bind_letters(struct stmt *t, const struct unfiled *all, int n)
{
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_uuid(t, &all[i].id);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_int8(t, all[i].lease_id);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_int2(t, all[i].bucket);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_text(t, span_of(all[i].reason));
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_uuid(t, &all[i].fingerprint);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_text(t, all[i].version);
	stmt_array_end(t);
}

static void
on_filed(struct request *r)
{
	struct filing *g = r->arg;

	MAGIC_CHECK(g, FILE_MAGIC);
	if (r->status == STORE_OK) {
		g->count = sum(r->results[1]);
		stats_add(S_LETTERS_FILED, g->count);
	} else if (r->status == STORE_REFUSED) {
		log_error("could not file dead letters", log_str("why", r->why));
	}
	filing_answer(g, r->status, g->n == FILE_BATCH && g->count > 0 ? 0 : -1);
	request_free(&r);
}

static void
file(struct filing *g, const PGresult *res)
{
	struct request *r = read_request(g->store, on_filed, g);
	struct unfiled *all = arena_alloc(g->arena, sizeof(*all) * (size_t)g->n);
	struct stmt *t;

	for (int i = 0; i < g->n; i++)
		unfiled_read(g->arena, res, i, &all[i]);
	t = request_stmt(r, SQL_CAUSE_MAKE);
	bind_letters(t, all, g->n);
	stmt_int4(t, CAUSES_MOST);
	t = request_stmt(r, SQL_DEAD_FILE);
	bind_letters(t, all, g->n);
	stmt_array(t);
	for (int i = 0; i < g->n; i++)
		dead_bind_text(t, all[i].trace);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < g->n; i++)
		dead_bind_text(t, all[i].labels);
	stmt_array_end(t);
	stmt_int4(t, FILE_ATTEMPTS);
	request_send(keep_pool(g->store), r);
}

static void
on_unfiled(struct request *r)
{
	struct filing *g = r->arg;

	MAGIC_CHECK(g, FILE_MAGIC);
	if (r->status == STORE_OK) {
		g->n = PQntuples(r->results[0]);
		g->count = sum(r->results[1]);
		stats_add(S_LETTERS_RESOLVED, g->count);
	}
	if (r->status == STORE_OK && g->n > 0) {
		g->arena = arena_new(16384);
		file(g, r->results[0]);
	} else {
		filing_answer(g, r->status, -1);
	}
	request_free(&r);
}

void
store_file_letters(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_unfiled, filing_new(s, fn, arg));

	stmt_int4(request_stmt(r, SQL_DEAD_UNFILED), FILE_BATCH);
	stmt_int4(request_stmt(r, SQL_CAUSE_FOLD), FOLD_BATCH);
	request_send(keep_pool(s), r);
}

/* --- retention -------------------------------------------------------------------------------------------------------------------- */

/* The walk begins again when it has come to the end. */
static void
on_purged(struct request *r)
{
	struct filing *g = r->arg;
	struct store *s;
	int64_t rest;
	bool ended = true;

	MAGIC_CHECK(g, FILE_MAGIC);
	s = g->store;
	rest = s->o.conf->dead.keep / PURGE_SHARE;
	rest = rest < PURGE_REST ? rest : PURGE_REST;
	if (r->status == STORE_OK) {
		g->count = col_int(r->results[0], 0, SQL_DEAD_PURGE_GONE);
		if (col_int(r->results[0], 0, SQL_DEAD_PURGE_SEEN) == PURGE_ROWS)
			ended = false;
		s->letters_seen = col_id(r->results[0], 0, SQL_DEAD_PURGE_LAST);
		s->letters_seen_lease = col_int(r->results[0], 0, SQL_DEAD_PURGE_LAST_LEASE);
		if (ended) {
			s->letters_seen = (struct id){ 0 };
			s->letters_seen_lease = 0;
		}
	}
	filing_answer(g, r->status, ended ? rest : PURGE_PAUSE);
	request_free(&r);
}

void
store_purge_letters(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_purged, filing_new(s, fn, arg));
	struct stmt *t = request_stmt(r, SQL_DEAD_PURGE);

	stmt_uuid(t, &s->letters_seen);
	stmt_int8(t, s->letters_seen_lease);
	stmt_int4(t, PURGE_ROWS);
	stmt_int8(t, s->o.conf->dead.keep);
	stmt_int8(request_stmt(r, SQL_CAUSE_PURGE), s->o.conf->dead.keep);
	if (id_is_zero(&s->letters_seen)) /* at the beginning of a walk */
		stmt_int8(request_stmt(r, SQL_SWEEP_PURGE), s->o.conf->dead.keep);
	request_send(keep_pool(s), r);
}

/* --- gauges ----------------------------------------------------------------------------------------------------------------------- */

static void
on_queues(struct request *r)
{
	struct filing *g = r->arg;
	struct wake_dead all = { 0 };

	MAGIC_CHECK(g, FILE_MAGIC);
	for (int i = 0; r->status == STORE_OK && i < PQntuples(r->results[0]) && i < WAKE_DEAD; i++) {
		struct span name = col_span(r->results[0], i, SQL_DEAD_QUEUES_QUEUE);

		all.unfiled = col_int(r->results[0], i, SQL_DEAD_QUEUES_UNFILED);
		if (name.len == 0)
			break;
		(void)snprintf(all.queues[i].name, sizeof(all.queues[i].name), "%.*s", (int)name.len, name.ptr);
		all.queues[i].open = col_int(r->results[0], i, SQL_DEAD_QUEUES_OPEN);
		all.queues[i].oldest_at = col_time(r->results[0], i, SQL_DEAD_QUEUES_OLDEST_AT);
		all.n = i + 1;
	}
	if (r->status == STORE_OK && g->store->o.wake != NULL)
		wake_dead_set(g->store->o.wake, &all);
	filing_answer(g, r->status, -1);
	request_free(&r);
}

void
store_watch_letters(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_queues, filing_new(s, fn, arg));
	struct stmt *t = request_stmt(r, SQL_DEAD_QUEUES);

	stmt_int4(t, WAKE_DEAD);
	stmt_int4(t, UNFILED_BOUND);
	request_send(keep_pool(s), r);
}
