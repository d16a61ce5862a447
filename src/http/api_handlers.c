/* api_handlers.c - the handlers of this node as its guard sees them: breaker, retry budget, window; and a way to begin anew.
 *
 * All of it is read from the memory that the processes of the node share: it costs the database nothing, and tells of this node only.
 * The same numbers are on the page of metrics.
 */
#include "base/clock.h"
#include "log/log.h"

#include "http/api_int.h"

struct seen {
	const struct conf_handler *h;
	struct guard_rule rule;
	struct guard_handler *guard;
	struct guard_seen now;
};

static struct seen
look(const struct api *a, const struct conf_handler *h)
{
	struct seen s = { .h = h };

	conf_guard_rule(a->conf, h, &s.rule);
	s.guard = a->guard != NULL ? guard_of(a->guard, span_of(h->title)) : NULL;
	guard_look(s.guard, &s.rule, clock_now(), &s.now);
	return s;
}

/* --- the list ---------------------------------------------------------------------------------------------------------------------- */

static void
put_breaker(struct buf *b, const struct seen *s)
{
	char until[CLOCK_TEXT];

	if (!s->rule.breaker) {
		buf_puts(b, "null");
		return;
	}
	buf_printf(b, "{\"state\":\"%s\",\"until\":", guard_state_name(s->now.state));
	clock_format(clock_wall() + s->now.until, until);
	if (s->now.state == GUARD_STATE_OPEN)
		buf_printf(b, "\"%s\"", until);
	else
		buf_puts(b, "null");
	buf_printf(
	    b, ",\"runs\":%d,\"failures\":%d,\"opened\":%jd}", s->now.runs, s->now.failures, (intmax_t)s->now.opened);
}

static void
put_budget(struct buf *b, const struct seen *s)
{
	if (s->rule.retry_window == 0)
		buf_puts(b, "null");
	else
		buf_printf(b, "{\"left\":%jd,\"window\":%g,\"refused\":%jd}", (intmax_t)s->now.retries_left,
		    (double)s->rule.retry_window / (double)CLOCK_SECOND, (intmax_t)s->now.refused);
}

static void
put_handler(struct buf *b, const struct seen *s)
{
	buf_puts(b, "{\"name\":");
	buf_json_string(b, span_of(s->h->title));
	buf_puts(b, ",\"kind\":\"");
	conf_handler_kind(s->h, b);
	buf_puts(b, "\",\"breaker\":");
	put_breaker(b, s);
	buf_puts(b, ",\"retry_budget\":");
	put_budget(b, s);
	buf_puts(b, ",\"concurrency\":{\"window\":");
	if (s->rule.adaptive)
		buf_printf(b, "%d", s->now.window);
	else
		buf_puts(b, "null");
	buf_printf(b, ",\"running\":%d}}", s->now.running);
}

void
api_handlers(void *app, struct http_request *r)
{
	const struct api *a = api_of(app);
	struct buf b = { 0 };

	buf_puts(&b, "{\"items\":[");
	for (int i = 0; i < a->conf->nhandlers; i++) {
		struct seen s = look(a, &a->conf->handlers[i]);

		if (i > 0)
			buf_putc(&b, ',');
		put_handler(&b, &s);
	}
	buf_puts(&b, "]}");
	api_reply_json(r, &b);
}

/* --- beginning anew ------------------------------------------------------------------------------------------------------------------ */

void
api_refuse_handler(struct http_request *r, struct span name, const char *advice)
{
	struct http_problem p = { .status = 404, .code = "unknown_handler" };

	p.detail = arena_printf(
	    http_arena(r), "no handler of this node is called \"%.*s\"; %s", (int)name.len, name.ptr, advice);
	http_reply_problem(r, &p);
}

struct resetting {
	struct api_call *c;
	const struct conf_handler *h;
	struct store_who who;
};

/* The act is told first: when it cannot be, nothing was done. */
static void
on_told(void *arg, enum store_status status)
{
	struct resetting *g = arg;
	const struct api *a = g->c->api;
	struct seen s = look(a, g->h);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(g->c->r, false);
		return;
	}
	log_notice("handler reset by hand", log_str("handler", g->h->title),
	    log_str("breaker", guard_state_name(s.now.state)), log_span("why", g->who.why), log_span("by", g->who.by));
	guard_reset(s.guard);
	if (a->wake != NULL)
		wake_workers_ring(a->wake);
	s = look(a, g->h);
	put_handler(&b, &s);
	api_reply_json(g->c->r, &b);
}

void
api_handler_reset(void *app, struct http_request *r)
{
	struct resetting *g = arena_alloc(http_arena(r), sizeof(*g));
	struct span name = http_param(r, "name");
	struct buf target = { 0 };

	*g = (struct resetting){ .c = api_call_new(app, r), .h = conf_handler_find(api_of(app)->conf, name) };
	if (!api_who_body(g->c, &g->who))
		return;
	if (g->h == NULL) {
		api_refuse_handler(r, name, "GET /v1/handlers lists them");
		return;
	}
	member_text(&target, "{\"handler\":", span_of(g->h->title));
	buf_putc(&target, '}');
	store_audit_add(g->c->api->store, "handler.reset", &g->who, buf_span(&target), 1, on_told, g);
	buf_free(&target);
}

/* --- metrics ------------------------------------------------------------------------------------------------------------------------- */

static bool
breaker_state(const struct seen *s, int64_t *n_r)
{
	*n_r = (int64_t)s->now.state;
	return s->rule.breaker;
}

static bool
breaker_opened(const struct seen *s, int64_t *n_r)
{
	*n_r = s->now.opened;
	return true;
}

static bool
budget_refused(const struct seen *s, int64_t *n_r)
{
	*n_r = s->now.refused;
	return true;
}

static bool
concurrency_window(const struct seen *s, int64_t *n_r)
{
	*n_r = s->now.window;
	return s->rule.adaptive;
}

/* Their numbers live in the guard, not in counters.def. */
static const struct {
	const char *prom, *kind, *words;
	bool (*value)(const struct seen *s, int64_t *n_r); /* false: it has none */
} families[] = {
	{ "taskq_breaker_state", "gauge", "circuit breaker of the handler: 0 closed, 1 open, 2 half open",
	    breaker_state },
	{ "taskq_breaker_opened_total", "counter", "times that it opened", breaker_opened },
	{ "taskq_retry_budget_refused_total", "counter", "retries that waited for the retry budget", budget_refused },
	{ "taskq_concurrency_window", "gauge", "runs at once of an adaptive handler", concurrency_window },
};

void
api_handlers_metrics(const struct api *a, struct buf *b)
{
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", families[f].prom, families[f].words, families[f].prom,
		    families[f].kind);
		for (int i = 0; i < a->conf->nhandlers; i++) {
			struct seen s = look(a, &a->conf->handlers[i]);
			int64_t n;

			if (!families[f].value(&s, &n))
				continue;
			buf_printf(b, "%s{handler=\"", families[f].prom);
			api_put_label(b, s.h->title);
			buf_printf(b, "\"} %jd\n", (intmax_t)n);
		}
	}
}
