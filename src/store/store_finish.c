/* store_finish.c - successes as a statement: lease by lease.
 *
 * Tasks of many lanes end in any order, each under its own lease.  So they are sorted by lease here, and the statement holds each against its
 * lease alone: its cost is that of the tasks and that of the leases, not of each with each.  They come back in that order.
 * Logs nothing.  Next: store_outcome.c.
 */
#include <stdlib.h>

#include "store/store_int.h"

/* The outcomes of one lease in the order of the statement. */
struct finish_lease {
	const struct store_lease *lease;
	int first, last; /* from 1, as arrays of Postgres */
	bool ends;
};

static int
by_lease(const void *a, const void *b)
{
	const struct store_outcome *x = *(const struct store_outcome *const *)a;
	const struct store_outcome *y = *(const struct store_outcome *const *)b;
	int order = id_cmp(&x->lease.lo, &y->lease.lo);

	if (order != 0)
		return order;
	if (x->lease.lease_id != y->lease.lease_id)
		return x->lease.lease_id < y->lease.lease_id ? -1 : 1;
	return (x > y) - (x < y);
}

static const struct store_outcome **
sorted(const struct stepping *st)
{
	return (const struct store_outcome **)(void *)st->finish.data;
}

/* Fills st->finish with the successes of the window; how many. */
static int
sort_successes(struct stepping *st)
{
	const struct store_outcome *o;
	int n = 0;

	buf_reset(&st->finish);
	for (o = st->copy.outcomes + st->from; o < st->copy.outcomes + st->to; o++) {
		if (o->kind != STORE_SUCCEEDED)
			continue;
		buf_put(&st->finish, &o, sizeof(o));
		n++;
	}
	if (n > 0)
		qsort(st->finish.data, (size_t)n, sizeof(o), by_lease);
	return n;
}

static bool
same_lease(const struct store_lease *a, const struct store_lease *b)
{
	return a->lease_id == b->lease_id && id_eq(&a->lo, &b->lo);
}

/* Cuts what is sorted into leases; how many.  l_r has room for one of each outcome. */
static int
cut(struct store_worker *w, int n, struct finish_lease *l_r)
{
	const struct store_outcome **all = sorted(&w->step);
	const struct open_lease *open;
	int i, leases = 0;

	for (i = 0; i < n; i++) {
		if (i == 0 || !same_lease(&all[i]->lease, &all[i - 1]->lease)) {
			open = lease_find(&w->leases, &all[i]->lease);
			l_r[leases++] = (struct finish_lease){
				.lease = &all[i]->lease,
				.first = i + 1,
				.ends = open != NULL && open->leaving == open->left && open->only_done,
			};
		}
		l_r[leases - 1].last = i + 1;
	}
	return leases;
}

static void
bind_sorted_ids(struct stmt *t, const struct stepping *st, int n)
{
	int i;

	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_uuid(t, &sorted(st)[i]->id);
	stmt_array_end(t);
}

static void
bind_results(struct stmt *t, const struct stepping *st, int n)
{
	int i;

	stmt_array(t);
	for (i = 0; i < n; i++) {
		if (sorted(st)[i]->result.len > 0)
			stmt_bytea(t, sorted(st)[i]->result);
		else
			stmt_null(t);
	}
	stmt_array_end(t);
}

static void
bind_cut(struct stmt *t, const struct finish_lease *l, int n)
{
	int i;

	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_uuid(t, &l[i].lease->lo);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int8(t, l[i].lease->lease_id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int4(t, l[i].first);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int4(t, l[i].last);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_bool(t, l[i].ends);
	stmt_array_end(t);
}

/* Which are mine, of a repetition. */
static void
add_read(struct stepping *st, struct request *r, int n)
{
	struct stmt *t;
	int i;

	st->at_finish = r->nstmts;
	t = request_stmt(r, SQL_FINISH_READ);
	bind_sorted_ids(t, st, n);
	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_int8(t, sorted(st)[i]->lease.lease_id);
	stmt_array_end(t);
}

void
finish_add(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	int n = sort_successes(st);
	struct finish_lease *leases;
	struct stmt *t;

	if (n == 0)
		return;
	outcome_mark_leaving(w);
	leases = mem_alloc((size_t)n * sizeof(*leases));
	st->at_finish = r->nstmts;
	t = request_stmt(r, st->again ? SQL_FINISH_AGAIN : SQL_FINISH);
	bind_sorted_ids(t, st, n);
	bind_results(t, st, n);
	bind_cut(t, leases, cut(w, n, leases));
	mem_free(&leases);
	if (st->again)
		add_read(st, r, n);
}

/* Those that came back are accepted. */
void
finish_take(struct stepping *st, const struct request *r)
{
	int n = (int)(st->finish.len / sizeof(struct store_outcome *)), row, k, at = 0;
	const PGresult *res;
	struct id id;

	if (st->at_finish < 0)
		return;
	res = r->results[st->at_finish];
	for (row = 0; row < PQntuples(res); row++) {
		id = col_id(res, row, 0);
		for (k = 0; k < n; k++) { /* those that end their leases come first, else in the order they went */
			const struct store_outcome *o = sorted(st)[(at + k) % n];

			if (!id_eq(&o->id, &id))
				continue;
			st->accepted[o - st->copy.outcomes] = true;
			at = (at + k + 1) % n;
			break;
		}
	}
}
