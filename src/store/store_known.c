/* store_known.c - was this key stored?  For submissions that may not be stored now, but whose repetition must be answered as ever.
 *
 * What is asked while a question is on its way goes with the next one, so that however many ask there is one statement at a time.  It changes
 * nothing: an answer that does not come is FAILED, never UNSURE.  Logs nothing.  Next: store_verdict.c.
 */
#include <string.h>

#include "store/store_int.h"

#define ASKER_MAGIC 0x5c0a4a5bU
#define ASK_MOST 1000 /* in one statement */

struct asked {
	struct list node;
	struct id digest;
	uint8_t fp[DIGEST_LEN];
	int64_t deadline;
	store_submit_fn *fn;
	void *arg;
};

struct asker {
	unsigned magic;
	struct store *store;
	struct list waiting;
	struct list sent;
	bool flying, closed;
};

static void on_known(struct request *r);

static void
answer(struct asked *q, const struct store_submitted *a)
{
	list_remove(&q->node);
	q->fn(q->arg, a);
	mem_free(&q);
}

static void
answer_all(struct list *l, const struct store_submitted *a)
{
	struct list *node;

	while ((node = list_first(l)) != NULL)
		answer(container_of(node, struct asked, node), a);
}

/* --- the question -------------------------------------------------------------------------------------------------------- */

static void
ask(struct asker *k)
{
	struct request *r;
	struct stmt *t;
	struct list *node;
	int n;

	if (k->flying || list_empty(&k->waiting))
		return;
	k->flying = true;
	r = read_request(k->store, on_known, k);
	t = request_stmt(r, SQL_IDEM_READ);
	stmt_array(t);
	for (n = 0; n < ASK_MOST && (node = list_first(&k->waiting)) != NULL; n++) {
		struct asked *q = container_of(node, struct asked, node);

		if (n == 0) /* the oldest: what is asked for it comes for the others too */
			r->deadline = q->deadline;
		stmt_uuid(t, &q->digest);
		list_remove(&q->node);
		list_push(&k->sent, &q->node);
	}
	stmt_array_end(t);
	request_send(store_any_pool(k->store), r);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------- */

static void
take_row(struct asker *k, const PGresult *res, int row)
{
	struct store_submitted a = { .status = STORE_OK };
	struct id digest = col_id(res, row, SQL_IDEM_READ_DIGEST);
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &k->sent) { /* they come in the order of the question, mostly */
		struct asked *q = container_of(pos, struct asked, node);

		if (!id_eq(&q->digest, &digest))
			continue;
		verdict_read(res, row, q->fp, &a);
		order_told(k->store->o.turn, &a);
		answer(q, &a);
		return;
	}
}

static void
on_known(struct request *r)
{
	struct asker *k = r->arg;
	struct store_submitted rest = { .status = STORE_OK, .verdict = STORE_UNKNOWN };
	int row;

	MAGIC_CHECK(k, ASKER_MAGIC);
	if (r->status == STORE_OK)
		for (row = 0; row < PQntuples(r->results[0]); row++)
			take_row(k, r->results[0], row);
	else
		rest = (struct store_submitted){ .status = STORE_FAILED, .why = r->why };
	answer_all(&k->sent, &rest);
	k->flying = false; /* not before: who is answered may ask again at once, and is not among these */
	request_free(&r);
	if (!k->closed)
		ask(k);
}

/* --- public --------------------------------------------------------------------------------------------------------------- */

struct asker *
asker_new(struct store *s)
{
	struct asker *k = mem_zalloc(sizeof(*k));

	k->magic = ASKER_MAGIC;
	k->store = s;
	list_init(&k->waiting);
	list_init(&k->sent);
	return k;
}

void
asker_close(struct asker *k)
{
	struct store_submitted closing = { .status = STORE_FAILED, .why = "the store is closing" };

	k->closed = true;
	answer_all(&k->waiting, &closing);
}

void
asker_free(struct asker **k)
{
	(*k)->magic = 0;
	mem_free(k);
}

void
store_known(struct store *s, const struct store_submission *in, store_submit_fn *fn, void *arg)
{
	struct asker *k = s->asker;
	struct asked *q;

	MAGIC_CHECK(k, ASKER_MAGIC);
	if (k->closed)
		return;
	q = mem_zalloc(sizeof(*q));
	q->digest = in->digest != NULL ? *in->digest : task_key_digest(in->tenant, in->key);
	memcpy(q->fp, in->request->fingerprint, sizeof(q->fp));
	q->deadline = in->deadline;
	q->fn = fn;
	q->arg = arg;
	list_push(&k->waiting, &q->node);
	ask(k);
}
