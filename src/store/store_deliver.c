/* store_deliver.c - outcomes of a dead worker; see store_deliver.h.
 *
 * The statements are those of a step that is repeated: they let stand what is there and read back which of it is mine.  There is no claim and
 * no look at the worker's row: the lease alone tells whether the tasks are still its.  No lease ends here, for what else is open in
 * it is not known; so the books of leases that the statements are made from have each with something left.  Logs why the database refused.
 */
#include <string.h>

#include "log/log.h"

#include "store/store_deliver.h"
#include "store/store_int.h"

#define DELIVERY_MAGIC 0x5c0ade11U

struct delivery {
	unsigned magic;
	struct store *store;
	struct store_worker worker; /* only its step and its leases are used */
	bool *accepted;
	store_deliver_fn *fn;
	void *arg;
};

uint64_t
store_place(const struct store *s)
{
	struct buf b = { 0 };
	uint64_t place;

	if (s->server.version == 0)
		return 0;
	buf_printf(&b, "%lld/%s", (long long)s->server.epoch.system, s->server.database);
	place = digest_fnv64(b.data, b.len);
	buf_free(&b);
	return place;
}

static void
delivery_answer(struct delivery *d, enum store_status status)
{
	d->fn(d->arg, status, d->accepted);
	lease_table_clear(&d->worker.leases);
	mem_free(&d->accepted);
	d->magic = 0;
	mem_free(&d);
}

static bool
brings_retries(const struct delivery *d)
{
	return d->worker.step.at_retry >= 0 || d->worker.step.at_put_off >= 0;
}

static void
on_delivered(struct request *r)
{
	struct delivery *d = r->arg;
	enum store_status status = r->status;

	MAGIC_CHECK(d, DELIVERY_MAGIC);
	if (status == STORE_OK)
		outcome_take(&d->worker.step, r);
	if (status == STORE_OK && brings_retries(d) && d->store->o.wake != NULL)
		wake_keeper_ring(d->store->o.wake);
	if (status == STORE_OK && d->worker.step.at_bury >= 0 && d->store->o.wake != NULL)
		wake_letter(d->store->o.wake);
	if (status == STORE_REFUSED) {
		log_error("postgres refused kept outcomes", log_str("sqlstate", r->sqlstate), log_str("error", r->why));
		if (!store_error_is_data(r->sqlstate))
			status = STORE_FAILED;
	}
	request_free(&r);
	delivery_answer(d, status);
}

static void
open_leases(struct delivery *d)
{
	const struct store_step *in = &d->worker.step.copy;

	lease_table_init(&d->worker.leases);
	for (int i = 0; i < in->noutcomes; i++)
		if (lease_find(&d->worker.leases, &in->outcomes[i].lease) == NULL)
			lease_add(&d->worker.leases, &in->outcomes[i].lease)->left = 1;
}

void
store_deliver(struct store *s, const struct store_outcome *outcomes, int n, store_deliver_fn *fn, void *arg)
{
	struct delivery *d = mem_zalloc(sizeof(*d));
	struct stepping *st = &d->worker.step;
	struct request *r;

	d->magic = DELIVERY_MAGIC;
	d->store = s;
	d->fn = fn;
	d->arg = arg;
	d->accepted = mem_zalloc(sizeof(bool) * (size_t)(n + 1));
	st->copy = (struct store_step){ .outcomes = outcomes, .noutcomes = n };
	st->in = &st->copy;
	st->accepted = d->accepted;
	st->to = n;
	st->again = true;
	st->at_finish = st->at_retry = st->at_put_off = st->at_bury = st->at_discard = st->at_tried = st->at_giveback =
	    st->at_claim_again = st->at_exact = -1;
	open_leases(d);
	r = read_request(s, on_delivered, d);
	outcome_add(&d->worker, r);
	request_send(keep_pool(s), r);
}
