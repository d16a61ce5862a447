/* store_step.c - one step of a worker: a claim, outcomes and give-backs in one commit.
 *
 * The claim comes first: it advances the worker's seq under the lock of the worker's row, so everything after it is serial with a first try that
 * may still be running, and with whoever declares this worker dead.  A step whose answer was lost is sent again: either its claim
 * advances the seq and the first try never will, or it finds the seq advanced, and reads the leases of the first try by their ids.
 * Repeated outcomes use the texts that let stand what is there, and then read which of it is mine.
 *
 * A row that is there already (23505) sends the careful texts.  A poison outcome is found by narrowing the window of outcomes, each
 * window a step of its own; alone it is refused with an error in the log.  Everything else is repeated until known.
 * Logs what was refused.  Next: store_lease.c, store_worker.c.
 */
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

#define PAUSE (20 * CLOCK_MS)      /* most, after a lock */
#define PAUSE_TROUBLE CLOCK_SECOND /* when the server has no room, or does not understand */
#define MARGIN CLOCK_SECOND /* rows of other processes may begin a little before the mark and come after it was read */
#define PRIO_END 32768

typedef bool outcome_pick(const struct store_outcome *o);

static void on_step(struct request *r);

static bool
is_success(const struct store_outcome *o)
{
	return o->kind == STORE_SUCCEEDED;
}

static bool
is_retry(const struct store_outcome *o)
{
	return o->kind == STORE_RETRY;
}

static bool
is_bury(const struct store_outcome *o)
{
	return o->kind == STORE_BURY;
}

static bool
is_discard(const struct store_outcome *o)
{
	return o->kind == STORE_DISCARD;
}

static bool
is_failure(const struct store_outcome *o)
{
	return o->kind != STORE_SUCCEEDED;
}

/* The first outcome of a kind from `o` on, in the window; null: none. */
static const struct store_outcome *
next_outcome(const struct stepping *st, const struct store_outcome *o, outcome_pick *pick)
{
	const struct store_outcome *end = st->copy.outcomes + st->to;

	while (o < end && !pick(o))
		o++;
	return o < end ? o : NULL;
}

#define EACH_OUTCOME(o, st, pick) \
	for ((o) = next_outcome((st), (st)->copy.outcomes + (st)->from, (pick)); (o) != NULL; \
	     (o) = next_outcome((st), (o) + 1, (pick)))

static int
count(const struct stepping *st, outcome_pick *pick)
{
	const struct store_outcome *o;
	int n = 0;

	EACH_OUTCOME (o, st, pick)
		n++;
	return n;
}

/* --- claim -------------------------------------------------------------------------------------------------------- */

/* From where a lane is asked: its head as it was read, a little earlier; from zero when there is none, or rows were put below it. */
static bool
mark_of(const struct store_worker *w, const struct lane_info *l, struct id *start_r)
{
	const struct wake *wake = w->store->o.wake;
	int64_t ms;
	int i;

	if (l == NULL || !l->marked || (wake != NULL && wake_lane_lower_count(wake, l->lane) != l->lower))
		return false;
	ms = (task_id_time(&l->start) - MARGIN) / CLOCK_MS;
	memset(start_r, 0, sizeof(*start_r));
	for (i = 0; i < 6; i++)
		start_r->b[i] = (uint8_t)(ms >> (40 - 8 * i));
	return true;
}

struct probe {
	int32_t lane;
	int prio, below;
	struct id start;
};

/* More urgent rows than the head may have come since: they are asked for from zero. */
static int
probes_of(struct store_worker *w, int32_t lane, struct probe p[2])
{
	const struct lane_info *l = worker_lane(w, lane);
	struct id start;

	p[0] = (struct probe){ lane, -PRIO_END, PRIO_END, { { 0 } } };
	if (!mark_of(w, l, &start))
		return 1;
	p[0].below = l->prio;
	p[1] = (struct probe){ lane, l->prio, PRIO_END, start };
	return 2;
}

static void
bind_probes(struct store_worker *w, struct stmt *t, const struct store_step *in, bool claims)
{
	struct probe p[2];
	int column, i, k, n;

	for (column = 0; column < 4; column++) {
		stmt_array(t);
		for (i = 0; claims && i < in->nlanes; i++) {
			n = probes_of(w, in->lanes[i], p);
			for (k = 0; k < n; k++) {
				if (column == 0)
					stmt_int4(t, p[k].lane);
				else if (column == 1)
					stmt_int2(t, p[k].prio);
				else if (column == 2)
					stmt_uuid(t, &p[k].start);
				else
					stmt_int4(t, p[k].below);
			}
		}
		stmt_array_end(t);
	}
}

static void
add_claim(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	bool claims = st->to == st->copy.noutcomes && st->copy.claim > 0;
	int64_t lease_id = store_new_rid(w->store);
	struct stmt *t = request_stmt(r, SQL_CLAIM);

	buf_put(&st->lease_ids, &lease_id, sizeof(lease_id));
	stmt_int4(t, w->inc);
	stmt_int8(t, w->seq + 1);
	stmt_int8(t, lease_id);
	stmt_int4(t, claims ? st->copy.claim : 0);
	bind_probes(w, t, &st->copy, claims);
	stmt_int4(request_stmt(r, SQL_WORKER_LOOK), w->inc);
}

static void
add_claim_again(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	size_t i, n = st->lease_ids.len / sizeof(int64_t);
	struct stmt *t;
	int64_t lease_id;

	if (!st->uncertain)
		return;
	st->at_claim_again = r->nstmts;
	t = request_stmt(r, SQL_CLAIM_AGAIN);
	stmt_int4(t, w->inc);
	stmt_array(t);
	for (i = 0; i + 1 < n; i++) { /* those of the tries before this one */
		memcpy(&lease_id, st->lease_ids.data + i * sizeof(lease_id), sizeof(lease_id));
		stmt_int8(t, lease_id);
	}
	stmt_array_end(t);
}

/* --- outcomes --------------------------------------------------------------------------------------------------------- */

static void
bind_ids(struct stmt *t, const struct stepping *st, outcome_pick *pick)
{
	const struct store_outcome *o;

	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_uuid(t, &o->id);
	stmt_array_end(t);
}

static void
bind_lease_ids(struct stmt *t, const struct stepping *st, outcome_pick *pick)
{
	const struct store_outcome *o;

	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_int8(t, o->lease.lease_id);
	stmt_array_end(t);
}

static void
bind_where(struct stmt *t, const struct stepping *st, outcome_pick *pick)
{
	const struct store_outcome *o;

	bind_ids(t, st, pick);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_uuid(t, &o->lease.lo);
	stmt_array_end(t);
	bind_lease_ids(t, st, pick);
}

/* Charge, crash, class, code, message, exit, started_at. */
static void
bind_failure(struct stmt *t, const struct stepping *st, outcome_pick *pick)
{
	const struct store_outcome *o;

	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_int2(t, o->charge);
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_int2(t, o->crash);
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_int2(t, (int)o->failure->class);
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_text(t, span_of(o->failure->code));
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_text(t, span_of(o->failure->message));
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_int4(t, o->failure->exit);
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, pick)
		stmt_time(t, o->started_at);
	stmt_array_end(t);
}

/* Which leases end with this window, and whether by successes alone. */
static void
mark_leaving(struct store_worker *w)
{
	struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct open_lease *l;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (o = st->copy.outcomes + st->from; o < st->copy.outcomes + st->to; o++) {
			if ((l = lease_find(&w->leases, &o->lease)) == NULL)
				continue;
			if (pass == 0) {
				l->leaving = 0;
				l->only_done = true;
				l->listed = false;
			} else if (lease_has_open(l, &o->id)) {
				l->leaving++;
				l->only_done = l->only_done && o->kind == STORE_SUCCEEDED;
			}
		}
	}
}

/* The leases of the picked outcomes, each once, as two arrays: those that end by successes alone, or the others. */
static void
bind_leases(struct store_worker *w, struct stmt *t, outcome_pick *pick, bool ending)
{
	const struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct open_lease *l;
	bool ends;
	int column;

	for (column = 0; column < 2; column++) {
		mark_leaving(w);
		stmt_array(t);
		EACH_OUTCOME (o, st, pick) {
			l = lease_find(&w->leases, &o->lease);
			ends = l != NULL && l->leaving == l->left && l->only_done;
			if (ends != ending || (l != NULL && l->listed))
				continue;
			if (l != NULL)
				l->listed = true;
			if (column == 0)
				stmt_uuid(t, &o->lease.lo);
			else
				stmt_int8(t, o->lease.lease_id);
		}
		stmt_array_end(t);
	}
}

static void
add_finish(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct stmt *t;

	if (count(st, is_success) == 0)
		return;
	st->at_finish = r->nstmts;
	t = request_stmt(r, st->again ? SQL_FINISH_AGAIN : SQL_FINISH);
	bind_where(t, st, is_success);
	stmt_array(t);
	EACH_OUTCOME (o, st, is_success) {
		if (o->result.len > 0)
			stmt_bytea(t, o->result);
		else
			stmt_null(t);
	}
	stmt_array_end(t);
	bind_leases(w, t, is_success, true);
	bind_leases(w, t, is_success, false);
	if (!st->again)
		return;
	st->at_finish = r->nstmts;
	t = request_stmt(r, SQL_FINISH_READ);
	bind_ids(t, st, is_success);
	bind_lease_ids(t, st, is_success);
}

static void
add_retry(struct stepping *st, struct request *r)
{
	const struct store_outcome *o;
	struct stmt *t;

	if (count(st, is_retry) == 0)
		return;
	st->at_retry = r->nstmts;
	t = request_stmt(r, SQL_RETRY);
	bind_where(t, st, is_retry);
	stmt_array(t);
	EACH_OUTCOME (o, st, is_retry)
		stmt_int8(t, o->delay);
	stmt_array_end(t);
	bind_failure(t, st, is_retry);
}

static void
add_bury(struct stepping *st, struct request *r)
{
	const struct store_outcome *o;
	struct stmt *t;

	if (count(st, is_bury) == 0)
		return;
	st->at_bury = r->nstmts;
	t = request_stmt(r, SQL_BURY);
	bind_where(t, st, is_bury);
	stmt_array(t);
	EACH_OUTCOME (o, st, is_bury)
		stmt_text(t, span_of(o->reason));
	stmt_array_end(t);
	bind_failure(t, st, is_bury);
}

static void
add_discard(struct stepping *st, struct request *r)
{
	struct stmt *t;

	if (count(st, is_discard) == 0)
		return;
	st->at_discard = r->nstmts;
	t = request_stmt(r, SQL_DISCARD);
	bind_where(t, st, is_discard);
	bind_failure(t, st, is_discard);
}

/* Leases that end, but not by successes alone: after all their outcomes. */
static void
add_drop(struct store_worker *w, struct request *r)
{
	const struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct open_lease *l;
	struct stmt *t = NULL;
	int column;

	for (column = 0; column < 2; column++) {
		mark_leaving(w);
		if (t != NULL)
			stmt_array(t);
		EACH_OUTCOME (o, st, is_failure) {
			l = lease_find(&w->leases, &o->lease);
			if (l == NULL || l->leaving != l->left || l->left == 0 || l->listed)
				continue;
			if (t == NULL) {
				t = request_stmt(r, SQL_LEASE_DROP);
				stmt_array(t);
			}
			l->listed = true;
			if (column == 0)
				stmt_uuid(t, &l->lease.lo);
			else
				stmt_int8(t, l->lease.lease_id);
		}
		if (t == NULL)
			return;
		stmt_array_end(t);
	}
}

static void
add_outcomes(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	struct stmt *t;

	add_finish(w, r);
	if (count(st, is_failure) == 0)
		return;
	t = request_stmt(r, SQL_LEASE_SHARE);
	bind_leases(w, t, is_failure, false);
	add_retry(st, r);
	add_bury(st, r);
	add_discard(st, r);
	if (st->again) {
		st->at_tried = r->nstmts;
		t = request_stmt(r, SQL_TRIED_READ);
		bind_ids(t, st, is_failure);
		bind_lease_ids(t, st, is_failure);
	}
	add_drop(w, r);
}

/* --- give-backs ------------------------------------------------------------------------------------------------------------ */

/* From where on; the whole lease when nothing of it stays open. */
static struct id
giveback_from(struct store_worker *w, const struct store_giveback *g)
{
	struct open_lease *l = lease_find(&w->leases, &g->lease);
	const struct store_outcome *o;
	int stay;

	if (l == NULL)
		return g->from;
	stay = lease_open_before(l, &g->from);
	for (o = w->step.copy.outcomes + w->step.from; o < w->step.copy.outcomes + w->step.to; o++)
		if (o->lease.lease_id == g->lease.lease_id && id_eq(&o->lease.lo, &g->lease.lo) &&
		    id_cmp(&o->id, &g->from) < 0 && lease_has_open(l, &o->id))
			stay--;
	return stay <= 0 ? g->lease.lo : g->from;
}

static void
bind_given(struct stmt *t, const struct store_step *in)
{
	int i;

	stmt_array(t);
	for (i = 0; i < in->ngivebacks; i++)
		stmt_uuid(t, &in->givebacks[i].lease.lo);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < in->ngivebacks; i++)
		stmt_int8(t, in->givebacks[i].lease.lease_id);
	stmt_array_end(t);
}

static void
add_givebacks(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const struct store_step *in = &st->copy;
	struct stmt *t;
	struct id from;
	int i;

	if (in->ngivebacks == 0 || st->to < in->noutcomes)
		return;
	bind_given(request_stmt(r, SQL_LEASE_LOCK), in);
	st->at_giveback = r->nstmts;
	t = request_stmt(r, SQL_GIVEBACK);
	bind_given(t, in);
	stmt_array(t);
	for (i = 0; i < in->ngivebacks; i++) {
		from = giveback_from(w, &in->givebacks[i]);
		stmt_uuid(t, &from);
	}
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < in->ngivebacks; i++)
		stmt_int2(t, in->givebacks[i].started);
	stmt_array_end(t);
	stmt_int8(t, store_new_rid(w->store));
}

/* --- sending ------------------------------------------------------------------------------------------------------------------ */

static void
step_answer(struct store_worker *w, struct store_stepped *a)
{
	struct stepping *st = &w->step;
	store_step_fn *fn = st->fn;
	bool *accepted = st->accepted;

	a->accepted = accepted;
	st->in = NULL;
	st->accepted = NULL;
	buf_reset(&st->lease_ids);
	fn(st->arg, a);
	mem_free(&accepted);
}

/* Declared dead: nothing of it counts. */
static void
step_lost(struct store_worker *w)
{
	struct store_stepped a = { .status = STORE_OK, .lost = true };

	memset(w->step.accepted, 0, (size_t)w->step.copy.noutcomes * sizeof(bool));
	step_answer(w, &a);
}

void
step_send(struct store_worker *w)
{
	struct stepping *st = &w->step;
	struct request *r;

	if (st->in == NULL || st->request != NULL || w->inc == 0 || pool_closing(w->pool))
		return;
	if (st->inc != 0 && st->inc != w->inc) {
		step_lost(w);
		return;
	}
	st->inc = w->inc;
	st->to = st->from + st->width < st->copy.noutcomes ? st->from + st->width : st->copy.noutcomes;
	st->at_finish = st->at_retry = st->at_bury = st->at_discard = st->at_tried = st->at_giveback =
	    st->at_claim_again = -1;
	r = st->request = request_new(on_step, w);
	add_claim(w, r);
	add_outcomes(w, r);
	add_givebacks(w, r);
	add_claim_again(w, r);
	request_send(w->pool, r);
}

void
store_step(struct store *s, const struct store_step *step, store_step_fn *fn, void *arg)
{
	struct store_worker *w = s->worker;
	struct stepping *st = &w->step;

	ASSERT(w != NULL && st->in == NULL);
	st->in = step;
	st->copy = *step;
	st->fn = fn;
	st->arg = arg;
	st->inc = 0;
	st->accepted = mem_zalloc(sizeof(bool) * (size_t)(step->noutcomes + 1));
	st->from = 0;
	st->width = step->noutcomes;
	st->again = st->uncertain = false;
	buf_reset(&st->lease_ids);
	step_send(w);
}

void
step_close(struct store_worker *w)
{
	struct store_stepped a = { .status = STORE_FAILED };

	ASSERT(w->step.request == NULL);
	if (w->step.in == NULL)
		return;
	memset(w->step.accepted, 0, (size_t)w->step.copy.noutcomes * sizeof(bool));
	step_answer(w, &a);
}

/* --- the answer ------------------------------------------------------------------------------------------------------------------ */

/* Marks the outcomes whose ids came back. */
static void
take_accepted(struct stepping *st, const struct request *r, int at, outcome_pick *pick)
{
	const struct store_outcome *o, *first = st->copy.outcomes + st->from, *last = st->copy.outcomes + st->to;
	const struct store_outcome *hint = first;
	const PGresult *res;
	struct id id;
	int row;
	ptrdiff_t k, n = last - first;

	if (at < 0)
		return;
	res = r->results[at];
	for (row = 0; row < PQntuples(res); row++) {
		id = col_id(res, row, 0);
		for (k = 0; k < n; k++) { /* they come in the order they went, mostly */
			o = first + (hint - first + k) % n;
			if (!pick(o) || !id_eq(&o->id, &id))
				continue;
			st->accepted[o - st->copy.outcomes] = true;
			hint = o + 1;
			break;
		}
	}
}

static void
take_givebacks(struct store_worker *w, const struct request *r)
{
	struct stepping *st = &w->step;
	const PGresult *res;
	int row;

	if (st->at_giveback < 0)
		return;
	res = r->results[st->at_giveback];
	for (row = 0; row < PQntuples(res); row++)
		store_wake_lower(w->store, (int32_t)col_int(res, row, SQL_GIVEBACK_LANE));
	if (PQntuples(res) > 0)
		store_wake_workers(w->store);
}

/* What left in this window is not open any more. */
static void
close_window(struct store_worker *w)
{
	struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct open_lease *l;
	int i;

	for (i = 0; i < st->copy.ngivebacks && st->at_giveback >= 0; i++) {
		l = lease_find(&w->leases, &st->copy.givebacks[i].lease);
		if (l != NULL)
			lease_close_from(l, &st->copy.givebacks[i].from);
		if (l != NULL && l->left == 0)
			lease_free(&l);
	}
	for (o = st->copy.outcomes + st->from; o < st->copy.outcomes + st->to; o++) {
		l = lease_find(&w->leases, &o->lease);
		if (l != NULL && lease_close_task(l, &o->id) && l->left == 0)
			lease_free(&l);
	}
}

/* A lease without tasks is of use to nobody. */
static void
on_dropped(struct request *r)
{
	request_free(&r);
}

static void
drop_hollow(struct store_worker *w, const struct store_lease *l)
{
	struct request *r = request_new(on_dropped, w);
	struct stmt *t = request_stmt(r, SQL_LEASE_DROP);

	r->repeat = true;
	r->deadline = clock_now() + w->store->o.conf->postgres.deadline;
	stmt_array(t);
	stmt_uuid(t, &l->lo);
	stmt_array_end(t);
	stmt_array(t);
	stmt_int8(t, l->lease_id);
	stmt_array_end(t);
	request_send(w->pool, r);
}

static void
claimed_row(struct store_worker *w, const PGresult *res, int row, struct store_claimed *c)
{
	const struct lane_info *lane;
	struct span options = col_span(res, row, SQL_CLAIM_OPTIONS);
	int lost = (int)col_int(res, row, SQL_CLAIM_LOST);

	c->row.id = col_id(res, row, SQL_CLAIM_ID);
	c->row.lane = (int32_t)col_int(res, row, SQL_CLAIM_LANE);
	lane = worker_lane(w, c->row.lane);
	ASSERT(lane != NULL); /* only lanes that were read are asked for */
	c->row.queue = lane->queue;
	c->row.task_type = lane->task_type;
	c->row.group = lane->group;
	c->row.priority = -(int)col_int(res, row, SQL_CLAIM_PRIO);
	c->row.max_attempts = (int)col_int(res, row, SQL_CLAIM_MAX_ATTEMPTS);
	c->row.created_at = col_time(res, row, SQL_CLAIM_CREATED_AT);
	c->row.updated_at = col_time(res, row, SQL_CLAIM_SINCE);
	c->row.run_at = col_time(res, row, SQL_CLAIM_RUN_AT);
	c->row.payload = col_span(res, row, SQL_CLAIM_PAYLOAD);
	c->row.error_class = span_of(task_class_name((enum task_class)col_int(res, row, SQL_CLAIM_ERROR_CLASS)));
	c->row.error_code = col_span(res, row, SQL_CLAIM_ERROR_CODE);
	c->row.state = TASK_LEASED;
	if (options.len > 0 && !task_options_unpack(options, &c->row))
		c->row.nlabels = 0;
	c->run = c->row.run = (int)col_int(res, row, SQL_CLAIM_RUN);
	c->attempts = c->row.attempts = (int)col_int(res, row, SQL_CLAIM_ATTEMPTS);
	/* a worker lost under many tasks says little of one; from the third loss on the task was alone */
	c->crashes = (int)col_int(res, row, SQL_CLAIM_CRASHES) + (lost > 2 ? lost - 2 : 0);
	c->row.crashes = c->crashes;
}

/* Adds the leases and tasks of one result; tasks_r has room.  lease_id 0: each row tells its own. */
static int
take_claimed(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r)
{
	struct store_lease lease = { .lease_id = lease_id };
	struct open_lease *l = NULL;
	int row, n = 0;

	for (row = 0; row < PQntuples(res); row++) {
		if (lease_id == 0)
			lease.lease_id = col_int(res, row, SQL_CLAIM_AGAIN_LEASE_ID);
		lease.lo = col_id(res, row, SQL_CLAIM_LO);
		lease.hi = col_id(res, row, SQL_CLAIM_HI);
		if (col_null(res, row, SQL_CLAIM_ID)) {
			drop_hollow(w, &lease);
			continue;
		}
		if (l == NULL || l->lease.lease_id != lease.lease_id || !id_eq(&l->lease.lo, &lease.lo))
			l = lease_find(&w->leases, &lease);
		if (l == NULL)
			l = lease_add(&w->leases, &lease);
		tasks_r[n] = (struct store_claimed){ .lease = lease };
		claimed_row(w, res, row, &tasks_r[n]);
		lease_open_task(l, &tasks_r[n].row.id);
		n++;
	}
	return n;
}

/* The window is written: on with the next one, or the step is over. */
static void
window_over(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const PGresult *claimed = r->results[0],
		       *again = st->at_claim_again < 0 ? NULL : r->results[st->at_claim_again];
	struct store_stepped a = { .status = STORE_OK };
	struct store_claimed *tasks;
	int64_t lease_id;

	close_window(w);
	st->from = st->to;
	st->again = st->uncertain = false;
	if (st->from < st->copy.noutcomes) {
		buf_reset(&st->lease_ids);
		request_free(&r);
		step_send(w);
		return;
	}
	tasks = mem_zalloc(sizeof(*tasks) * (size_t)(PQntuples(claimed) + (again != NULL ? PQntuples(again) : 0) + 1));
	memcpy(&lease_id, st->lease_ids.data + st->lease_ids.len - sizeof(lease_id), sizeof(lease_id));
	a.ntasks = take_claimed(w, claimed, lease_id, tasks);
	if (again != NULL)
		a.ntasks += take_claimed(w, again, 0, tasks + a.ntasks);
	a.tasks = tasks;
	step_answer(w, &a);
	mem_free(&tasks);
	request_free(&r);
}

static void
step_good(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const PGresult *look = r->results[1];
	int64_t seq = PQntuples(look) == 0 ? -1 : col_int(look, 0, SQL_WORKER_LOOK_SEQ);

	if (seq != w->seq + 1) {
		log_warning("declared dead: other workers have the tasks", log_int("inc", w->inc), log_int("seq", seq),
		    log_int("expected", w->seq + 1));
		request_free(&r);
		worker_lose(w);
		step_lost(w);
		return;
	}
	w->seq++;
	take_accepted(st, r, st->at_finish, is_success);
	take_accepted(st, r, st->at_retry, is_retry);
	take_accepted(st, r, st->at_bury, is_bury);
	take_accepted(st, r, st->at_discard, is_discard);
	take_accepted(st, r, st->at_tried, is_failure);
	take_givebacks(w, r);
	window_over(w, r);
}

/* Narrows the window around a poison outcome; alone it is given up. */
static void
narrow(struct store_worker *w, const struct request *r)
{
	struct stepping *st = &w->step;
	const struct store_outcome *o = &st->copy.outcomes[st->from];

	if (st->to - st->from > 1) {
		st->width = (st->to - st->from) / 2;
		return;
	}
	log_error("postgres refused an outcome", log_id("task_id", &o->id), log_str("sqlstate", r->sqlstate),
	    log_str("error", r->why));
	st->from++;
	st->width = st->copy.noutcomes;
}

/* Nothing was written, for certain or perhaps: how it goes again. */
static void
step_bad(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	int64_t pause = 0;

	if (r->status == STORE_UNSURE)
		st->again = st->uncertain = true;
	else if (!st->uncertain)
		buf_reset(&st->lease_ids);
	if (r->status == STORE_REFUSED && r->action == ACTION_SPLIT) {
		pause = (int64_t)((double)PAUSE * drand48());
		if (!st->again)
			st->again = true;
		else if (store_error_is_data(r->sqlstate) && st->to > st->from)
			narrow(w, r);
	} else if (r->action == ACTION_RESEND) {
		pause = (int64_t)((double)PAUSE * drand48());
	} else if (r->action == ACTION_SHED || r->action == ACTION_GIVE_UP) {
		log_error("postgres refused a step", log_str("sqlstate", r->sqlstate), log_str("error", r->why));
		pause = PAUSE_TROUBLE;
	}
	request_free(&r);
	loop_timer_set(w->timer, pause);
}

static void
on_step(struct request *r)
{
	struct store_worker *w = r->arg;

	ASSERT(w->step.request == r && w->step.in != NULL);
	w->step.request = NULL;
	if (pool_closing(w->pool))
		request_free(&r); /* step_close() answers */
	else if (r->status == STORE_OK)
		step_good(w, r);
	else
		step_bad(w, r);
}
