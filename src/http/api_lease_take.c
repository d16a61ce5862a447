/* api_lease_take.c - clients that want tasks.
 *
 * A request claims at once (api_lease_queue.c); one that finds nothing and may wait stands in a list (api_lease_wait.c) and claims again when
 * there may be something.  A client that has gone is not given anything: it is looked for before the claim, and after it, when what was claimed goes back
 * at once.  A task that has expired, or does not fit the schema of its handler, is not given out but buried, as a worker would.
 *
 * What one answer holds is bounded: of API_PULL_BYTES bytes of payloads, or one task, the rest goes back at once.
 *
 * Next: api_lease_queue.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"
#include "task/task_schema.h"

#include "http/api_int.h"

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

/* `got` tasks are for it, or it is over otherwise: the next of those who wait. */
void
api_pull_end(struct api_pull *p, enum store_status status)
{
	struct api_pulls *ps = p->api->pulls;
	bool served = p->served;
	struct buf b = { 0 }, leases = p->leases;

	p->magic = 0;
	if (status != STORE_OK) {
		api_reply_later(p->r, status == STORE_UNSURE);
	} else {
		buf_puts(&b, "{\"leases\":[");
		buf_putspan(&b, buf_span(&leases));
		buf_puts(&b, "]}");
		api_reply_json(p->r, &b);
	}
	buf_free(&leases);
	if (served)
		api_pulls_serve(ps);
}

/* The envelope, and until when. */
static void
put_lease(struct api_pull *p, const struct store_claimed *c, const struct store_pulled_time *time)
{
	const struct conf_handler *h = conf_handler_find(p->api->conf, c->row.task_type);
	struct task_envelope e = { .row = &c->row, .attempt = c->attempts + 1, .lease_id = c->lease.lease_id };
	double waited = (double)(time->at - c->row.updated_at) / (double)CLOCK_SECOND;

	e.deadline = time->at + (h != NULL ? h->timeout : 0);
	if (p->nleases++ > 0)
		buf_putc(&p->leases, ',');
	task_envelope_json(&p->leases, &e);
	p->leases.len--; /* its brace */
	buf_printf(&p->leases, ",\"lease_until\":\"%s\"}", api_time(p->r, time->until));
	stats_waited(stats_series(c->row.queue, c->row.task_type), waited > 0 ? waited : 0);
}

/* --- what is not given out ------------------------------------------------------------------------------------------------------ */

/* As run_task.c has it; null: it may run. */
static struct task_failure *
refusal_of(struct api_pull *p, const struct store_claimed *c)
{
	const struct conf *conf = p->api->conf;
	const struct conf_handler *h = conf_handler_find(conf, c->row.task_type);
	const struct task_schema *schema = h != NULL ? conf_handler_schema(conf, h) : NULL;
	struct task_failure *f = arena_alloc(http_arena(p->r), sizeof(*f));
	struct task_problem why;

	f->class = TASK_NON_RETRYABLE;
	f->exit = -1;
	if (task_is_expired(&c->row, store_db_now(p->api->store))) {
		snprintf(f->code, sizeof(f->code), "EXPIRED");
		snprintf(f->message, sizeof(f->message), "not started in time");
		stats_inc(S_EXPIRED);
		return f;
	}
	if (schema == NULL || task_schema_check(schema, c->row.payload, &why))
		return NULL;
	snprintf(f->code, sizeof(f->code), "INVALID_PAYLOAD");
	snprintf(f->message, sizeof(f->message), "payload does not fit the schema of its handler: %s: %s", why.pointer,
	    why.detail);
	return f;
}

static void
refuse(struct api_pull *p, const struct store_claimed *c, const struct task_failure *f)
{
	struct store_saying *s = &p->refused[p->nrefused++];

	*s = (struct store_saying){ .id = c->row.id, .lease_id = c->lease.lease_id, .refusal = f };
	s->charge = strcmp(f->code, "EXPIRED") != 0;
}

static void
on_buried(void *arg, enum store_status status, const struct store_reply *replies UNUSED, int n UNUSED)
{
	struct api_pull *p = arg;

	MAGIC_CHECK(p, API_PULL_MAGIC);
	p->nrefused = 0;
	if (p->nleases > 0 || status != STORE_OK)
		api_pull_end(p, p->nleases > 0 ? STORE_OK : STORE_FAILED);
	else
		api_pull_claim(p);
}

/* Those that are not given out first, then the answer. */
static void
give_out(struct api_pull *p)
{
	if (p->nrefused > 0)
		store_say(p->api->store, STORE_WORD_REFUSE, p->refused, p->nrefused, on_buried, p);
	else if (p->nleases == 0 && !http_client_left(p->r))
		api_pull_claim(p); /* a breaker opened meanwhile */
	else
		api_pull_end(p, STORE_OK);
}

/* Should it fail they are ready again when their leases end. */
static void
on_returned(void *arg, enum store_status status, const struct store_reply *replies UNUSED, int n UNUSED)
{
	struct api_pull *p = arg;

	MAGIC_CHECK(p, API_PULL_MAGIC);
	p->nreturned = 0;
	if (p->nleases == 0 && p->nrefused == 0 && status != STORE_OK)
		api_pull_end(p, STORE_FAILED);
	else
		give_out(p);
}

static void
put_returned(struct api_pull *p, const struct store_claimed *tasks, int n)
{
	for (int i = 0; i < n; i++)
		p->returned[p->nreturned++] =
		    (struct store_saying){ .id = tasks[i].row.id, .lease_id = tasks[i].lease.lease_id };
}

/* --- what was claimed ------------------------------------------------------------------------------------------------------------- */

static void
hand_out(struct api_pull *p, const struct store_pulled *got, struct run_pull *order)
{
	const struct task_failure *f;
	int i;

	p->refused = arena_alloc(http_arena(p->r), sizeof(*p->refused) * (size_t)got->ntasks);
	for (i = 0; i < got->ntasks; i++) {
		f = refusal_of(p, &got->tasks[i]);
		if (f != NULL)
			refuse(p, &got->tasks[i], f);
		else if (run_pull_lend(order, got->tasks[i].row.task_type))
			put_lease(p, &got->tasks[i], &got->times[i]);
		else
			put_returned(p, &got->tasks[i], 1);
	}
	log_debug("leased to a client", log_span("worker", p->worker), log_int("tasks", p->nleases));
}

/* Of a client that has gone all go back. */
void
api_pull_got(struct api_pull *p, const struct store_pulled *got, struct run_pull *order)
{
	MAGIC_CHECK(p, API_PULL_MAGIC);
	p->returned = arena_alloc(http_arena(p->r), sizeof(*p->returned) * (size_t)(got->ntasks + got->nover));
	if (http_client_left(p->r))
		put_returned(p, got->tasks, got->ntasks);
	else
		hand_out(p, got, order);
	put_returned(p, got->over, got->nover);
	if (p->nreturned > 0)
		store_say(p->api->store, STORE_WORD_RETURN, p->returned, p->nreturned, on_returned, p);
	else
		give_out(p);
}

/* --- the request ---------------------------------------------------------------------------------------------------------------- */

/* False: answered. */
static bool
check_types(struct api_pull *p)
{
	const struct conf *c = p->api->conf;
	struct http_problem wrong = { .status = 400, .code = "invalid_field" };
	int i, n = 0;

	for (i = 0; i < c->nhandlers; i++)
		n += c->handlers[i].kind == CONF_HANDLER_LEASE;
	wrong.pointer = "";
	wrong.detail =
	    "the configuration has no handler of kind lease, expected one for each task type that clients lease";
	for (i = 0; i < p->ntypes && n > 0; i++) {
		const struct conf_handler *h = conf_handler_find(c, p->types[i]);

		if (h != NULL && h->kind == CONF_HANDLER_LEASE)
			continue;
		wrong.pointer = arena_printf(http_arena(p->r), "/task_types/%d", i);
		wrong.detail = "expected a task type whose handler in the configuration is of kind lease";
		n = 0;
	}
	if (n == 0)
		http_reply_problem(p->r, &wrong);
	return n > 0;
}

/* False: answered. */
static bool
check_name(struct api_pull *p)
{
	struct http_problem wrong = { .status = 400, .code = "invalid_parameter" };

	if (p->queue.len <= TASK_QUEUE_MAX)
		return true;
	wrong.detail = "expected the name of a queue of 1 to 64 bytes in the path";
	http_reply_problem(p->r, &wrong);
	return false;
}

/* Texts may stand in the body, which is not kept. */
static void
take_ask(struct api_pull *p, const struct task_lease_ask *ask)
{
	struct arena *a = http_arena(p->r);
	struct span *types = arena_alloc(a, sizeof(*types) * (size_t)(ask->ntypes + 1));
	int64_t most = p->api->conf->http.wait_max;
	int i;

	for (i = 0; i < ask->ntypes; i++)
		types[i] = arena_span(a, ask->types[i]);
	p->types = types;
	p->ntypes = ask->ntypes;
	p->queue = arena_span(a, http_param(p->r, "queue"));
	p->max = ask->max;
	p->ttl = ask->ttl;
	p->worker = arena_span(a, ask->worker);
	p->until = clock_now() + (ask->wait < most ? ask->wait : most);
	http_body_drop(p->r);
}

void
api_lease_take(void *app, struct http_request *r)
{
	struct api_pull *p = arena_alloc(http_arena(r), sizeof(*p));
	struct task_lease_ask ask;
	struct task_problem wrong;

	p->magic = API_PULL_MAGIC;
	p->api = api_of(app);
	p->r = r;
	if (!task_lease_ask_read(http_body(r), http_arena(r), &ask, &wrong)) {
		api_refuse_body(r, &wrong);
		return;
	}
	take_ask(p, &ask);
	if (!check_name(p) || !check_types(p))
		return;
	if (http_is_next(r) || ask.wait == 0)
		api_pull_claim(p);
	else
		api_pull_wait(p);
}
