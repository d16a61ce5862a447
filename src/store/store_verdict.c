/* store_verdict.c - what a submission is told: accepted, replayed, a mismatch.
 *
 * A task that came back from the statement was stored now.  A key that did not belongs to an earlier submission, or to a first try of mine that
 * committed: a second statement reads it, and the ids I proposed tell which.  Fingerprints tell a replay from a mismatch.
 * Those that came with the same key in the same batch are told by the first of them.  Logs a task that
 * cannot be stored.  Next: store_read.c.
 */
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

#define ROUNDS_MAX 4

static void on_keys(struct request *r);

/* --- answers ---------------------------------------------------------------------------------------------------------- */

/* The task as it was submitted, from what the caller still holds. */
static void
row_of_request(const struct item *it, struct task_row *row)
{
	task_row_of_request(it->in.request, row);
	row->id = it->id;
	row->lane = it->lane;
	row->state = it->later ? TASK_WAITING : TASK_READY;
	row->updated_at = row->created_at;
}

/* The others of the same key in this batch: like the first, if they say the same. */
static void
verdict_twins(struct item *it, const uint8_t fp[DIGEST_LEN], const struct store_submitted *first)
{
	struct store_submitted a;
	struct list *node;
	struct item *twin;

	while ((node = list_first(&it->twins)) != NULL) {
		twin = container_of(node, struct item, node);
		list_remove(node);
		a = *first;
		a.verdict = digest_eq(fp, twin->fp, DIGEST_LEN) ? STORE_REPLAYED : STORE_MISMATCH;
		item_answer(twin, &a);
		item_free(twin);
	}
}

/* Stored now.  Nobody may be left to tell. */
void
verdict_accepted(struct submitter *u, struct item *it, int64_t created_at)
{
	struct store_submitted a = { .status = STORE_OK,
		.verdict = STORE_ACCEPTED,
		.surface = it->in.surface,
		.version = TASK_RENDER_VERSION,
		.expires_at = created_at + u->store->o.conf->keys.ttl };

	if (it->fn == NULL) {
		item_free(it);
		return;
	}
	a.row.created_at = created_at;
	a.row.run_at = it->in.request->delay > 0 ? created_at + it->in.request->delay : it->in.request->run_at;
	row_of_request(it, &a.row);
	verdict_twins(it, it->fp, &a);
	item_answer(it, &a);
	item_free(it);
}

/* --- the second statement: whose are the keys that did not come back? ---------------------------------------------------- */

void
verdict_ask(struct batch *b)
{
	struct request *r;
	struct stmt *t;
	int i, n = 0;

	for (i = 0; i < b->n; i++)
		if (b->items[i] != NULL)
			b->items[n++] = b->items[i];
	b->n = n;
	r = batch_request(b, on_keys);
	t = request_stmt(r, SQL_IDEM_READ);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_uuid(t, &b->items[i]->digest);
	stmt_array_end(t);
	request_send_first(b->owner->pool, r);
}

struct span
verdict_read(const PGresult *res, int row, const uint8_t mine[DIGEST_LEN], struct store_submitted *a)
{
	struct span fp = col_span(res, row, SQL_IDEM_READ_FP);

	ASSERT(fp.len == DIGEST_LEN);
	a->status = STORE_OK;
	row_read(res, row, SQL_IDEM_READ_LANE, &a->row);
	a->row.id = col_id(res, row, SQL_IDEM_READ_ID);
	a->row.state = a->row.run_at > a->row.created_at ? TASK_WAITING : TASK_READY;
	a->row.updated_at = a->row.created_at;
	a->surface = (enum task_surface)col_int(res, row, SQL_IDEM_READ_SURFACE);
	a->version = (int)col_int(res, row, SQL_IDEM_READ_VERSION);
	a->expires_at = col_time(res, row, SQL_IDEM_READ_EXPIRES_AT);
	a->verdict = digest_eq((const uint8_t *)fp.ptr, mine, DIGEST_LEN) ? STORE_REPLAYED : STORE_MISMATCH;
	return fp;
}

static bool
proposed(const struct item *it, const struct id *id)
{
	int i;

	for (i = 0; i < it->nearlier; i++)
		if (id_eq(&it->earlier[i], id))
			return true;
	return id_eq(&it->id, id);
}

void
verdict_known(struct submitter *u, struct item *it, const PGresult *res, int row)
{
	struct store_submitted a = { .status = STORE_OK };
	struct span fp = verdict_read(res, row, it->fp, &a);

	if (proposed(it, &a.row.id)) { /* a first try of mine committed and its answer was lost */
		a.verdict = STORE_ACCEPTED;
		item_wake(u->store, it);
	}
	verdict_twins(it, (const uint8_t *)fp.ptr, &a);
	item_answer(it, &a);
	item_free(it);
}

/* Not stored, and never will be as it is. */
void
verdict_unstorable(struct item *it, const struct request *r)
{
	log_error("postgres refuses a task", log_str("sqlstate", r->sqlstate), log_str("error", r->why));
	item_answer_all(
	    it, &(struct store_submitted){ .status = STORE_OK, .verdict = STORE_UNSTORABLE, .why = r->why });
	item_free(it);
}

/* The key was deleted between the two statements: it is free again.  Twins go on by themselves. */
void
verdict_gone(struct submitter *u, struct item *it)
{
	struct list *node;
	struct item *twin;

	while ((node = list_first(&it->twins)) != NULL) {
		twin = container_of(node, struct item, node);
		list_remove(node);
		twin->doubt = twin->doubt || it->doubt;
		if (twin->fn != NULL)
			item_again(u, twin);
		else
			item_free(twin);
	}
	if (it->fn != NULL && it->rounds < ROUNDS_MAX) {
		item_again(u, it);
		return;
	}
	item_fail(it, it->doubt ? STORE_UNSURE : STORE_FAILED, "the key came and went");
	item_free(it);
}

static void
on_keys(struct request *r)
{
	struct batch *b = r->arg;
	const PGresult *res = r->results[0];
	struct id digest;
	int i, k, row, hint = 0;

	MAGIC_CHECK(b, BATCH_MAGIC);
	if (r->status != STORE_OK) { /* what they are is not known: a first try of mine may have committed */
		batch_fail(b, STORE_UNSURE, r->why);
		request_free(&r);
		return;
	}
	for (row = 0; row < PQntuples(res); row++) {
		digest = col_id(res, row, SQL_IDEM_READ_DIGEST);
		for (k = 0; k < b->n; k++) { /* they come in the order of the question, mostly */
			i = (hint + k) % b->n;
			if (b->items[i] == NULL || !id_eq(&b->items[i]->digest, &digest))
				continue;
			verdict_known(b->owner, b->items[i], res, row);
			b->items[i] = NULL;
			hint = i + 1;
			break;
		}
	}
	for (i = 0; i < b->n; i++)
		if (b->items[i] != NULL)
			verdict_gone(b->owner, b->items[i]);
	batch_free(b);
	request_free(&r);
}
