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

static void on_step(struct request *r);

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
	st->at_finish = st->at_retry = st->at_put_off = st->at_bury = st->at_discard = st->at_tried = st->at_giveback =
	    st->at_claim_again = st->at_exact = -1;
	r = st->request = request_new(on_step, w);
	claim_add(w, r);
	outcome_add(w, r);
	add_givebacks(w, r);
	exact_add(w, r);
	claim_add_again(w, r);
	request_send(w->pool, r);
}

void
store_step(struct store *s, const struct store_step *step, store_step_fn *fn, void *arg)
{
	struct store_worker *w = s->worker;
	struct stepping *st = &w->step;

	ASSERT(w != NULL && st->in == NULL);
	if (w->closed)
		return;
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
	w->closed = true;
	if (w->step.in == NULL)
		return;
	memset(w->step.accepted, 0, (size_t)w->step.copy.noutcomes * sizeof(bool));
	step_answer(w, &a);
}

/* --- the answer ------------------------------------------------------------------------------------------------------------------ */

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

/* The window is written: on with the next one, or the step is over. */
static void
window_over(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const PGresult *claimed = r->results[0],
		       *again = st->at_claim_again < 0 ? NULL : r->results[st->at_claim_again],
		       *exact = st->at_exact < 0 ? NULL : r->results[st->at_exact];
	struct store_stepped a = { .status = STORE_OK };
	struct store_claimed *tasks;
	int64_t lease_id;
	struct claim_got *got;
	bool *full;
	int32_t *held = NULL;

	close_window(w);
	st->from = st->to;
	st->again = st->uncertain = false;
	if (st->from < st->copy.noutcomes) {
		buf_reset(&st->lease_ids);
		request_free(&r);
		step_send(w);
		return;
	}
	tasks = mem_zalloc(sizeof(*tasks) * (size_t)(PQntuples(claimed) + (again != NULL ? PQntuples(again) : 0) +
						     (exact != NULL ? PQntuples(exact) : 0) + 1));
	memcpy(&lease_id, st->lease_ids.data + st->lease_ids.len - sizeof(lease_id), sizeof(lease_id));
	got = mem_zalloc(sizeof(*got) * (size_t)(st->copy.nturns + 1));
	a.ntasks = claim_take(w, claimed, lease_id, tasks, got);
	if (again != NULL)
		a.ntasks += claim_take(w, again, 0, tasks + a.ntasks, got);
	a.full = full = claim_full(w, a.ntasks, got, again != NULL);
	if (exact != NULL)
		a.ntasks += exact_take(w, exact, lease_id, tasks + a.ntasks, &a, &held, full);
	a.tasks = tasks;
	step_answer(w, &a);
	mem_free(&held);
	mem_free(&full);
	mem_free(&got);
	mem_free(&tasks);
	request_free(&r);
}

/* What waits for its next run may be due before all that the keeper knows. */
static void
wake_keeper(const struct store_worker *w)
{
	if ((w->step.at_retry >= 0 || w->step.at_put_off >= 0) && w->store->o.wake != NULL)
		wake_keeper_ring(w->store->o.wake);
	if (w->step.at_bury >= 0 && w->store->o.wake != NULL)
		wake_letter(w->store->o.wake);
}

static void
step_good(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const PGresult *look = r->results[1];
	int64_t seq = PQntuples(look) == 0 ? -1 : col_int(look, 0, SQL_WORKER_LOOK_SEQ);

	if (seq != w->seq + 1) {
		log_warning(
		    "declared dead: other workers have the tasks", log_int("inc", st->inc), log_int("seq", seq));
		request_free(&r);
		if (w->inc == st->inc) /* else a heartbeat told it first, and there is a new identity or will be */
			worker_lose(w);
		step_lost(w);
		return;
	}
	w->seq++;
	outcome_take(st, r);
	wake_keeper(w);
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
