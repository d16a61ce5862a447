/* store_expire.c - tasks that are of no use after a time: noted when they are stored, buried when nobody started them.
 *
 * A row of `expiry` stands beside such a task from its commit on, so nothing else pays for it.  "Not started in time" means the first
 * start: what ran once is a matter of its handler.  A worker that holds such a task looks at the clock before it starts it; what is ready
 * or waiting is buried here, paused or not; what is held meanwhile is looked at again.  The row goes with the death, or with the first look after the
 * start.  Logs nothing.  Next: store_keep.c.
 */
#include "store/store_int.h"

#define EXPIRE_BATCH 200
#define HELD_AGAIN (15 * CLOCK_SECOND) /* until a task that somebody holds is looked at again */

enum { AT_READY, AT_WAITING, AT_REST, AT_NEXT }; /* places of the statements */

/* --- noted --------------------------------------------------------------------------------------------------------- */

static bool
expires(const struct item *it)
{
	return it->in.request->expires_at != 0 || it->in.request->expires_in != 0;
}

static void
bind_times(struct stmt *t, struct item *const *items, int n)
{
	int i;

	stmt_array(t);
	for (i = 0; i < n; i++)
		if (expires(items[i]))
			stmt_time(t, items[i]->in.request->expires_at);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		if (expires(items[i]))
			stmt_int8(t, items[i]->in.request->expires_in);
	stmt_array_end(t);
}

void
expiry_add(struct request *r, struct item *const *items, int n)
{
	struct stmt *t = NULL;
	int i;

	for (i = 0; i < n; i++) {
		if (!expires(items[i]))
			continue;
		if (t == NULL) {
			t = request_stmt(r, SQL_SUBMIT_EXPIRY);
			stmt_array(t);
		}
		stmt_uuid(t, &items[i]->id);
	}
	if (t == NULL)
		return;
	stmt_array_end(t);
	bind_times(t, items, n);
}

/* --- buried -------------------------------------------------------------------------------------------------------- */

struct expiring {
	store_count_fn *fn;
	void *arg;
};

static void
on_expired(struct request *r)
{
	struct expiring *x = r->arg;
	int64_t count = 0, next = -1;

	if (r->status == STORE_OK) {
		count = PQntuples(r->results[AT_READY]) + PQntuples(r->results[AT_WAITING]);
		if (PQntuples(r->results[AT_NEXT]) > 0)
			next = col_int(r->results[AT_NEXT], 0, SQL_EXPIRE_NEXT_NEXT);
		if (next < 0 && PQntuples(r->results[AT_NEXT]) > 0)
			next = 0; /* there are more */
	}
	x->fn(x->arg, r->status, count, next);
	mem_free(&x);
	request_free(&r);
}

/* The same identity of the new rows twice would be one too many: a cut is a failure, and the next look is another request. */
void
store_expire(struct store *s, store_count_fn *fn, void *arg)
{
	struct expiring *x = mem_zalloc(sizeof(*x));
	struct request *r = read_request(s, on_expired, x);
	int64_t rid = store_new_rid(s);
	struct stmt *t;

	x->fn = fn;
	x->arg = arg;
	r->repeat = false;
	t = request_stmt(r, SQL_EXPIRE_READY);
	stmt_int4(t, EXPIRE_BATCH);
	stmt_int8(t, rid);
	t = request_stmt(r, SQL_EXPIRE_WAITING);
	stmt_int4(t, EXPIRE_BATCH);
	stmt_int8(t, rid);
	t = request_stmt(r, SQL_EXPIRE_REST);
	stmt_int4(t, EXPIRE_BATCH);
	stmt_int8(t, HELD_AGAIN);
	request_stmt(r, SQL_EXPIRE_NEXT);
	request_send(keep_pool(s), r);
}
