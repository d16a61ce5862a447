/* store_owner.c - whose dead letters they are, and who sees to them.
 *
 * The routing table is small and is joined when somebody asks, so that a new owner has what died before him too.  What changes it, and an
 * acknowledgement, writes its row of the audit in the same statement.  Logs nothing.  Next: store_escalate.c, http/api_owner.c.
 */
#include "store/store_dead_int.h"

/* --- owners ------------------------------------------------------------------------------------------------------------------ */

struct listing {
	store_owners_fn *fn;
	void *arg;
};

static void
on_owners(struct request *r)
{
	struct listing *l = r->arg;
	int n = read_rows(r);
	struct store_owner *owners = mem_zalloc(sizeof(*owners) * (size_t)(n + 1));

	for (int i = 0; i < n; i++)
		owners[i] = (struct store_owner){
			.queue = col_span(r->results[0], i, SQL_OWNERS_QUEUE),
			.task_type = col_span(r->results[0], i, SQL_OWNERS_KIND),
			.fingerprint = col_id(r->results[0], i, SQL_OWNERS_FINGERPRINT),
			.owner = col_span(r->results[0], i, SQL_OWNERS_OWNER),
			.sla = col_int(r->results[0], i, SQL_OWNERS_SLA),
		};
	l->fn(l->arg, read_status(r), owners, n);
	mem_free(&owners);
	mem_free(&l);
	request_free(&r);
}

void
store_owners(struct store *s, store_owners_fn *fn, void *arg)
{
	struct listing *l = mem_zalloc(sizeof(*l));
	struct request *r = read_request(s, on_owners, l);

	*l = (struct listing){ .fn = fn, .arg = arg };
	stmt_int4(request_stmt(r, SQL_OWNERS), STORE_OWNERS);
	request_send(store_any_pool(s), r);
}

struct changing {
	store_owner_fn *fn;
	void *arg;
};

static void
change_answer(struct request *r, enum store_status status, bool changed)
{
	struct changing *g = r->arg;

	g->fn(g->arg, status, changed);
	mem_free(&g);
	request_free(&r);
}

static void
on_set(struct request *r)
{
	bool good = r->status == STORE_OK;

	if (good && col_bool(r->results[0], 0, SQL_OWNER_SET_FULL))
		change_answer(r, STORE_REFUSED, false);
	else
		change_answer(r, act_status(r), good && col_bool(r->results[0], 0, SQL_OWNER_SET_CHANGED));
}

static void
on_dropped(struct request *r)
{
	change_answer(r, act_status(r), r->status == STORE_OK && PQntuples(r->results[0]) > 0);
}

/* Either may be sent twice: the second changes nothing. */
static struct request *
change_request(struct store *s, request_fn *on, store_owner_fn *fn, void *arg)
{
	struct changing *g = mem_zalloc(sizeof(*g));

	*g = (struct changing){ .fn = fn, .arg = arg };
	return read_request(s, on, g);
}

static void
bind_of(struct stmt *t, const struct store_owner *o)
{
	stmt_text(t, o->queue);
	stmt_text(t, o->task_type);
	stmt_uuid(t, &o->fingerprint);
}

void
store_owner_set(struct store *s, const struct store_owner *o, const struct store_who *who, struct span target,
    store_owner_fn *fn, void *arg)
{
	struct request *r = change_request(s, on_set, fn, arg);
	struct stmt *t = request_stmt(r, SQL_OWNER_SET);

	bind_of(t, o);
	stmt_text(t, o->owner);
	stmt_int8(t, o->sla);
	stmt_int4(t, STORE_OWNERS);
	audit_bind(t, who);
	stmt_text(t, target);
	request_send(store_any_pool(s), r);
}

void
store_owner_drop(struct store *s, const struct store_owner *o, const struct store_who *who, struct span target,
    store_owner_fn *fn, void *arg)
{
	struct request *r = change_request(s, on_dropped, fn, arg);
	struct stmt *t = request_stmt(r, SQL_OWNER_DROP);

	bind_of(t, o);
	audit_bind(t, who);
	stmt_text(t, target);
	request_send(store_any_pool(s), r);
}

/* --- acknowledgements ---------------------------------------------------------------------------------------------------------- */

struct acking {
	store_acked_fn *fn;
	void *arg;
};

static void
on_acked(struct request *r)
{
	struct acking *g = r->arg;
	int n = read_rows(r);
	struct store_acked *causes = mem_zalloc(sizeof(*causes) * (size_t)(n + 1));

	for (int i = 0; i < n; i++)
		causes[i] = (struct store_acked){
			.cause = (int32_t)col_int(r->results[0], i, SQL_ACKNOWLEDGE_ID),
			.due_at = col_time(r->results[0], i, SQL_ACKNOWLEDGE_DUE_AT),
			.owner = col_span(r->results[0], i, SQL_ACKNOWLEDGE_OWNER),
		};
	g->fn(g->arg, act_status(r), causes, n);
	mem_free(&causes);
	mem_free(&g);
	request_free(&r);
}

/* Not repeated: each try would be an act of its own in the audit. */
void
store_acknowledge(struct store *s, const struct store_ack *a, store_acked_fn *fn, void *arg)
{
	struct acking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_acked, g);
	struct stmt *t = request_stmt(r, SQL_ACKNOWLEDGE);

	*g = (struct acking){ .fn = fn, .arg = arg };
	r->repeat = false;
	dead_bind_causes(t, a->filter);
	stmt_text(t, a->note);
	stmt_time(t, a->due_at);
	if (a->due_in > 0)
		stmt_int8(t, a->due_in);
	else
		stmt_null(t);
	audit_bind(t, &a->who);
	stmt_text(t, a->target);
	request_send(store_any_pool(s), r);
}
