/* store_hold_write.c - what the words of holders write, as statements, and which of it was accepted.
 *
 * See store_hold.c, which has looked at the leases before and asks for this.  Logs nothing.  Next: store_outcome.c.
 */
#include "store/store_hold.h"

/* --- what follows ---------------------------------------------------------------------------------------------------------- */

/* What the queue says of results.  False: it does not take this one, as if a worker had brought it. */
static bool
complete_fill(struct hold *h, struct store_outcome *o, int i)
{
	struct span queue = h->replies[i].held.queue;
	int64_t most = store_result_max(h->store->o.conf, queue);
	struct task_failure *f;

	if (store_result_life(h->store->o.conf, queue) > 0)
		o->result = h->in[i].result;
	if ((int64_t)h->in[i].result.len <= most)
		return true;
	o->result = (struct span){ NULL, 0 };
	o->failure = f = arena_alloc(h->arena, sizeof(*f));
	*f = (struct task_failure){ .class = TASK_NON_RETRYABLE, .exit = -1 };
	task_result_too_large(f, most);
	o->reason = task_dead_reason(span_of(f->code));
	return false;
}

static void
outcome_fill(struct hold *h, struct store_outcome *o, int i)
{
	struct open_lease *l = lease_add(&h->step.leases, &o->lease);

	lease_open_task(l, &o->id);
	if (h->word == STORE_WORD_COMPLETE && !complete_fill(h, o, i)) {
		o->kind = STORE_BURY;
		o->charge = true;
	} else if (h->word == STORE_WORD_COMPLETE) {
		o->kind = STORE_SUCCEEDED;
		o->charge = true;
	} else if (h->word == STORE_WORD_REFUSE) {
		o->kind = STORE_BURY;
		o->failure = h->in[i].refusal;
		o->reason = task_dead_reason(span_of(o->failure->code));
		o->charge = h->in[i].charge;
	} else {
		ASSERT(h->store->o.judge != NULL);
		if (h->store->o.judge(
			h->store->o.judge_arg, h->store->o.conf, h->arena, &h->replies[i].held, h->in[i].report, o))
			h->replies[i].not_let_in = o->failure;
	}
	h->replies[i].kind = o->kind;
}

static void
bind_acting(const struct hold *h, struct stmt *t)
{
	int i;

	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_uuid(t, &h->outcomes[i].id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_int8(t, h->outcomes[i].lease.lease_id);
	stmt_array_end(t);
}

static const struct conf_handler *
handler_of(const struct hold *h, int acting)
{
	return conf_handler_find(h->store->o.conf, h->replies[h->at[acting]].held.task_type);
}

static void
add_extend(struct hold *h, struct request *r)
{
	struct stmt *t = request_stmt(r, SQL_PULL_EXTEND);
	int i;

	h->at_extend = r->nstmts - 1;
	bind_acting(h, t);
	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_int8(t, pull_ttl(handler_of(h, i), h->in[h->at[i]].ttl));
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_int8(t, pull_life(handler_of(h, i)));
	stmt_array_end(t);
}

static int
next_percent(const struct hold *h, int i)
{
	while (i < h->nacting && h->in[h->at[i]].percent < 0)
		i++;
	return i;
}

#define EACH_PERCENT(i, h) for ((i) = next_percent((h), 0); (i) < (h)->nacting; (i) = next_percent((h), (i) + 1))

static void
add_progress(struct hold *h, struct request *r)
{
	struct stmt *t;
	int i;

	if (next_percent(h, 0) == h->nacting)
		return;
	t = request_stmt(r, SQL_PULL_PROGRESS);
	stmt_array(t);
	EACH_PERCENT(i, h)
	stmt_uuid(t, &h->outcomes[i].id);
	stmt_array_end(t);
	stmt_array(t);
	EACH_PERCENT(i, h)
	stmt_int8(t, h->outcomes[i].lease.lease_id);
	stmt_array_end(t);
	stmt_array(t);
	EACH_PERCENT(i, h)
	stmt_int2(t, h->in[h->at[i]].percent);
	stmt_array_end(t);
	stmt_array(t);
	EACH_PERCENT(i, h)
	stmt_text(t, h->in[h->at[i]].note);
	stmt_array_end(t);
}

static int
next_delay(const struct hold *h, int i)
{
	while (i < h->nacting && h->in[h->at[i]].delay == 0)
		i++;
	return i;
}

#define EACH_DELAY(i, h) for ((i) = next_delay((h), 0); (i) < (h)->nacting; (i) = next_delay((h), (i) + 1))

static void
add_put_off(const struct hold *h, struct stmt *t)
{
	int i, column;

	for (column = 0; column < 2; column++) { /* its lease begins with it, and ends there */
		stmt_array(t);
		EACH_DELAY(i, h)
		stmt_uuid(t, &h->outcomes[i].id);
		stmt_array_end(t);
	}
	stmt_array(t);
	EACH_DELAY(i, h)
	stmt_int8(t, h->outcomes[i].lease.lease_id);
	stmt_array_end(t);
	stmt_array(t);
	EACH_DELAY(i, h)
	stmt_int8(t, h->in[h->at[i]].delay);
	stmt_array_end(t);
	stmt_array(t);
	EACH_DELAY(i, h)
	stmt_time(t, h->outcomes[i].started_at);
	stmt_array_end(t);
}

/* Those with a delay wait; what is left of the others is ready again, and of all of them the lease goes. */
static void
add_release(struct hold *h, struct request *r)
{
	struct stmt *t;
	int i;

	h->at_lock = r->nstmts;
	bind_acting(h, request_stmt(r, SQL_LEASE_LOCK));
	h->at_put_off = r->nstmts;
	add_put_off(h, request_stmt(r, SQL_PUT_OFF));
	h->at_given = r->nstmts;
	t = request_stmt(r, SQL_GIVEBACK);
	bind_acting(h, t);
	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_uuid(t, &h->outcomes[i].id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < h->nacting; i++)
		stmt_int2(t, h->word == STORE_WORD_RELEASE);
	stmt_array_end(t);
	stmt_int8(t, store_new_rid(h->store));
}

static void
add_ends(struct hold *h, struct request *r)
{
	struct stepping *st = &h->step.step;
	int i;

	for (i = 0; i < h->nacting; i++)
		outcome_fill(h, &h->outcomes[i], h->at[i]);
	st->copy.outcomes = h->outcomes;
	st->copy.noutcomes = st->to = h->nacting;
	st->accepted = arena_alloc(h->arena, sizeof(bool) * (size_t)h->nacting);
	st->at_finish = st->at_retry = st->at_bury = st->at_discard = st->at_put_off = st->at_tried = -1;
	st->again = true; /* what is there stays, and is not an error */
	outcome_add(&h->step, r);
}

void
hold_add(struct hold *h, struct request *r)
{
	if (h->word == STORE_WORD_HEARTBEAT) {
		add_extend(h, r);
		add_progress(h, r);
	} else if (h->word == STORE_WORD_RELEASE || h->word == STORE_WORD_RETURN) {
		add_release(h, r);
	} else {
		add_ends(h, r);
	}
}

/* --- what was written ---------------------------------------------------------------------------------------------------------- */

static void
heard(struct hold *h, int acting)
{
	struct store_reply *reply = &h->replies[h->at[acting]];

	if (reply->heard == STORE_HEARD_GONE)
		reply->heard = STORE_HEARD;
}

/* The one that a row tells of; -1: none.  They come in about the order they went. */
static int
acting_of(const struct hold *h, const PGresult *res, int row, int hint)
{
	struct id id = col_id(res, row, 0);
	int64_t lease_id = col_int(res, row, 1);
	int i, k;

	for (k = 0; k < h->nacting; k++) {
		i = (hint + k) % h->nacting;
		if (id_eq(&h->outcomes[i].id, &id) && h->outcomes[i].lease.lease_id == lease_id)
			return i;
	}
	return -1;
}

static void
take_extended(struct hold *h, const PGresult *res)
{
	int row, i = -1;

	for (row = 0; row < PQntuples(res); row++) {
		i = acting_of(h, res, row, i + 1);
		ASSERT(i >= 0);
		h->replies[h->at[i]].until = col_time(res, row, SQL_PULL_EXTEND_UNTIL);
		heard(h, i);
	}
	for (i = 0; i < h->nacting; i++) /* our own need no extension */
		if (!h->replies[h->at[i]].held.client)
			heard(h, i);
}

/* False: a try that was cut may have released some that are not there any more. */
static bool
take_released(struct hold *h, const struct request *r)
{
	const PGresult *locked = r->results[h->at_lock], *given = r->results[h->at_given];
	int row, i = -1;

	for (row = 0; row < PQntuples(locked); row++) {
		i = acting_of(h, locked, row, i + 1);
		ASSERT(i >= 0);
		heard(h, i);
	}
	for (row = 0; row < PQntuples(given); row++)
		store_wake_lower(h->store, (int32_t)col_int(given, row, SQL_GIVEBACK_LANE));
	if (PQntuples(given) > 0)
		store_wake_workers(h->store);
	if (PQntuples(r->results[h->at_put_off]) > 0 && h->store->o.wake != NULL)
		wake_keeper_ring(h->store->o.wake);
	return !r->uncertain || PQntuples(locked) == h->nacting;
}

static void
take_ends(struct hold *h, const struct request *r)
{
	struct stepping *st = &h->step.step;
	int i;

	if (!r->uncertain) /* what was tried before under this lease was told by the look */
		st->at_tried = -1;
	outcome_take(st, r);
	for (i = 0; i < h->nacting; i++)
		if (st->accepted[i])
			heard(h, i);
	if (st->at_retry >= 0 && h->store->o.wake != NULL)
		wake_keeper_ring(h->store->o.wake);
	if (st->at_bury >= 0 && h->store->o.wake != NULL)
		wake_letter(h->store->o.wake);
}

/* A lease that was counted has made room: whoever waits for it is told. */
static void
tell_room(struct hold *h)
{
	int i, n = 0;

	for (i = 0; i < h->nacting; i++) {
		const struct store_reply *reply = &h->replies[h->at[i]];

		if (reply->heard == STORE_HEARD_GONE || !reply->held.counted || h->store->o.wake == NULL)
			continue;
		wake_lane_ready(h->store->o.wake, reply->held.lane);
		n++;
	}
	if (n > 0)
		store_wake_workers(h->store);
}

bool
hold_take(struct hold *h, const struct request *r)
{
	bool known = true;

	if (h->word == STORE_WORD_HEARTBEAT) {
		take_extended(h, r->results[h->at_extend]);
		return true;
	}
	if (h->at_lock >= 0)
		known = take_released(h, r);
	else
		take_ends(h, r);
	tell_room(h);
	return known;
}
