/* store_pull.c - tasks for clients: claimed one by one, as leases that end by themselves.
 *
 * What is claimed, and in which order, follows from a look at the heads of the queue; run/run_pull.h has the order.  Lanes with exact limits are
 * claimed by the statement that workers have for them, under the same lock, so that both kinds of claimers count the same leases.
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
	struct arena *arena;
	struct span queue;
	int64_t lease_id;
	struct store_lane *heads; /* of the probes, with their names */
	int nheads;
	int nturns;
	bool exact;
	store_look_fn *look_fn;
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
	p->arena = arena_new(1024);
	p->queue = arena_span(p->arena, queue);
	p->arg = arg;
	return p;
}

static void
pulling_free(struct pulling *p)
{
	arena_free(&p->arena);
	p->magic = 0;
	mem_free(&p);
}

static void
bind_types(struct stmt *t, const struct conf *c)
{
	stmt_array(t);
	for (int i = 0; i < c->nhandlers; i++)
		if (c->handlers[i].kind == CONF_HANDLER_LEASE)
			stmt_text(t, span_of(c->handlers[i].title));
	stmt_array_end(t);
}

/* --- the look ------------------------------------------------------------------------------------------------------------- */

static void
on_heads(struct request *r)
{
	struct pulling *p = r->arg;
	const PGresult *res = r->status == STORE_OK ? r->results[0] : NULL;
	int n = res != NULL ? PQntuples(res) : 0;
	struct store_lane *lanes = mem_zalloc(sizeof(*lanes) * (size_t)(n + 1));
	struct store_look look = { .status = res != NULL ? STORE_OK : STORE_FAILED, .lanes = lanes, .nlanes = n };

	MAGIC_CHECK(p, PULL_MAGIC);
	look.last = n < STORE_LOOK_MOST ? INT32_MAX : (int32_t)col_int(res, n - 1, SQL_PULL_HEADS_LANE);
	for (int i = 0; i < n; i++)
		lanes[i] = (struct store_lane){
			.lane = (int32_t)col_int(res, i, SQL_PULL_HEADS_LANE),
			.queue = p->queue,
			.task_type = col_span(res, i, SQL_PULL_HEADS_KIND),
			.group = col_span(res, i, SQL_PULL_HEADS_GRP),
			.ordering_key = col_span(res, i, SQL_PULL_HEADS_ORD),
			.ready = true,
			.prio = (int)col_int(res, i, SQL_PULL_HEADS_PRIO),
			.head = col_id(res, i, SQL_PULL_HEADS_START),
		};
	p->look_fn(p->arg, &look);
	mem_free(&lanes);
	pulling_free(p);
	request_free(&r);
}

void
store_pull_look(struct store *s, struct span queue, int32_t after, store_look_fn *fn, void *arg)
{
	struct pulling *p = pulling_new(s, queue, arg);
	struct request *r = read_request(s, on_heads, p);
	struct stmt *t = request_stmt(r, SQL_PULL_HEADS);

	p->look_fn = fn;
	stmt_text(t, queue);
	bind_types(t, s->o.conf);
	stmt_int4(t, STORE_LOOK_MOST);
	stmt_int4(t, after);
	request_send(store_any_pool(s), r);
}

/* --- the claim ------------------------------------------------------------------------------------------------------------ */

/* The heads of both claims begin alike; see claim_row(). */
_Static_assert((int)SQL_PULL_CLAIM_ID == (int)SQL_CLAIM_ID, "a row of a claim");
_Static_assert((int)SQL_PULL_CLAIM_ERROR_CODE == (int)SQL_CLAIM_ERROR_CODE, "a row of a claim");
_Static_assert((int)SQL_CLAIM_EXACT_ERROR_CODE == (int)SQL_CLAIM_ERROR_CODE, "a row of a claim");

static const struct store_lane *
head_of(const struct pulling *p, int32_t lane)
{
	int i = 0;

	while (i < p->nheads && p->heads[i].lane != lane)
		i++;
	ASSERT(i < p->nheads); /* only these were asked for */
	return &p->heads[i];
}

static void
take_row(const struct pulling *p, const PGresult *res, int row, struct store_claimed *c, struct store_pulled_time *time)
{
	const struct store_lane *head;

	claim_row(res, row, c);
	head = head_of(p, c->row.lane);
	c->lease = (struct store_lease){ c->row.id, c->row.id, p->lease_id };
	c->row.queue = p->queue;
	c->row.task_type = head->task_type;
	c->row.group = head->group;
	c->row.ordering_key = head->ordering_key;
	c->turn = p->exact ? 0 : (int)col_int(res, row, SQL_PULL_CLAIM_TURN) - 1;
	time->at = col_time(res, row, p->exact ? SQL_CLAIM_EXACT_AT : SQL_PULL_CLAIM_AT);
	time->until = col_time(res, row, p->exact ? SQL_CLAIM_EXACT_UNTIL : SQL_PULL_CLAIM_UNTIL);
}

/* What an exact claim tells beside its tasks: of lanes with something left only whether there are any. */
static void
take_exact(const PGresult *res, struct store_pulled *a, bool *full)
{
	a->busy = PQntuples(res) == 0;
	if (a->busy)
		return;
	a->next = col_int(res, 0, SQL_CLAIM_EXACT_NEXT);
	a->group_next = col_int(res, 0, SQL_CLAIM_EXACT_GROUP_NEXT);
	for (int row = 0; row < PQntuples(res); row++)
		if (col_null(res, row, SQL_CLAIM_EXACT_LO) && !col_null(res, row, SQL_CLAIM_EXACT_LANE))
			full[0] = true;
}

static void
take_pulled(const struct pulling *p, const struct request *r, struct store_pulled *a, bool *full)
{
	const PGresult *res = r->results[r->nstmts - 1];
	int row, n = PQntuples(res);
	struct store_claimed *tasks = mem_zalloc(sizeof(*tasks) * (size_t)(n + 1));
	struct store_pulled_time *times = mem_zalloc(sizeof(*times) * (size_t)(n + 1));

	a->over = tasks + n; /* from the end on */
	for (row = 0; row < n; row++) {
		bool fits = col_bool(res, row, p->exact ? SQL_CLAIM_EXACT_FITS : SQL_PULL_CLAIM_FITS);

		if (!p->exact && col_bool(res, row, SQL_PULL_CLAIM_FULL))
			full[col_int(res, row, SQL_PULL_CLAIM_TURN) - 1] = true;
		if (col_null(res, row, SQL_CLAIM_ID))
			continue;
		take_row(p, res, row, fits ? &tasks[a->ntasks] : &tasks[n - 1 - a->nover], &times[a->ntasks]);
		a->ntasks += fits;
		a->nover += !fits;
	}
	a->over -= a->nover;
	a->tasks = tasks;
	a->times = times;
	if (p->exact)
		take_exact(res, a, full);
	if (a->ntasks > 0 && p->store->o.ration != NULL)
		ration_queue_leave(p->store->o.ration, p->queue, a->ntasks);
}

static void
on_pulled(struct request *r)
{
	struct pulling *p = r->arg;
	struct store_pulled a = { .status = r->status };
	bool *full;

	MAGIC_CHECK(p, PULL_MAGIC);
	a.full = full = mem_zalloc(sizeof(*full) * (size_t)p->nturns);
	if (r->status == STORE_OK)
		take_pulled(p, r, &a, full);
	else if (r->status == STORE_REFUSED) /* the rows were locked, or the server had no room: nothing was written */
		a.status = STORE_FAILED;
	p->fn(p->arg, &a);
	mem_free(&a.tasks);
	mem_free(&a.times);
	mem_free(&full);
	pulling_free(p);
	request_free(&r);
}

enum probe_column { PROBE_LANE, PROBE_PRIO, PROBE_START, PROBE_BELOW, PROBE_TURN, PROBE_TTL };

static void
bind_probe(struct stmt *t, const struct store *s, const struct store_pull *in, int i, enum probe_column column)
{
	const struct store_probe *p = &in->probes[i];
	struct id start = claim_start(s, &p->mark);

	if (column == PROBE_LANE)
		stmt_int4(t, p->lane);
	else if (column == PROBE_PRIO)
		stmt_int2(t, p->prio);
	else if (column == PROBE_START)
		stmt_uuid(t, &start);
	else if (column == PROBE_BELOW)
		stmt_int4(t, p->below);
	else if (column == PROBE_TURN)
		stmt_int4(t, p->turn + 1);
	else
		stmt_int8(t, pull_ttl(conf_handler_find(s->o.conf, in->heads[i].task_type), in->ttl));
}

static void
bind_column(struct pulling *p, struct stmt *t, const struct store_pull *in, enum probe_column column)
{
	stmt_array(t);
	for (int i = 0; i < in->nprobes; i++)
		bind_probe(t, p->store, in, i, column);
	stmt_array_end(t);
}

static void
bind_claim(struct pulling *p, struct stmt *t, const struct store_pull *in)
{
	stmt_int8(t, p->lease_id);
	for (int column = PROBE_LANE; column <= PROBE_TTL; column++)
		bind_column(p, t, in, (enum probe_column)column);
	stmt_array(t);
	for (int i = 0; i < in->nturns; i++)
		stmt_int4(t, in->turns[i]);
	stmt_array_end(t);
	stmt_int8(t, in->bytes > 0 ? in->bytes : INT64_MAX);
}

static void
bind_exact(struct pulling *p, struct stmt *t, const struct store_pull *in)
{
	stmt_int4(t, 0); /* no worker, so no seq */
	stmt_int8(t, 0);
	stmt_int8(t, p->lease_id);
	stmt_int4(t, in->turns[0]);
	for (int column = PROBE_LANE; column <= PROBE_BELOW; column++)
		bind_column(p, t, in, (enum probe_column)column);
	exact_bind_limits(t, in->exact);
	bind_column(p, t, in, PROBE_TTL);
	stmt_int8(t, in->bytes > 0 ? in->bytes : INT64_MAX);
}

static void
keep_names(struct pulling *p, const struct store_pull *in)
{
	p->heads = arena_alloc(p->arena, sizeof(*p->heads) * (size_t)(in->nprobes + 1));
	for (p->nheads = 0; p->nheads < in->nprobes; p->nheads++) {
		struct store_lane *h = &p->heads[p->nheads];

		*h = in->heads[p->nheads];
		h->task_type = arena_span(p->arena, h->task_type);
		h->group = arena_span(p->arena, h->group);
		h->ordering_key = arena_span(p->arena, h->ordering_key);
	}
}

void
store_pull(struct store *s, const struct store_pull *in, store_pull_fn *fn, void *arg)
{
	struct pulling *p = pulling_new(s, in->queue, arg);
	struct request *r = request_new(on_pulled, p);

	ASSERT(in->nprobes > 0 && in->nturns > 0 && (in->exact == NULL || in->nturns == 1));
	p->fn = fn;
	p->lease_id = store_new_rid(s);
	p->nturns = in->nturns;
	p->exact = in->exact != NULL;
	keep_names(p, in);
	r->deadline = clock_now() + s->o.conf->postgres.deadline;
	if (p->exact) {
		stmt_text(request_stmt(r, SQL_GATE_LOCK), in->queue);
		bind_exact(p, request_stmt(r, SQL_CLAIM_EXACT), in);
	} else {
		bind_claim(p, request_stmt(r, SQL_PULL_CLAIM), in);
	}
	request_send(store_any_pool(s), r);
}

/* --- a look for those who wait ---------------------------------------------------------------------------------------------- */

static void
on_ready(struct request *r)
{
	struct pulling *p = r->arg;
	int row, n = read_rows(r);
	struct store_pull_ready *ready = mem_zalloc(sizeof(*ready) * (size_t)(n + 1));

	MAGIC_CHECK(p, PULL_MAGIC);
	for (row = 0; row < n; row++) {
		ready[row].queue = col_span(r->results[0], row, SQL_PULL_READY_QUEUE);
		ready[row].task_type = col_span(r->results[0], row, SQL_PULL_READY_KIND);
	}
	p->ready_fn(p->arg, read_status(r), ready, n);
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
	bind_types(request_stmt(r, SQL_PULL_READY), s->o.conf);
	request_send(store_any_pool(s), r);
}
