/* store_pause.c - what is not started now: queues, task types, handlers.
 *
 * A pause is a row that workers read with their lanes.  The first who pauses something stays, with his reason: an operator who pauses a
 * handler that the daemon paused for its credentials learns of those.  Both verbs may be repeated after a cut; then somebody may have been in
 * between, and `changed` tells only of the last try.  Logs what is paused and resumed.  Next: run/run_pause.c.
 */
#include <stdio.h>

#include "log/log.h"

#include "store/store_int.h"

enum { AT_ADD, AT_READ }; /* places of the statements of a pause; a resumption has one */

struct pausing {
	store_pause_fn *fn;
	void *arg;
	struct store *store;
	bool ends;
};

const char *
store_paused_word(enum store_paused what)
{
	static const char *const words[STORE_PAUSED_WHATS] = {
		[STORE_PAUSED_QUEUE] = "queue",
		[STORE_PAUSED_TYPE] = "type",
		[STORE_PAUSED_HANDLER] = "handler",
	};

	ASSERT((int)what > 0 && (int)what < STORE_PAUSED_WHATS);
	return words[what];
}

/* The columns of pause_read, pause_end and pause_list. */
static struct store_pause
pause_of(const PGresult *res, int row)
{
	return (struct store_pause){
		.what = (enum store_paused)col_int(res, row, SQL_PAUSE_READ_WHAT),
		.name = col_span(res, row, SQL_PAUSE_READ_NAME),
		.why = col_span(res, row, SQL_PAUSE_READ_WHY),
		.by = col_span(res, row, SQL_PAUSE_READ_BY),
		.at = col_time(res, row, SQL_PAUSE_READ_AT),
	};
}

static void
tell(const struct pausing *g, const struct store_pause *p)
{
	log_notice(g->ends ? "resumed" : "paused", log_str("what", store_paused_word(p->what)),
	    log_span("name", p->name), log_span("why", p->why), log_span("by", p->by));
	if (g->store->o.wake != NULL)
		wake_pauses_changed(g->store->o.wake);
}

static void
on_pause(struct request *r)
{
	struct pausing *g = r->arg;
	bool good = r->status == STORE_OK;
	int at = g->ends ? 0 : AT_READ;
	bool found = good && PQntuples(r->results[at]) > 0, changed = found && PQntuples(r->results[0]) > 0;
	struct store_pause p = { 0 };

	if (found)
		p = pause_of(r->results[at], 0);
	if (changed)
		tell(g, &p);
	g->fn(g->arg, act_status(r), changed, found ? &p : NULL);
	mem_free(&g);
	request_free(&r);
}

static struct request *
pause_request(struct store *s, bool ends, store_pause_fn *fn, void *arg)
{
	struct pausing *g = mem_zalloc(sizeof(*g));

	*g = (struct pausing){ .fn = fn, .arg = arg, .store = s, .ends = ends };
	return read_request(s, on_pause, g);
}

static void
bind_key(struct stmt *t, enum store_paused what, struct span name)
{
	stmt_int2(t, (int)what);
	stmt_text(t, name);
}

void
store_pause(struct store *s, const struct store_pause *p, store_pause_fn *fn, void *arg)
{
	struct request *r = pause_request(s, false, fn, arg);
	struct stmt *t = request_stmt(r, SQL_PAUSE_ADD);

	bind_key(t, p->what, p->name);
	stmt_text(t, p->why);
	stmt_text(t, p->by);
	bind_key(request_stmt(r, SQL_PAUSE_READ), p->what, p->name);
	request_send(store_any_pool(s), r);
}

void
store_resume(struct store *s, const struct store_pause *p, store_pause_fn *fn, void *arg)
{
	struct request *r = pause_request(s, true, fn, arg);
	struct stmt *t = request_stmt(r, SQL_PAUSE_END);

	bind_key(t, p->what, p->name);
	stmt_text(t, p->why);
	stmt_text(t, p->by);
	request_send(store_any_pool(s), r);
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

struct listing {
	store_pauses_fn *fn;
	void *arg;
};

static void
on_pauses(struct request *r)
{
	struct listing *l = r->arg;
	int n = read_rows(r);
	struct store_pause *pauses = mem_zalloc(sizeof(*pauses) * (size_t)(n + 1));
	int i;

	for (i = 0; i < n; i++)
		pauses[i] = pause_of(r->results[0], i);
	l->fn(l->arg, read_status(r), pauses, n);
	mem_free(&pauses);
	mem_free(&l);
	request_free(&r);
}

/* --- for the node ------------------------------------------------------------------------------------------------------ */

struct watching {
	struct store *store;
	store_count_fn *fn;
	void *arg;
};

static void
on_watched(struct request *r)
{
	struct watching *g = r->arg;
	int n = read_rows(r);
	struct wake_paused *all = mem_zalloc(sizeof(*all) * (size_t)(n + 1));
	struct store_pause p;
	int i;

	for (i = 0; i < n; i++) {
		p = pause_of(r->results[0], i);
		all[i].what = (int)p.what;
		(void)snprintf(all[i].name, sizeof(all[i].name), "%.*s", (int)p.name.len, p.name.ptr);
	}
	if (r->status == STORE_OK && g->store->o.wake != NULL)
		wake_paused_set(g->store->o.wake, all, n);
	g->fn(g->arg, r->status, 0, -1);
	mem_free(&all);
	mem_free(&g);
	request_free(&r);
}

void
store_watch_pauses(struct store *s, store_count_fn *fn, void *arg)
{
	struct watching *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_watched, g);

	*g = (struct watching){ .store = s, .fn = fn, .arg = arg };
	stmt_int4(request_stmt(r, SQL_PAUSE_LIST), WAKE_PAUSED);
	request_send(keep_pool(s), r);
}

/* --- for whoever asks ---------------------------------------------------------------------------------------------------- */

void
store_pauses(struct store *s, store_pauses_fn *fn, void *arg)
{
	struct listing *l = mem_zalloc(sizeof(*l));
	struct request *r = read_request(s, on_pauses, l);

	l->fn = fn;
	l->arg = arg;
	stmt_int4(request_stmt(r, SQL_PAUSE_LIST), STORE_PAUSES);
	request_send(store_any_pool(s), r);
}
