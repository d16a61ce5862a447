/* store_sweep.c - sweeps: a preview, made, listed, paused, ended; see store_sweep.h.
 *
 * All verbs may be repeated after a cut: a second try of a new sweep finds by its token that of the first.  Whoever makes one rings the
 * keeper of this node; those of others look from time to time.  Logs what operators did.  Next: store_sweep_step.c.
 */
#include <inttypes.h>
#include <string.h>

#include "log/log.h"

#include "store/store_dead_int.h"
#include "store/store_sweep.h"

const char *
store_act_word(enum store_act act)
{
	static const char *const words[STORE_ACTS] = {
		[STORE_ACT_REPLAY] = "replay",
		[STORE_ACT_DISCARD] = "discard",
		[STORE_ACT_FIX] = "fix",
	};

	ASSERT((int)act > 0 && (int)act < STORE_ACTS);
	return words[act];
}

const char *
store_sweep_word(enum store_sweep_state state)
{
	static const char *const words[STORE_SWEEP_STATES] = {
		[STORE_SWEEP_RUNS] = "running",
		[STORE_SWEEP_PAUSED] = "paused",
		[STORE_SWEEP_DONE] = "done",
		[STORE_SWEEP_CANCELLED] = "cancelled",
		[STORE_SWEEP_STOPPED] = "stopped",
	};

	ASSERT((int)state > 0 && (int)state < STORE_SWEEP_STATES);
	return words[state];
}

static void
ring(struct store *s)
{
	if (s->o.wake != NULL)
		wake_sweeps_changed(s->o.wake);
}

/* --- the filter, as the statements read it -------------------------------------------------------------------------------------- */

static void
put_name(struct buf *b, const char *name)
{
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
}

static void
put_word(struct buf *b, const char *name, struct span s)
{
	if (s.len == 0)
		return;
	put_name(b, name);
	buf_json_string(b, s);
}

static void
put_time(struct buf *b, const char *name, int64_t wall)
{
	char text[CLOCK_TEXT];

	if (wall == 0)
		return;
	clock_format(wall, text);
	put_word(b, name, span_of(text));
}

static void
put_id(struct buf *b, const struct id *id)
{
	char text[ID_TEXT];

	id_format(id, text);
	buf_json_string(b, span_of(text));
}

static void
put_causes(struct buf *b, const struct store_dead_filter *f)
{
	put_word(b, "queue", f->queue);
	put_word(b, "task_type", f->task_type);
	put_word(b, "reason", f->reason);
	put_word(b, "code", f->code);
	if (f->class != TASK_CLASS_NONE) {
		put_name(b, "class");
		buf_printf(b, "%d", (int)f->class);
	}
	if (!id_is_zero(&f->fingerprint)) {
		put_name(b, "fingerprint");
		put_id(b, &f->fingerprint);
	}
	if (f->cause != 0) {
		put_name(b, "cause");
		buf_printf(b, "%d", (int)f->cause);
	}
	if (f->schema_version.ptr != NULL) {
		put_name(b, "schema_version");
		buf_json_string(b, f->schema_version);
	}
}

static void
put_letters(struct buf *b, const struct store_dead_filter *f)
{
	if (f->label_name.len > 0) {
		put_name(b, "label");
		buf_putc(b, '{');
		buf_json_string(b, f->label_name);
		buf_putc(b, ':');
		buf_json_string(b, f->label_value);
		buf_putc(b, '}');
	}
	put_time(b, "died_after", f->died_after);
	put_time(b, "died_before", f->died_before);
	if (f->nids == 0)
		return;
	put_name(b, "ids");
	for (int i = 0; i < f->nids; i++) {
		buf_putc(b, i > 0 ? ',' : '[');
		put_id(b, &f->ids[i]);
	}
	buf_putc(b, ']');
}

static void
bind_filter(struct stmt *t, const struct store_dead_filter *f)
{
	struct buf b = { 0 };

	buf_putc(&b, '{');
	put_causes(&b, f);
	put_letters(&b, f);
	buf_putc(&b, '}');
	stmt_text(t, buf_span(&b));
	buf_free(&b);
}

/* --- a preview ------------------------------------------------------------------------------------------------------------------ */

struct counting {
	store_sweep_count_fn *fn;
	void *arg;
};

static void
read_count(const PGresult *res, struct store_sweep_count *c, struct id *ids)
{
	c->n = col_int(res, 0, SQL_SWEEP_COUNT_N);
	c->exact = col_bool(res, 0, SQL_SWEEP_COUNT_WHOLE) && !col_bool(res, 0, SQL_SWEEP_COUNT_UNFILED);
	c->estimate = col_int(res, 0, SQL_SWEEP_COUNT_ESTIMATE);
	c->blocked = col_int(res, 0, SQL_SWEEP_COUNT_BLOCKED);
	c->ids = ids;
	for (int i = 0; i < PQntuples(res) && !col_null(res, i, SQL_SWEEP_COUNT_ID); i++)
		ids[c->nids++] = col_id(res, i, SQL_SWEEP_COUNT_ID);
}

static void
on_count(struct request *r)
{
	struct counting *g = r->arg;
	struct store_sweep_count c = { .status = read_status(r) };
	struct id ids[STORE_SWEEP_SAMPLE];

	if (r->status == STORE_OK)
		read_count(r->results[0], &c, ids);
	g->fn(g->arg, &c);
	mem_free(&g);
	request_free(&r);
}

void
store_sweep_count(struct store *s, const struct store_dead_filter *f, store_sweep_count_fn *fn, void *arg)
{
	struct counting *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_count, g);
	struct stmt *t = request_stmt(r, SQL_SWEEP_COUNT);

	*g = (struct counting){ .fn = fn, .arg = arg };
	bind_filter(t, f);
	stmt_int4(t, STORE_SWEEP_BOUND);
	stmt_int4(t, STORE_SWEEP_SAMPLE);
	request_send(store_any_pool(s), r);
}

/* --- made --------------------------------------------------------------------------------------------------------------------------- */

enum { AT_GATE, AT_NEW }; /* places of the statements */

struct making {
	struct store *store;
	store_sweep_made_fn *fn;
	void *arg;
	enum store_act act;
};

static void
read_made(const struct making *g, const PGresult *res, struct store_sweep_made *m)
{
	m->made = col_int(res, 0, SQL_SWEEP_NEW_MADE);
	m->known = col_int(res, 0, SQL_SWEEP_NEW_KNOWN);
	m->other = col_int(res, 0, SQL_SWEEP_NEW_OTHER);
	m->act = (enum store_act)col_int(res, 0, SQL_SWEEP_NEW_ACT);
	if (m->known == 0 ? m->made == 0 : !col_bool(res, 0, SQL_SWEEP_NEW_SAME))
		m->status = STORE_REFUSED;
	if (m->made == 0)
		return;
	log_notice(
	    "an act for many dead letters begins", log_str("act", store_act_word(g->act)), log_int("id", m->made));
	ring(g->store);
}

static void
on_made(struct request *r)
{
	struct making *g = r->arg;
	struct store_sweep_made m = { .status = act_status(r) };

	if (r->status == STORE_OK)
		read_made(g, r->results[AT_NEW], &m);
	g->fn(g->arg, &m);
	mem_free(&g);
	request_free(&r);
}

static void
bind_how(struct stmt *t, const struct store_sweep_how *h)
{
	stmt_int8(t, h->rate);
	stmt_int8(t, h->slow);
	stmt_int4(t, h->concurrency);
	stmt_int4(t, h->canary);
	if (h->stop_share >= 0)
		stmt_int2(t, h->stop_share);
	else
		stmt_null(t);
	stmt_int4(t, h->stop_least);
	if (h->most > 0)
		stmt_int8(t, h->most);
	else
		stmt_null(t);
}

void
store_sweep_make(struct store *s, const struct store_sweep_wish *w, store_sweep_made_fn *fn, void *arg)
{
	struct making *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_made, g);
	struct stmt *t;

	*g = (struct making){ .store = s, .fn = fn, .arg = arg, .act = w->act };
	request_stmt(r, SQL_SWEEP_GATE);
	t = request_stmt(r, SQL_SWEEP_NEW);
	stmt_text(t, w->token);
	stmt_bytea(t, (struct span){ (const char *)w->fp, DIGEST_LEN });
	stmt_int2(t, (int)w->act);
	bind_filter(t, w->filter);
	bind_how(t, &w->how);
	if (w->payload.len > 0)
		stmt_bytea(t, w->payload);
	else
		stmt_null(t);
	audit_bind(t, &w->who);
	stmt_int8(t, w->total);
	stmt_text(t, w->asked);
	stmt_bool(t, w->idle);
	request_send(store_any_pool(s), r);
}

/* --- read ------------------------------------------------------------------------------------------------------------------------- */

static struct store_sweep_how
how_of(const PGresult *res, int row)
{
	return (struct store_sweep_how){
		.rate = col_int(res, row, SQL_SWEEP_LIST_RATE),
		.slow = col_int(res, row, SQL_SWEEP_LIST_SLOW),
		.concurrency = (int)col_int(res, row, SQL_SWEEP_LIST_CONCURRENCY),
		.canary = (int)col_int(res, row, SQL_SWEEP_LIST_CANARY),
		.stop_share = (int)col_int_or(res, row, SQL_SWEEP_LIST_STOP_SHARE, -1),
		.stop_least = (int)col_int(res, row, SQL_SWEEP_LIST_STOP_LEAST),
		.most = col_int(res, row, SQL_SWEEP_LIST_MOST),
	};
}

static struct store_sweep
sweep_of(const PGresult *res, int row)
{
	return (struct store_sweep){
		.id = col_int(res, row, SQL_SWEEP_LIST_ID),
		.act = (enum store_act)col_int(res, row, SQL_SWEEP_LIST_ACT),
		.state = (enum store_sweep_state)col_int(res, row, SQL_SWEEP_LIST_STATE),
		.filter = col_span(res, row, SQL_SWEEP_LIST_ASKED),
		.how = how_of(res, row),
		.edited = col_bool(res, row, SQL_SWEEP_LIST_EDITED),
		.who.by = col_span(res, row, SQL_SWEEP_LIST_BY),
		.who.why = col_span(res, row, SQL_SWEEP_LIST_WHY),
		.at = col_time(res, row, SQL_SWEEP_LIST_AT),
		.total = col_int(res, row, SQL_SWEEP_LIST_TOTAL),
		.moved = col_int(res, row, SQL_SWEEP_LIST_MOVED),
		.blocked = col_int(res, row, SQL_SWEEP_LIST_BLOCKED),
		.in_flight = col_int(res, row, SQL_SWEEP_LIST_IN_FLIGHT),
		.succeeded = col_int(res, row, SQL_SWEEP_LIST_SUCCEEDED),
		.failed = col_int(res, row, SQL_SWEEP_LIST_FAILED),
		.cancelled = col_int(res, row, SQL_SWEEP_LIST_CANCELLED),
		.walked = col_bool(res, row, SQL_SWEEP_LIST_WALKED),
		.held = col_span(res, row, SQL_SWEEP_LIST_HELD),
		.ended_at = col_time(res, row, SQL_SWEEP_LIST_ENDED_AT),
		.ended_why = col_span(res, row, SQL_SWEEP_LIST_ENDED_WHY),
	};
}

static void
bind_list(struct stmt *t, int64_t id, int64_t before, int limit)
{
	stmt_int8(t, id);
	stmt_int8(t, before);
	stmt_int4(t, limit);
}

struct listing {
	store_sweeps_fn *fn;
	void *arg;
};

static void
on_list(struct request *r)
{
	struct listing *l = r->arg;
	int n = read_rows(r);
	struct store_sweep *sweeps = mem_zalloc(sizeof(*sweeps) * (size_t)(n + 1));

	for (int i = 0; i < n; i++)
		sweeps[i] = sweep_of(r->results[0], i);
	l->fn(l->arg, read_status(r), sweeps, n);
	mem_free(&sweeps);
	mem_free(&l);
	request_free(&r);
}

void
store_sweeps(struct store *s, int64_t id, int64_t before, int limit, store_sweeps_fn *fn, void *arg)
{
	struct listing *l = mem_zalloc(sizeof(*l));
	struct request *r = read_request(s, on_list, l);

	*l = (struct listing){ .fn = fn, .arg = arg };
	bind_list(request_stmt(r, SQL_SWEEP_LIST), id, before, limit);
	request_send(store_any_pool(s), r);
}

/* --- by hand --------------------------------------------------------------------------------------------------------------------- */

enum { AT_SET, AT_LIST };

struct setting {
	struct store *store;
	store_sweep_set_fn *fn;
	void *arg;
};

static void
on_set(struct request *r)
{
	struct setting *g = r->arg;
	bool good = r->status == STORE_OK, changed = good && PQntuples(r->results[AT_SET]) > 0;
	struct store_sweep sweep = { 0 };

	if (good && PQntuples(r->results[AT_LIST]) > 0)
		sweep = sweep_of(r->results[AT_LIST], 0);
	if (changed && sweep.id != 0) {
		log_notice("an act for many dead letters was told otherwise", log_str("act", store_act_word(sweep.act)),
		    log_int("id", sweep.id), log_str("state", store_sweep_word(sweep.state)));
		ring(g->store);
	}
	g->fn(g->arg, act_status(r), changed, sweep.id != 0 ? &sweep : NULL);
	mem_free(&g);
	request_free(&r);
}

void
store_sweep_set(struct store *s, int64_t id, enum store_sweep_state to, const struct store_who *who,
    store_sweep_set_fn *fn, void *arg)
{
	struct setting *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_set, g);
	struct stmt *t = request_stmt(r, SQL_SWEEP_SET);

	*g = (struct setting){ .store = s, .fn = fn, .arg = arg };
	stmt_int8(t, id);
	stmt_int2(t, (int)to);
	audit_bind(t, who);
	bind_list(request_stmt(r, SQL_SWEEP_LIST), id, INT64_MAX, 1);
	request_send(store_any_pool(s), r);
}
