/* store_outcome.c - outcomes as statements, and which of them were accepted.
 *
 * Successes are one plain insert, fenced by their leases: store_finish.c.  Everything else leaves its lease by a row of `tried`, after the leases were locked
 * in a statement before.  A lease whose last tasks these are goes along: with the successes when they are all, else behind the last statement.
 * A repetition uses the texts that let stand what is there and reads back which of it is mine.  Logs nothing.  Next: store_lease.c.
 */
#include "base/clock.h"
#include "stats/stats.h"

#include "store/store_int.h"

typedef bool outcome_pick(const struct store_outcome *o);

static bool
is_retry(const struct store_outcome *o)
{
	return o->kind == STORE_RETRY;
}

static bool
is_put_off(const struct store_outcome *o)
{
	return o->kind == STORE_PUT_OFF;
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

/* Charge, crash, class, code, message, exit, started_at, tail. */
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
	stmt_array(t);
	EACH_OUTCOME (o, st, pick) {
		if (o->failure->tail.len > 0)
			stmt_text(t, o->failure->tail);
		else
			stmt_null(t);
	}
	stmt_array_end(t);
}

/* Which leases end with this window, and whether by successes alone. */
void
outcome_mark_leaving(struct store_worker *w)
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

/* The leases of the picked outcomes, each once, as two arrays; but for those that end by successes alone. */
static void
bind_leases(struct store_worker *w, struct stmt *t, outcome_pick *pick)
{
	const struct stepping *st = &w->step;
	const struct store_outcome *o;
	struct open_lease *l;
	bool ends;
	int column;

	for (column = 0; column < 2; column++) {
		outcome_mark_leaving(w);
		stmt_array(t);
		EACH_OUTCOME (o, st, pick) {
			l = lease_find(&w->leases, &o->lease);
			ends = l != NULL && l->leaving == l->left && l->only_done;
			if (ends || (l != NULL && l->listed))
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
add_put_off(struct stepping *st, struct request *r)
{
	const struct store_outcome *o;
	struct stmt *t;

	if (count(st, is_put_off) == 0)
		return;
	st->at_put_off = r->nstmts;
	t = request_stmt(r, SQL_PUT_OFF);
	bind_where(t, st, is_put_off);
	stmt_array(t);
	EACH_OUTCOME (o, st, is_put_off)
		stmt_int8(t, o->delay);
	stmt_array_end(t);
	stmt_array(t);
	EACH_OUTCOME (o, st, is_put_off)
		stmt_time(t, o->started_at);
	stmt_array_end(t);
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
		outcome_mark_leaving(w);
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

void
outcome_add(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	struct stmt *t;

	finish_add(w, r);
	if (count(st, is_failure) == 0)
		return;
	t = request_stmt(r, SQL_LEASE_SHARE);
	bind_leases(w, t, is_failure);
	add_retry(st, r);
	add_put_off(st, r);
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

void
outcome_take(struct stepping *st, const struct request *r)
{
	finish_take(st, r);
	take_accepted(st, r, st->at_retry, is_retry);
	take_accepted(st, r, st->at_put_off, is_put_off);
	take_accepted(st, r, st->at_bury, is_bury);
	take_accepted(st, r, st->at_discard, is_discard);
	take_accepted(st, r, st->at_tried, is_failure);
}

/* --- figures ------------------------------------------------------------------------------------------------------------------ */

void
store_outcome_count(enum store_outcome_kind kind, struct span queue, struct span task_type, int64_t ran)
{
	static const enum stats_outcome as[] = {
		[STORE_SUCCEEDED] = STATS_SUCCEEDED,
		[STORE_RETRY] = STATS_RETRIED,
		[STORE_BURY] = STATS_DEAD,
		[STORE_DISCARD] = STATS_FAILED,
		[STORE_PUT_OFF] = STATS_PUT_OFF,
	};

	stats_finished(stats_series(queue, task_type), as[kind], (double)ran / (double)CLOCK_SECOND);
}
