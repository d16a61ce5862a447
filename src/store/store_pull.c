/* store_pull.c - tasks for clients: claimed one by one, as leases that end by themselves.
 *
 * There is no worker behind such a lease: worker is 0 and `until` says when it ends.  A claim whose answer was lost cannot be asked for
 * again, for nobody's sequence fences it; the client is told that it is unsure, and what it has never seen comes back when its time is over.
 *
 * Only task types whose handler is of kind lease are claimed here.  Logs nothing.  Next: store_hold.c.
 */
#include "store/store_int.h"

#define PULL_MAGIC 0x5c0a9e11U

struct pulling {
	unsigned magic;
	struct store *store;
	struct span queue;
	int64_t lease_id;
	store_pull_fn *fn;
	store_pull_ready_fn *ready_fn;
	void *arg;
};

int64_t
pull_life(const struct conf_handler *h)
{
	return h != NULL ? h->timeout : INT64_C(7) * 86400 * CLOCK_SECOND; /* a handler that is configured no more */
}

int64_t
pull_ttl(const struct conf_handler *h, int64_t wanted)
{
	int64_t most = pull_life(h);

	if (h != NULL && wanted == 0)
		wanted = h->lease_default;
	if (h != NULL && h->lease_max < most)
		most = h->lease_max;
	return wanted < most ? wanted : most;
}

static struct pulling *
pulling_new(struct store *s, struct span queue, void *arg)
{
	struct pulling *p = mem_zalloc(sizeof(*p));

	p->magic = PULL_MAGIC;
	p->store = s;
	p->queue = (struct span){ mem_spandup(queue), queue.len };
	p->arg = arg;
	return p;
}

static void
pulling_free(struct pulling *p)
{
	mem_free(&p->queue.ptr);
	p->magic = 0;
	mem_free(&p);
}

/* --- which task types --------------------------------------------------------------------------------------------------- */

static bool
wants(const struct store_pull *in, const struct conf_handler *h)
{
	if (h->kind != CONF_HANDLER_LEASE)
		return false;
	for (int i = 0; in != NULL && i < in->ntypes; i++)
		if (span_is(in->types[i], h->title))
			return true;
	return in == NULL || in->ntypes == 0;
}

static void
bind_types(struct stmt *t, const struct conf *c, const struct store_pull *in)
{
	stmt_array(t);
	for (int i = 0; i < c->nhandlers; i++)
		if (wants(in, &c->handlers[i]))
			stmt_text(t, span_of(c->handlers[i].title));
	stmt_array_end(t);
}

static void
bind_ttls(struct stmt *t, const struct conf *c, const struct store_pull *in)
{
	stmt_array(t);
	for (int i = 0; i < c->nhandlers; i++)
		if (wants(in, &c->handlers[i]))
			stmt_int8(t, pull_ttl(&c->handlers[i], in->ttl));
	stmt_array_end(t);
}

/* --- the claim ------------------------------------------------------------------------------------------------------------ */

static void
pulled_row(const PGresult *res, int row, struct store_claimed *c)
{
	struct span options = col_span(res, row, SQL_PULL_CLAIM_OPTIONS);
	int lost = (int)col_int(res, row, SQL_PULL_CLAIM_LOST);

	c->row.id = c->lease.lo = c->lease.hi = col_id(res, row, SQL_PULL_CLAIM_ID);
	c->row.lane = (int32_t)col_int(res, row, SQL_PULL_CLAIM_LANE);
	c->row.task_type = col_span(res, row, SQL_PULL_CLAIM_KIND);
	c->row.group = col_span(res, row, SQL_PULL_CLAIM_GRP);
	c->row.priority = -(int)col_int(res, row, SQL_PULL_CLAIM_PRIO);
	c->row.max_attempts = (int)col_int(res, row, SQL_PULL_CLAIM_MAX_ATTEMPTS);
	c->row.created_at = col_time(res, row, SQL_PULL_CLAIM_CREATED_AT);
	c->row.updated_at = col_time(res, row, SQL_PULL_CLAIM_SINCE);
	c->row.run_at = col_time(res, row, SQL_PULL_CLAIM_RUN_AT);
	c->row.payload = col_span(res, row, SQL_PULL_CLAIM_PAYLOAD);
	c->row.error_class = span_of(task_class_name((enum task_class)col_int(res, row, SQL_PULL_CLAIM_ERROR_CLASS)));
	c->row.error_code = col_span(res, row, SQL_PULL_CLAIM_ERROR_CODE);
	c->row.state = TASK_LEASED;
	if (options.len > 0 && !task_options_unpack(options, &c->row))
		c->row.nlabels = 0;
	c->run = c->row.run = (int)col_int(res, row, SQL_PULL_CLAIM_RUN);
	c->attempts = c->row.attempts = (int)col_int(res, row, SQL_PULL_CLAIM_ATTEMPTS);
	c->crashes = (int)col_int(res, row, SQL_PULL_CLAIM_CRASHES) + (lost > 2 ? lost - 2 : 0);
	c->row.crashes = c->crashes;
}

static void
take_pulled(const struct pulling *p, const struct request *r, struct store_pulled *a)
{
	const PGresult *res = r->results[0];
	int row, n = PQntuples(res);
	struct store_claimed *tasks = mem_zalloc(sizeof(*tasks) * (size_t)(n + 1));
	struct store_pulled_time *times = mem_zalloc(sizeof(*times) * (size_t)(n + 1));

	a->over = tasks + n; /* from the end on */
	for (row = 0; row < n; row++) {
		bool fits = col_bool(res, row, SQL_PULL_CLAIM_FITS);
		struct store_claimed *c = fits ? &tasks[a->ntasks] : &tasks[n - 1 - a->nover];

		if (col_null(res, row, SQL_PULL_CLAIM_ID)) {
			a->more = true;
			continue;
		}
		c->lease.lease_id = p->lease_id;
		c->row.queue = p->queue;
		pulled_row(res, row, c);
		times[a->ntasks].at = col_time(res, row, SQL_PULL_CLAIM_AT);
		times[a->ntasks].until = col_time(res, row, SQL_PULL_CLAIM_UNTIL);
		a->ntasks += fits;
		a->nover += !fits;
	}
	a->over -= a->nover;
	a->tasks = tasks;
	a->times = times;
	a->more = a->more && a->ntasks == 0;
	if (a->ntasks > 0 && p->store->o.ration != NULL)
		ration_queue_leave(p->store->o.ration, p->queue, a->ntasks);
}

static void
on_pulled(struct request *r)
{
	struct pulling *p = r->arg;
	struct store_pulled a = { .status = r->status };

	MAGIC_CHECK(p, PULL_MAGIC);
	if (r->status == STORE_OK)
		take_pulled(p, r, &a);
	else if (r->status == STORE_REFUSED) /* the rows were locked, or the server had no room: nothing was written */
		a.status = STORE_FAILED;
	p->fn(p->arg, &a);
	mem_free(&a.tasks);
	mem_free(&a.times);
	pulling_free(p);
	request_free(&r);
}

void
store_pull(struct store *s, const struct store_pull *in, store_pull_fn *fn, void *arg)
{
	struct pulling *p = pulling_new(s, in->queue, arg);
	struct request *r = request_new(on_pulled, p);
	struct stmt *t = request_stmt(r, SQL_PULL_CLAIM);

	p->fn = fn;
	p->lease_id = store_new_rid(s);
	r->deadline = clock_now() + s->o.conf->postgres.deadline;
	stmt_text(t, in->queue);
	bind_types(t, s->o.conf, in);
	bind_ttls(t, s->o.conf, in);
	stmt_int8(t, p->lease_id);
	stmt_int4(t, in->max);
	stmt_int8(t, in->bytes > 0 ? in->bytes : INT64_MAX);
	request_send(store_any_pool(s), r);
}

/* --- a look for those who wait ---------------------------------------------------------------------------------------------- */

static void
on_ready(struct request *r)
{
	struct pulling *p = r->arg;
	int row, n = r->status == STORE_OK ? PQntuples(r->results[0]) : 0;
	struct store_pull_ready *ready = mem_zalloc(sizeof(*ready) * (size_t)(n + 1));

	MAGIC_CHECK(p, PULL_MAGIC);
	for (row = 0; row < n; row++) {
		ready[row].queue = col_span(r->results[0], row, SQL_PULL_READY_QUEUE);
		ready[row].task_type = col_span(r->results[0], row, SQL_PULL_READY_KIND);
	}
	p->ready_fn(p->arg, r->status == STORE_OK ? STORE_OK : STORE_FAILED, ready, n);
	mem_free(&ready);
	pulling_free(p);
	request_free(&r);
}

void
store_pull_ready(struct store *s, store_pull_ready_fn *fn, void *arg)
{
	struct pulling *p = pulling_new(s, (struct span){ "", 0 }, arg);
	struct request *r = read_request(s, on_ready, p);

	p->ready_fn = fn;
	bind_types(request_stmt(r, SQL_PULL_READY), s->o.conf, NULL);
	request_send(store_any_pool(s), r);
}
