/* keep_escalate.c - what is overdue is told; see keep_escalate.h.
 *
 * Logs each overdue cause at crit, when it is told first, and warns when the service could not be told.  Next: store/store_escalate.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/member.h"
#include "call/call.h"
#include "log/log.h"
#include "stats/stats.h"
#include "store/store_dead.h"
#include "task/task.h"

#include "keep/keep_escalate.h"

#define ANSWER_MAX 4096
#define TIMEOUT (20 * CLOCK_SECOND) /* less than the time for which a cause is ours */
#define REST (2 * CLOCK_SECOND)     /* between two looks, at least; and ... */
#define REST_SHARE 50               /* ... so many times what the last one took */

struct escalate {
	unsigned magic;
	struct store *store;
	const struct conf *conf;
	const char *node;
	struct call_client *calls; /* null: nobody is called */
	struct list telling;
	int64_t begun_at, rest_until; /* clock_now() */
	store_count_fn *fn;
	void *arg;
};
#define ESCALATE_MAGIC 0x65736361u

/* One event on its way. */
struct telling {
	struct list node;
	struct escalate *owner;
	struct call *call;
	struct buf body;
	int32_t cause;
	int64_t at;
};

/* --- the event ---------------------------------------------------------------------------------------------------------------- */

static void
put_event(struct buf *b, const struct store_overdue *o, int64_t now, const char *node)
{
	buf_puts(b, "{\"type\":\"taskq.dead.overdue\"");
	member_time(b, ",\"timestamp\":", now);
	member_text(b, ",\"node\":", span_of(node));
	buf_printf(b, ",\"data\":{\"cause\":%" PRId32, o->cause);
	member_text(b, ",\"owner\":", o->owner);
	member_time(b, ",\"due_at\":", o->due_at);
	member_text(b, ",\"queue\":", o->queue);
	member_text(b, ",\"task_type\":", o->task_type);
	member_text(b, ",\"reason\":", o->reason);
	member_text(b, ",\"class\":", o->class != TASK_CLASS_NONE ? span_of(task_class_name(o->class)) : SPAN(""));
	member_text(b, ",\"code\":", o->code);
	member_id(b, ",\"fingerprint\":", &o->fingerprint);
	member_text(b, ",\"schema_version\":", o->schema_version);
	member_text(b, ",\"sample\":", o->sample);
	buf_printf(b, ",\"open\":%" PRId64, o->open);
	member_time(b, ",\"oldest_at\":", o->oldest_at);
	member_text(b, ",\"acknowledged_by\":", o->seen_by);
	member_text(b, ",\"note\":", o->note);
	buf_puts(b, "}}");
}

/* --- the call ----------------------------------------------------------------------------------------------------------------- */

static void
telling_free(struct telling *t)
{
	list_remove(&t->node);
	call_cancel(&t->call);
	buf_free(&t->body);
	mem_free(&t);
}

static void
on_answer(void *arg, const struct call_answer *a)
{
	struct telling *t = arg;
	struct escalate *e = t->owner;
	bool good = a->ending == CALL_ANSWERED && a->status / 100 == 2;

	MAGIC_CHECK(e, ESCALATE_MAGIC);
	t->call = NULL;
	if (!good) {
		stats_inc(S_DEAD_ESCALATION_FAILED);
		log_warning("could not tell dead.escalate_url of an overdue cause; it is tried again",
		    log_int("cause", t->cause), log_int("status", a->status),
		    log_str("why", a->why != NULL ? a->why : "the answer is not 2xx"));
	}
	store_escalated(e->store, t->cause, good ? t->at : 0);
	telling_free(t);
}

static void
call_url(struct escalate *e, struct telling *t, const char *id)
{
	const char *headers[] = { "Content-Type: application/json", NULL, NULL, NULL, NULL };
	const struct conf_list *secrets = &e->conf->dead.escalate_secrets;
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct buf lines[3] = { { 0 } };
	struct call_request r = { .method = "POST",
		.url = e->conf->dead.escalate_url,
		.headers = headers,
		.body = buf_span(&t->body),
		.timeout = TIMEOUT,
		.max_body = ANSWER_MAX,
		.ca_file = "" };

	buf_printf(&lines[0], "webhook-id: %s", id);
	buf_printf(&lines[1], "webhook-timestamp: %" PRId64, now);
	headers[1] = buf_cstr(&lines[0]);
	headers[2] = buf_cstr(&lines[1]);
	if (secrets->n > 0) {
		buf_puts(&lines[2], "webhook-signature: ");
		call_sign(&lines[2], secrets, id, now, r.body);
		headers[3] = buf_cstr(&lines[2]);
	}
	t->call = call_start(e->calls, &r, on_answer, t);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		buf_free(&lines[i]);
}

static void
tell_url(struct escalate *e, const struct store_overdue *o, int64_t now)
{
	struct telling *t = mem_zalloc(sizeof(*t));
	char id[80];

	*t = (struct telling){ .owner = e, .cause = o->cause, .at = now };
	list_push(&e->telling, &t->node);
	put_event(&t->body, o, now, e->node);
	snprintf(id, sizeof(id), "overdue_%" PRId32 "_%" PRId64, o->cause, o->due_at);
	call_url(e, t, id);
}

static void
tell(struct escalate *e, const struct store_overdue *o, int64_t now)
{
	if (o->tries == 0) {
		stats_inc(S_DEAD_ESCALATIONS);
		log_crit("dead letters are overdue", log_int("cause", o->cause), log_span("owner", o->owner),
		    log_span("queue", o->queue), log_span("task_type", o->task_type), log_span("reason", o->reason),
		    log_span("code", o->code), log_int("open", o->open), log_seconds("late", now - o->due_at),
		    log_span("acknowledged_by", o->seen_by));
	}
	if (e->calls != NULL)
		tell_url(e, o, now);
	else
		store_escalated(e->store, o->cause, now);
}

/* --- public -------------------------------------------------------------------------------------------------------------------- */

static void
on_watched(void *arg, const struct store_watched *w)
{
	struct escalate *e = arg;
	int64_t now = clock_now(), rest;

	MAGIC_CHECK(e, ESCALATE_MAGIC);
	rest = (now - e->begun_at) * REST_SHARE;
	if (w->status == STORE_OK) {
		stats_set(S_DEAD_OVERDUE, w->overdue);
		stats_set(S_DEAD_UNOWNED, w->unowned);
		stats_set(S_DEAD_ACKNOWLEDGED, w->acknowledged);
	}
	for (int i = 0; i < w->n; i++)
		tell(e, &w->late[i], w->now);
	rest = rest > REST ? rest : REST;
	e->rest_until = w->status == STORE_OK ? now + rest : 0;
	rest = rest > w->next ? rest : w->next;
	e->fn(e->arg, w->status, w->n, w->next < INT64_MAX ? rest : -1);
}

void
escalate_look(void *escalator, store_count_fn *fn, void *arg)
{
	struct escalate *e = escalator;

	MAGIC_CHECK(e, ESCALATE_MAGIC);
	e->fn = fn;
	e->arg = arg;
	e->begun_at = clock_now();
	if (e->begun_at < e->rest_until)
		fn(arg, STORE_OK, 0, e->rest_until - e->begun_at);
	else
		store_escalate(e->store, on_watched, e);
}

struct escalate *
escalate_new(struct loop *loop, struct store *store, const struct conf *conf, const char *node)
{
	struct escalate *e = mem_zalloc(sizeof(*e));

	e->magic = ESCALATE_MAGIC;
	e->store = store;
	e->conf = conf;
	e->node = node;
	list_init(&e->telling);
	if (conf->dead.escalate_url[0] != '\0')
		e->calls = call_client_new(loop, conf);
	return e;
}

void
escalate_free(struct escalate **ep)
{
	struct escalate *e = *ep;
	struct list *n;

	if (e == NULL)
		return;
	MAGIC_CHECK(e, ESCALATE_MAGIC);
	while ((n = list_first(&e->telling)) != NULL)
		telling_free(container_of(n, struct telling, node));
	call_client_free(&e->calls);
	e->magic = 0;
	mem_free(ep);
}
