/* store_hand.c - what an operator does to one task: cancel it, run it again.
 *
 * Both are loops: look where the task is, act on that place under its lock in one transaction, and when it had moved in between look again.
 * A try whose answer was lost may have committed; when a later look finds the task where the caller wanted it, it was ours.
 * The act is told in the audit in the same transaction. Logs nothing.  Next: store_read.c.
 */
#include <stdlib.h>

#include "store/store_hand.h"
#include "store/store_int.h"

#define HAND_MAGIC 0x5c0a4a2dU
#define PAUSE (20 * CLOCK_MS)

struct hand {
	unsigned magic;
	struct store *store;
	struct id id;
	bool cancel; /* else retry */
	struct store_retry how;
	const struct store_who *who;
	store_row_fn *fn;
	void *arg;
	int64_t deadline;
	int run;      /* of the task before the first try */
	bool acted;   /* it is done, or may be */
	bool certain; /* it is */
	bool blocked; /* its letter must not be replayed */
};

static void on_look(void *arg, enum store_status status, const struct task_row *row);
static void on_act(struct request *r);

static void
hand_answer(struct hand *h, enum store_status status, const struct task_row *row)
{
	h->fn(h->arg, status, row);
	h->magic = 0;
	mem_free(&h);
}

static void
look(struct hand *h)
{
	store_get(h->store, &h->id, on_look, h);
}

static void
bind_retry(struct hand *h, struct stmt *t, int run)
{
	stmt_uuid(t, &h->id);
	stmt_int4(t, h->how.extra_attempts);
	stmt_bool(t, h->how.reset_attempts);
	stmt_int8(t, store_new_rid(h->store));
	stmt_int4(t, run);
	audit_bind(t, h->who);
}

static void
bind_cancel(struct hand *h, struct stmt *t)
{
	stmt_uuid(t, &h->id);
	audit_bind(t, h->who);
}

static void
bind_block(struct stmt *t, const struct task_row *row)
{
	stmt_text(t, row->task_type);
	stmt_text(t, row->schema_version);
}

static void
add_cancels(struct hand *h, struct request *r, const struct task_row *row)
{
	struct stmt *t;

	bind_cancel(h, request_stmt(r, SQL_CANCEL_WAITING));
	t = request_stmt(r, SQL_CANCEL_READY);
	stmt_uuid(t, &h->id);
	stmt_int4(t, row->lane);
	stmt_int2(t, -row->priority);
	stmt_int8(t, store_new_rid(h->store));
	audit_bind(t, h->who);
	stmt_uuid(request_stmt(r, SQL_LEASE_COVER_LOCK), &h->id);
	bind_cancel(h, request_stmt(r, SQL_CANCEL_LEASED));
}

/* One transaction; at most one of its statements finds the task. */
static void
act(struct hand *h, const struct task_row *row)
{
	struct request *r = request_new(on_act, h);
	struct stmt *t;

	r->deadline = h->deadline;
	if (!h->acted)
		h->run = row->run;
	if (h->cancel) {
		add_cancels(h, r, row);
	} else if (row->state == TASK_DEAD) {
		bind_block(request_stmt(r, SQL_BLOCK_FIND), row);
		t = request_stmt(r, SQL_RETRY_DEAD);
		bind_retry(h, t, row->run);
		bind_block(t, row);
	} else {
		stmt_uuid(request_stmt(r, SQL_LEASE_COVER_LOCK), &h->id);
		t = request_stmt(r, SQL_RETRY_MARK);
		stmt_uuid(t, &h->id);
		stmt_int4(t, row->run);
		bind_retry(h, request_stmt(r, SQL_RETRY_FAILED), row->run);
	}
	r->not_before = h->acted ? clock_now() + (int64_t)((double)PAUSE * drand48()) : 0;
	request_send(store_any_pool(h->store), r);
}

/* Whether the move is legal from where the task is. */
static bool
may(const struct hand *h, enum task_state state)
{
	if (h->cancel)
		return task_state_next(state, TASK_EV_CANCEL) != TASK_STATES;
	return task_state_next(state, TASK_EV_REPLAY) != TASK_STATES ||
	       task_state_next(state, TASK_EV_HAND_RETRY) != TASK_STATES;
}

/* Whether it is where the caller wanted it. */
static bool
arrived(const struct hand *h, enum task_state state)
{
	return h->cancel ? state == TASK_CANCELLED : state != TASK_CANCELLED;
}

static void
on_look(void *arg, enum store_status status, const struct task_row *row)
{
	struct hand *h = arg;

	MAGIC_CHECK(h, HAND_MAGIC);
	if (status != STORE_OK)
		hand_answer(h, h->acted ? STORE_UNSURE : STORE_FAILED, NULL); /* OK without a row: no such task */
	else if (h->blocked && row != NULL && row->state == TASK_DEAD)
		hand_answer(h, STORE_REFUSED, row);
	else if (row == NULL || h->certain || (h->acted && !h->cancel && row->run > h->run))
		hand_answer(h, STORE_OK, row); /* the last: it ran, and ended again, since a try that was cut */
	else if (may(h, row->state) && clock_now() < h->deadline)
		act(h, row);
	else if (may(h, row->state))
		hand_answer(h, h->acted ? STORE_UNSURE : STORE_FAILED, row);
	else
		hand_answer(h, h->acted && arrived(h, row->state) ? STORE_OK : STORE_REFUSED, row);
}

/* Rows of the statements that end with one, of which at most one found the task. */
static int
found(const struct hand *h, const struct request *r)
{
	int i, n = 0;

	for (i = 0; i < r->nstmts; i++)
		if (r->stmts[i].sql != SQL_LEASE_COVER_LOCK && r->stmts[i].sql != SQL_BLOCK_FIND &&
		    PQresultStatus(r->results[i]) == PGRES_TUPLES_OK)
			n += PQntuples(r->results[i]);
	if (n > 0 && !h->cancel) {
		store_wake_lower(h->store, (int32_t)col_int(r->results[r->nstmts - 1], 0, SQL_RETRY_DEAD_LANE));
		store_wake_workers(h->store);
	}
	return n;
}

static void
on_act(struct request *r)
{
	struct hand *h = r->arg;
	bool passes = r->status == STORE_OK || r->action == ACTION_RESEND || r->action == ACTION_RECONNECT ||
		      r->action == ACTION_SPLIT;

	MAGIC_CHECK(h, HAND_MAGIC);
	h->blocked = r->status == STORE_OK && r->stmts[0].sql == SQL_BLOCK_FIND && PQntuples(r->results[0]) > 0;
	if (r->status == STORE_OK && found(h, r) > 0)
		h->acted = h->certain = true;
	else if (r->status == STORE_UNSURE)
		h->acted = true;
	if (!passes || pool_closing(r->pool))
		hand_answer(h, h->acted ? STORE_UNSURE : STORE_FAILED, NULL);
	else
		look(h);
	request_free(&r);
}

static struct hand *
hand_new(struct store *s, const struct id *id, const struct store_who *who, store_row_fn *fn, void *arg)
{
	struct hand *h = mem_zalloc(sizeof(*h));

	h->magic = HAND_MAGIC;
	h->store = s;
	h->id = *id;
	h->who = who;
	h->fn = fn;
	h->arg = arg;
	h->deadline = clock_now() + s->o.conf->postgres.deadline;
	return h;
}

void
store_cancel(struct store *s, const struct id *id, const struct store_who *who, store_row_fn *fn, void *arg)
{
	struct hand *h = hand_new(s, id, who, fn, arg);

	h->cancel = true;
	look(h);
}

void
store_retry(struct store *s, const struct id *id, const struct store_retry *how, const struct store_who *who,
    store_row_fn *fn, void *arg)
{
	struct hand *h = hand_new(s, id, who, fn, arg);

	h->how = *how;
	look(h);
}
