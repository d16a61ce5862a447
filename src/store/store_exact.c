/* store_exact.c - a claim from lanes with exact limits: of a queue that is limited, or in order.
 *
 * The usual claim of the step goes first and asks for nothing; it advances the worker's seq.  Then come outcomes and give-backs, and last
 * the lock of the queue's gate and the exact claim, two statements, because counting needs a snapshot that is newer than the lock.
 * So what ends in the same step has made room.  All of it is one pipeline and one transaction: the gate is locked for the time of two
 * statements and a commit.  Whoever finds it locked takes nothing.  Logs nothing.  Next: store_step.c.
 */
#include <string.h>

#include "store/store_int.h"

void
exact_bind_limits(struct stmt *t, const struct store_limits *l)
{
	stmt_int4(t, l->concurrency);
	stmt_int4(t, l->group_concurrency);
	stmt_int8(t, l->interval);
	stmt_int4(t, l->burst);
	stmt_int8(t, l->group_interval);
	stmt_int4(t, l->group_burst);
}

void
exact_add(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	const struct store_exact *x = st->copy.exact;
	struct stmt *t;
	int64_t lease_id;

	if (x == NULL || st->copy.nturns == 0 || st->to < st->copy.noutcomes)
		return;
	memcpy(&lease_id, st->lease_ids.data + st->lease_ids.len - sizeof(lease_id), sizeof(lease_id));
	stmt_text(request_stmt(r, SQL_GATE_LOCK), x->queue);
	st->at_exact = r->nstmts;
	t = request_stmt(r, SQL_CLAIM_EXACT);
	stmt_int4(t, w->inc);
	stmt_int8(t, w->seq + 1);
	stmt_int8(t, lease_id);
	stmt_int4(t, st->copy.turns[0]);
	claim_bind_probes(w, t, true);
	exact_bind_limits(t, &x->limits);
	stmt_array(t);
	stmt_array_end(t);
	stmt_int8(t, INT64_MAX); /* of payloads: all that there is room for */
}

int
exact_take(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r,
    struct store_stepped *a, int32_t **held_r, bool *full_r)
{
	int n = PQntuples(res), row, tasks;

	*held_r = mem_zalloc(sizeof(**held_r) * (size_t)(n + 1));
	tasks = claim_take(w, res, lease_id, tasks_r, NULL);
	for (row = 0; row < n; row++)
		if (col_null(res, row, SQL_CLAIM_EXACT_LO) && !col_null(res, row, SQL_CLAIM_EXACT_LANE))
			(*held_r)[a->nheld++] = (int32_t)col_int(res, row, SQL_CLAIM_EXACT_LANE);
	a->held = *held_r;
	a->busy = n == 0;
	if (n > 0) {
		a->room = (int)col_int(res, 0, SQL_CLAIM_EXACT_ROOM);
		a->next = col_int(res, 0, SQL_CLAIM_EXACT_NEXT);
		a->group_next = col_int(res, 0, SQL_CLAIM_EXACT_GROUP_NEXT);
	}
	*full_r = *full_r || (a->nheld > 0 && tasks == w->step.copy.turns[0]);
	return tasks;
}
