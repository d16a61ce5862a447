/* store_hold.c - what the holders of leases say, and what becomes of leases whose holders say nothing.
 *
 * First a look, which tells whose lease it is and how the task stands; then what follows from the word, in one commit, fenced by
 * the leases themselves: one that has gone between the two is written nowhere.  Ends are those of a worker's step (store_outcome.c), made
 * from leases of one task each; a worker's own lease is never touched but for progress, for other tasks may be in it.
 *
 * Everything may be said twice.  A success is found by its done row, a failure by its tried row, so that they are heard again when
 * they were heard; and what was sent while the line was lost is sent again until it is known.
 *
 * Logs nothing.  Next: store_outcome.c, store_pull.c.
 */
#include "store/store_hold.h"

#define HOLD_MAGIC 0x5c0a401dU
#define LAPSE_BATCH 200

enum { TRIED_RETRY = 1, TRIED_DEAD = 2, TRIED_BY_HAND = 3, TRIED_FAILED = 4, TRIED_PUT_OFF = 5 };

static void on_look(struct request *r);
static void on_act(struct request *r);

static struct hold *
hold_new(struct store *s, enum store_word word, void *arg)
{
	struct hold *h = mem_zalloc(sizeof(*h));

	h->magic = HOLD_MAGIC;
	h->store = s;
	h->word = word;
	h->arg = arg;
	h->deadline = clock_now() + s->o.conf->postgres.deadline;
	h->arena = arena_new(4096);
	h->step.store = s;
	lease_table_init(&h->step.leases);
	h->at_extend = h->at_put_off = h->at_lock = h->at_given = -1;
	return h;
}

/* Tells the caller, or the keeper how many were taken back. */
static void
hold_answer(struct hold *h, enum store_status status)
{
	int i, n = 0;

	if (status == STORE_REFUSED) /* locked too long, or no room: nothing was written */
		status = STORE_FAILED;
	for (i = 0; i < h->nacting && status == STORE_OK; i++)
		n += h->replies[h->at[i]].heard == STORE_HEARD;
	if (h->count_fn != NULL)
		h->count_fn(h->arg, status, n, h->n == LAPSE_BATCH ? 0 : -1);
	else
		h->fn(h->arg, status, h->replies, h->n);
	lease_table_clear(&h->step.leases);
	buf_free(&h->step.step.lease_ids);
	buf_free(&h->step.step.finish);
	arena_free(&h->arena);
	h->magic = 0;
	mem_free(&h);
}

static struct request *
hold_request(struct hold *h, request_fn *fn)
{
	struct request *r = request_new(fn, h);

	r->repeat = true;
	r->deadline = h->deadline;
	return r;
}

static struct store_pool *
hold_pool(const struct hold *h)
{
	return h->count_fn != NULL && h->store->keeper_pool != NULL ? h->store->keeper_pool : store_any_pool(h->store);
}

/* --- the look ---------------------------------------------------------------------------------------------------------------- */

static void
look(struct hold *h)
{
	struct request *r = hold_request(h, on_look);
	struct stmt *t = request_stmt(r, SQL_PULL_LOOK);
	int i;

	h->replies = arena_alloc(h->arena, sizeof(*h->replies) * (size_t)(h->n + 1));
	stmt_array(t);
	for (i = 0; i < h->n; i++)
		stmt_uuid(t, &h->in[i].id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < h->n; i++)
		stmt_int8(t, h->in[i].lease_id);
	stmt_array_end(t);
	request_send(hold_pool(h), r);
}

static void
take_held(struct hold *h, const PGresult *res, int row, struct store_held *held)
{
	int lost = (int)col_int(res, row, SQL_PULL_LOOK_LOST);
	int64_t until = col_time(res, row, SQL_PULL_LOOK_UNTIL);

	held->queue = arena_span(h->arena, col_span(res, row, SQL_PULL_LOOK_QUEUE));
	held->task_type = arena_span(h->arena, col_span(res, row, SQL_PULL_LOOK_KIND));
	held->run = (int)col_int(res, row, SQL_PULL_LOOK_RUN);
	held->attempts = (int)col_int(res, row, SQL_PULL_LOOK_ATTEMPTS);
	held->crashes = (int)col_int(res, row, SQL_PULL_LOOK_CRASHES) + (lost > 2 ? lost - 2 : 0);
	held->max_attempts = (int)col_int(res, row, SQL_PULL_LOOK_MAX_ATTEMPTS);
	held->at = col_time(res, row, SQL_PULL_LOOK_AT);
	held->now = store_db_now(h->store);
	if (h->word == STORE_WORD_NONE && held->now < until)
		held->now = until; /* it has ended, by the database's own clock: ours only follows it */
	held->client = col_bool(res, row, SQL_PULL_LOOK_CLIENT);
	held->counted = col_bool(res, row, SQL_PULL_LOOK_COUNTED);
	held->lane = (int32_t)col_int(res, row, SQL_PULL_LOOK_LANE);
}

/* Of an end that no holder told: run/run_lapse.c. */
static bool
was_silent(struct span code)
{
	return span_is(code, "LEASE_EXPIRED") || span_is(code, "TIMEOUT");
}

/* The same was said before, and written. */
static bool
heard_before(const struct hold *h, const PGresult *res, int row)
{
	int why = (int)col_int(res, row, SQL_PULL_LOOK_TRIED);

	if (h->word == STORE_WORD_COMPLETE && why == TRIED_DEAD) /* its queue did not take the result */
		return span_is(col_span(res, row, SQL_PULL_LOOK_CODE), "OUTPUT_TOO_LARGE");
	if (h->word == STORE_WORD_COMPLETE)
		return col_int(res, row, SQL_PULL_LOOK_DONE) == TASK_DONE_SUCCEEDED &&
		       col_bool(res, row, SQL_PULL_LOOK_MINE);
	if (h->word == STORE_WORD_RELEASE)
		return why == TRIED_PUT_OFF;
	return h->word == STORE_WORD_FAIL && (why == TRIED_RETRY || why == TRIED_DEAD || why == TRIED_FAILED) &&
	       !was_silent(col_span(res, row, SQL_PULL_LOOK_CODE));
}

static enum store_outcome_kind
kind_before(const struct hold *h, int why)
{
	if (why == TRIED_DEAD)
		return STORE_BURY;
	if (h->word != STORE_WORD_FAIL)
		return STORE_SUCCEEDED;
	return why == TRIED_FAILED ? STORE_DISCARD : STORE_RETRY;
}

/* What is said of one lease, as far as a look tells; true: there is something to do about it. */
static bool
judge_look(struct hold *h, const PGresult *res, int row, int i)
{
	struct store_reply *reply = &h->replies[i];
	bool client, cancelled, left;

	reply->heard = STORE_HEARD_GONE;
	if (!col_bool(res, row, SQL_PULL_LOOK_HELD)) {
		if (heard_before(h, res, row))
			reply->heard = STORE_HEARD;
		reply->kind = kind_before(h, (int)col_int(res, row, SQL_PULL_LOOK_TRIED));
		return false;
	}
	take_held(h, res, row, &reply->held);
	client = reply->held.client;
	reply->held.id = h->in[i].id;
	reply->held.lease_id = h->in[i].lease_id;
	cancelled = col_int(res, row, SQL_PULL_LOOK_DONE) == TASK_DONE_CANCELLED;
	left = !col_null(res, row, SQL_PULL_LOOK_DONE) || col_int(res, row, SQL_PULL_LOOK_TRIED) != 0;
	if (cancelled)
		reply->heard = STORE_HEARD_CANCELLED;
	else if (!client && h->word != STORE_WORD_HEARTBEAT)
		reply->heard = STORE_HEARD_OURS;
	if (h->word == STORE_WORD_HEARTBEAT)
		return !left;
	return client; /* also of a task that has left: then its lease goes at last */
}

/* --- what follows ------------------------------------------------------------------------------------------------------------ */

static void
outcome_new(struct hold *h, int i)
{
	const struct store_saying *in = &h->in[i];
	struct store_outcome *o = &h->outcomes[h->nacting];

	o->id = in->id;
	o->lease = (struct store_lease){ in->id, in->id, in->lease_id };
	o->started_at = h->replies[i].held.at;
	h->at[h->nacting++] = i;
}

static void
act(struct hold *h)
{
	struct request *r = hold_request(h, on_act);

	hold_add(h, r);
	request_send(hold_pool(h), r);
}

static void
on_look(struct request *r)
{
	struct hold *h = r->arg;
	int row;

	MAGIC_CHECK(h, HOLD_MAGIC);
	if (r->status != STORE_OK || pool_closing(r->pool)) {
		hold_answer(h, STORE_FAILED);
		request_free(&r);
		return;
	}
	ASSERT(PQntuples(r->results[0]) == h->n);
	h->at = arena_alloc(h->arena, sizeof(*h->at) * (size_t)(h->n + 1));
	h->outcomes = arena_alloc(h->arena, sizeof(*h->outcomes) * (size_t)(h->n + 1));
	for (row = 0; row < h->n; row++)
		if (judge_look(h, r->results[0], row, row))
			outcome_new(h, row);
	if (h->nacting > 0)
		act(h);
	else
		hold_answer(h, STORE_OK);
	request_free(&r);
}

static void
on_act(struct request *r)
{
	struct hold *h = r->arg;
	enum store_status status = r->status;

	MAGIC_CHECK(h, HOLD_MAGIC);
	if (status == STORE_OK && !hold_take(h, r))
		status = STORE_UNSURE;
	hold_answer(h, status);
	request_free(&r);
}

/* --- public -------------------------------------------------------------------------------------------------------------------- */

void
store_say(struct store *s, enum store_word word, const struct store_saying *in, int n, store_say_fn *fn, void *arg)
{
	struct hold *h = hold_new(s, word, arg);

	h->in = in;
	h->n = n;
	h->fn = fn;
	look(h);
}

static void
on_lapsed(struct request *r)
{
	struct hold *h = r->arg;
	struct store_saying *in;
	int row;

	MAGIC_CHECK(h, HOLD_MAGIC);
	h->n = read_rows(r);
	if (h->n == 0 || pool_closing(r->pool)) {
		hold_answer(h, r->status == STORE_OK && !pool_closing(r->pool) ? STORE_OK : STORE_FAILED);
		request_free(&r);
		return;
	}
	in = arena_alloc(h->arena, sizeof(*in) * (size_t)h->n);
	for (row = 0; row < h->n; row++) {
		in[row].id = col_id(r->results[0], row, SQL_PULL_LAPSED_ID);
		in[row].lease_id = col_int(r->results[0], row, SQL_PULL_LAPSED_LEASE_ID);
	}
	h->in = in;
	look(h);
	request_free(&r);
}

void
store_lapse(struct store *s, store_count_fn *fn, void *arg)
{
	struct hold *h = hold_new(s, STORE_WORD_NONE, arg);
	struct request *r;

	h->count_fn = fn;
	r = hold_request(h, on_lapsed);
	stmt_int4(request_stmt(r, SQL_PULL_LAPSED), LAPSE_BATCH);
	request_send(hold_pool(h), r);
}
