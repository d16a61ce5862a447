/* store_unique.c - a task that wants a unique name: one at a time, each in a transaction of its own.
 *
 * Three statements before one Sync: the row of the name is made or locked; with a snapshot newer than that lock it is decided whether
 * somebody holds the name, and the task is stored or not; then the key is read, which tells all the rest.  The same ids go again after a
 * cut, so a first try that committed is found under its key.  One that may still be under way is not: then "held" is no certain
 * answer, and UNSURE is.
 *
 * They wait for locks that others hold, so they never take the last connection of several, and share the only one in turns with the
 * batches, waiting for no lock longer than these.  Logs a task that was refused.  Next: store_verdict.c.
 */
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

#define UNIQUE_MAGIC 0x5c0a0941U

enum { AT_LOCK, AT_SUBMIT, AT_KEY }; /* places of the statements */

struct unique {
	unsigned magic;
	struct submitter *owner;
	struct item *item;
};

bool
unique_wanted(const struct item *it)
{
	return it->in.request->unique.name.len > 0;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void
bind_name(struct stmt *t, const struct item *it)
{
	struct span name = it->in.request->unique.name;
	struct id digest = task_key_digest(it->in.tenant, name);

	stmt_uuid(t, &digest);
	stmt_int2(t, task_key_bucket(it->in.tenant, name));
}

static void
bind_body(struct stmt *t, const struct item *it)
{
	struct buf options = { 0 };

	task_options_pack(&options, it->in.request);
	stmt_bytea(t, buf_span(&options));
	buf_free(&options);
	stmt_bytea(t, it->in.request->payload);
}

static void
bind_task(struct stmt *t, const struct item *it)
{
	const struct task_request *q = it->in.request;

	stmt_uuid(t, &it->id);
	stmt_int4(t, it->lane);
	stmt_int2(t, -q->priority);
	stmt_int2(t, q->max_attempts);
	stmt_time(t, q->run_at);
	if (q->delay > 0)
		stmt_int8(t, q->delay);
	else
		stmt_null(t);
	stmt_bool(t, it->later);
	bind_body(t, it);
}

static void
bind_submit(struct stmt *t, const struct item *it, int64_t ttl)
{
	const struct task_unique *unique = &it->in.request->unique;

	bind_name(t, it);
	stmt_int2(t, (int)unique->hold);
	if (unique->hold == TASK_HOLD_WINDOW)
		stmt_int8(t, unique->window);
	else
		stmt_null(t);
	stmt_uuid(t, &it->digest);
	stmt_int2(t, it->bucket);
	stmt_bytea(t, (struct span){ (const char *)it->fp, DIGEST_LEN });
	bind_task(t, it);
	stmt_int2(t, (int)it->in.surface);
	stmt_int2(t, TASK_RENDER_VERSION);
	stmt_int8(t, ttl);
	stmt_int2(t, task_id_bucket(&it->id));
}

static void on_unique(struct request *r);

static void
unique_send(struct submitter *u, struct item *it)
{
	struct unique *q = mem_zalloc(sizeof(*q));
	struct request *r = request_new(on_unique, q);
	struct stmt *t;

	q->magic = UNIQUE_MAGIC;
	q->owner = u;
	q->item = it;
	r->repeat = true;
	r->deadline = it->in.deadline;
	r->uncertain = it->doubt;
	t = request_stmt(r, SQL_UNIQUE_LOCK);
	bind_name(t, it);
	stmt_uuid(t, &it->id);
	bind_patience(t, u->store, u->store->o.submit_connections == 1 ? PATIENCE_MANY : 0);
	bind_submit(request_stmt(r, SQL_SUBMIT_UNIQUE), it, u->store->o.conf->keys.ttl);
	t = request_stmt(r, SQL_IDEM_READ);
	stmt_array(t);
	stmt_uuid(t, &it->digest);
	stmt_array_end(t);
	expiry_add(r, &it, 1);
	u->uniques_sent++;
	request_send(u->pool, r);
}

static bool
unique_begin(struct submitter *u)
{
	struct list *node;
	struct item *it;
	struct id first;

	if (!order_first_id(u, &first))
		return false;
	node = list_first(&u->uniques);
	if (node == NULL)
		return false;
	it = container_of(node, struct item, node);
	if (u->order_waits && order_has(it))
		return false;
	list_remove(&it->node);
	it->sent = true;
	it->rounds++;
	it->id = task_id_at(&first, 0);
	it->later = it->in.request->run_at > store_db_now(u->store) || it->in.request->delay > 0;
	unique_send(u, it);
	return true;
}

void
unique_run(struct submitter *u)
{
	int most = u->store->o.submit_connections > 2 ? u->store->o.submit_connections - 1 : 1;

	while (!list_empty(&u->uniques) && u->uniques_sent < most && pool_idle(u->pool) > 0) {
		if (pool_idle(u->pool) == 1 && !list_empty(&u->collected) && u->unique_went) {
			u->unique_went = false; /* a batch has its turn */
			return;
		}
		if (!unique_begin(u))
			return;
		u->unique_went = true;
	}
}

/* --- the answer ---------------------------------------------------------------------------------------------------- */

static void
held(struct item *it, const struct request *r)
{
	const PGresult *res = r->results[AT_SUBMIT];
	struct store_submitted a = { .status = STORE_OK, .verdict = STORE_NOT_UNIQUE };

	if (r->uncertain) { /* a first try may store it yet */
		item_fail(it, STORE_UNSURE, "a unique name is held, but an earlier try may have taken it");
		item_free(it);
		return;
	}
	a.row.id = col_id(res, 0, SQL_SUBMIT_UNIQUE_ID);
	a.hold = (enum task_hold)col_int(res, 0, SQL_SUBMIT_UNIQUE_HOLD);
	a.held_until = col_time(res, 0, SQL_SUBMIT_UNIQUE_UNTIL);
	item_answer(it, &a);
	item_free(it);
}

static void
decided(struct submitter *u, struct item *it, const struct request *r)
{
	const PGresult *key = r->results[AT_KEY];

	if (PQntuples(key) > 0)
		verdict_known(u, it, key, 0);
	else if (PQntuples(r->results[AT_SUBMIT]) > 0)
		held(it, r);
	else
		verdict_gone(u, it);
}

static void
refused(struct item *it, const struct request *r)
{
	struct store_submitted busy = { .status = STORE_OK, .verdict = STORE_BUSY, .why = r->why };

	if (r->status == STORE_REFUSED && r->final) {
		verdict_unstorable(it, r);
		return;
	}
	if (r->status == STORE_REFUSED && store_error_is_lock(r->sqlstate)) {
		item_answer(it, &busy);
	} else {
		if (r->action == ACTION_SPLIT)
			log_warning(
			    "postgres refused a task", log_str("sqlstate", r->sqlstate), log_str("error", r->why));
		item_fail(it, act_status(r), r->why);
	}
	item_free(it);
}

static void
on_unique(struct request *r)
{
	struct unique *q = r->arg;

	MAGIC_CHECK(q, UNIQUE_MAGIC);
	q->owner->uniques_sent--;
	if (r->status == STORE_OK)
		decided(q->owner, q->item, r);
	else
		refused(q->item, r);
	submitter_kick(q->owner);
	q->magic = 0;
	mem_free(&q);
	request_free(&r);
}
