/* api_lease.c - what clients say of the tasks they have leased: heartbeat, complete, fail, release; of one, or of many.
 *
 * One word is one request; the many of a bulk request are written in one commit and have a verdict each.  Whatever was said may be said
 * again: what was heard is heard again.  A lease that has ended is told so, and nothing is written: somebody else may have the task.
 *
 * To have tasks at all: api_lease_wait.c.  What is written: store/store_hold.c.
 */
#include "base/clock.h"
#include "log/log.h"
#include "stats/stats.h"

#include "http/api_int.h"

struct saying {
	unsigned magic;
	struct api_call *call;
	enum task_lease_verb verb;
	struct store_saying *words;
	int n;
	bool bulk;
};
#define SAYING_MAGIC 0x41736179u

static const enum store_word store_words[] = {
	[TASK_LEASE_HEARTBEAT] = STORE_WORD_HEARTBEAT,
	[TASK_LEASE_COMPLETE] = STORE_WORD_COMPLETE,
	[TASK_LEASE_FAIL] = STORE_WORD_FAIL,
	[TASK_LEASE_RELEASE] = STORE_WORD_RELEASE,
};

/* --- not let in ----------------------------------------------------------------------------------------------------------- */

static void
on_paused(void *arg UNUSED, enum store_status status, bool changed, const struct store_pause *p)
{
	if (status != STORE_OK)
		log_error("could not pause a handler whose client is not let in");
	else if (changed && p != NULL)
		log_crit("handler paused: its client was not let in, and waits for somebody to mend that and resume it",
		    log_span("handler", p->name), log_span("why", p->why));
}

/* As a worker would: nobody has a task of it before somebody has looked. */
static void
pause_handler(const struct saying *s, const struct store_reply *reply)
{
	const struct task_failure *f = reply->not_let_in;
	struct store_pause p = { .what = STORE_PAUSED_HANDLER, .name = reply->held.task_type, .by = SPAN("taskq") };

	stats_not_let_in(stats_series(reply->held.queue, reply->held.task_type));
	p.why = span_of(arena_printf(http_arena(s->call->r), "%s: %s", f->code, f->message));
	store_pause(s->call->api->store, &p, on_paused, NULL);
}

static void
pause_handlers(const struct saying *s, const struct store_reply *replies)
{
	int i, last = -1;

	for (i = 0; i < s->n; i++) {
		if (replies[i].not_let_in == NULL || replies[i].heard != STORE_HEARD)
			continue;
		if (last < 0 || !span_eq(replies[last].held.task_type, replies[i].held.task_type))
			pause_handler(s, &replies[i]);
		last = i;
	}
}

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

static const char *const verdicts[] = {
	[STORE_HEARD] = "ok",
	[STORE_HEARD_CANCELLED] = "cancelled",
	[STORE_HEARD_GONE] = "gone",
	[STORE_HEARD_OURS] = "not_a_client",
};

/* What became of the task. */
static enum task_state
state_of(const struct saying *s, const struct store_reply *reply)
{
	if (s->verb != TASK_LEASE_RELEASE && reply->kind == STORE_BURY)
		return TASK_DEAD; /* also a result that its queue does not take */
	if (s->verb == TASK_LEASE_COMPLETE)
		return TASK_SUCCEEDED;
	if (s->verb == TASK_LEASE_FAIL && reply->kind == STORE_DISCARD)
		return TASK_FAILED;
	return TASK_READY;
}

static void
count(const struct saying *s, const struct store_reply *reply)
{
	static const enum stats_outcome outcomes[TASK_STATES] = { [TASK_SUCCEEDED] = STATS_SUCCEEDED,
		[TASK_DEAD] = STATS_DEAD,
		[TASK_FAILED] = STATS_FAILED,
		[TASK_READY] = STATS_RETRIED };
	const struct store_held *h = &reply->held;
	enum stats_outcome as = outcomes[state_of(s, reply)];

	if (h->queue.len == 0 || s->verb == TASK_LEASE_HEARTBEAT)
		return;
	if (reply->heard == STORE_HEARD_CANCELLED)
		as = STATS_CANCELLED;
	else if (reply->heard != STORE_HEARD)
		return;
	else if (s->verb == TASK_LEASE_RELEASE)
		as = STATS_RELEASED;
	stats_finished(stats_series(h->queue, h->task_type), as,
	    h->now > h->at ? (double)(h->now - h->at) / (double)CLOCK_SECOND : 0);
}

/* A failure was told when it was judged. */
static void
tell_guard(const struct saying *s, const struct store_reply *reply)
{
	const struct api *a = s->call->api;
	bool good = s->verb == TASK_LEASE_COMPLETE && reply->heard == STORE_HEARD;

	if (s->verb == TASK_LEASE_HEARTBEAT || s->verb == TASK_LEASE_FAIL || reply->held.queue.len == 0 ||
	    !reply->held.client || (reply->heard != STORE_HEARD && reply->heard != STORE_HEARD_CANCELLED))
		return;
	run_pull_ended(a->conf, a->guard, a->wake, &reply->held, good ? GUARD_GOOD : GUARD_NONE, -1);
}

/* The members of one answer but its first. */
static void
put_reply(const struct saying *s, const struct store_reply *reply, struct buf *b)
{
	struct http_request *r = s->call->r;

	if (s->verb != TASK_LEASE_HEARTBEAT) {
		if (reply->heard == STORE_HEARD)
			buf_printf(b, ",\"status\":\"%s\"", task_status_word(state_of(s, reply)));
		return;
	}
	if (reply->until != 0)
		buf_printf(b, ",\"lease_until\":\"%s\"", api_time(r, reply->until));
	else
		buf_puts(b, ",\"lease_until\":null");
	buf_printf(b, ",\"cancelled\":%s", reply->heard == STORE_HEARD_CANCELLED ? "true" : "false");
}

static void
put_lease(const struct store_saying *w, struct buf *b)
{
	char lease[TASK_LEASE_TEXT];

	task_lease_format(&w->id, w->lease_id, lease);
	buf_printf(b, "{\"lease\":\"%s\"", lease);
}

static void
reply_all(const struct saying *s, const struct store_reply *replies)
{
	struct buf b = { 0 };
	int i;

	buf_puts(&b, "{\"results\":[");
	for (i = 0; i < s->n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_lease(&s->words[i], &b);
		buf_printf(&b, ",\"verdict\":\"%s\"", verdicts[replies[i].heard]);
		put_reply(s, &replies[i], &b);
		buf_putc(&b, '}');
	}
	buf_puts(&b, "]}");
	api_reply_json(s->call->r, &b);
}

static void
refuse_heard(const struct saying *s, const struct store_reply *reply)
{
	struct http_problem p = { .status = 409, .code = "lease_gone", .task_id = api_id(s->call->r, &s->words[0].id) };

	p.detail = "this lease has ended, or never was; nothing was changed, and somebody else may run the task";
	if (reply->heard == STORE_HEARD_CANCELLED) {
		p.code = "task_cancelled";
		p.detail = "the task was cancelled while the lease lasted; nothing is left to do";
	} else if (reply->heard == STORE_HEARD_OURS) {
		p.code = "not_a_client";
		p.detail = "a worker of taskqd runs this task; its lease takes heartbeats only";
	}
	http_reply_problem(s->call->r, &p);
}

static void
reply_one(const struct saying *s, const struct store_reply *reply)
{
	struct buf b = { 0 };
	bool told = reply->heard == STORE_HEARD_CANCELLED && s->verb == TASK_LEASE_HEARTBEAT;

	if (reply->heard != STORE_HEARD && !told) {
		refuse_heard(s, reply);
		return;
	}
	put_lease(&s->words[0], &b);
	put_reply(s, reply, &b);
	buf_putc(&b, '}');
	api_reply_json(s->call->r, &b);
}

static void
on_said(void *arg, enum store_status status, const struct store_reply *replies, int n)
{
	struct saying *s = arg;
	int i;

	MAGIC_CHECK(s, SAYING_MAGIC);
	if (status != STORE_OK) {
		api_reply_later(s->call->r, status == STORE_UNSURE);
		return;
	}
	ASSERT(n == s->n);
	for (i = 0; i < n; i++) {
		count(s, &replies[i]);
		tell_guard(s, &replies[i]);
	}
	pause_handlers(s, replies);
	if (s->bulk)
		reply_all(s, replies);
	else
		reply_one(s, &replies[0]);
}

/* --- the request ----------------------------------------------------------------------------------------------------------- */

void
api_refuse_body(struct http_request *r, const struct task_problem *t)
{
	struct http_problem p = { .status = t->status, .code = t->code, .detail = t->detail, .pointer = t->pointer };

	http_reply_problem(r, &p);
}

static void
say(struct api_call *c, enum task_lease_verb verb, const struct task_lease_word *words, int n, bool bulk)
{
	struct saying *s = arena_alloc(http_arena(c->r), sizeof(*s));
	int i;

	*s = (struct saying){ .magic = SAYING_MAGIC, .call = c, .verb = verb, .n = n, .bulk = bulk };
	s->words = arena_alloc(http_arena(c->r), sizeof(*s->words) * (size_t)n);
	for (i = 0; i < n; i++)
		s->words[i] = (struct store_saying){
			.id = words[i].id,
			.lease_id = words[i].lease_id,
			.ttl = words[i].ttl,
			.percent = words[i].percent,
			.note = words[i].note,
			.result = words[i].result,
			.report = words[i].report,
			.delay = words[i].delay,
		};
	store_say(c->api->store, store_words[verb], s->words, n, on_said, s);
}

/* False: answered. */
static bool
check_results(struct api_call *c, const struct task_lease_word *words, int n, bool bulk)
{
	int64_t most = c->api->conf->work.output_max;
	struct http_problem p = { .status = 413, .code = "result_too_large" };
	int i;

	for (i = 0; i < n && words[i].result.len <= (size_t)most;)
		i++;
	if (i == n)
		return true;
	p.pointer = bulk ? arena_printf(http_arena(c->r), "/items/%d/result", i) : "/result";
	p.detail = arena_printf(http_arena(c->r), "expected a result of at most %lld bytes", (long long)most);
	http_reply_problem(c->r, &p);
	return false;
}

static void
say_one(void *app, struct http_request *r, enum task_lease_verb verb)
{
	struct api_call *c = api_call_new(app, r);
	struct task_lease_word w = { .lease_id = 0 };
	struct task_problem wrong;
	struct http_problem p = { .status = 400, .code = "invalid_lease" };

	p.detail = "expected a lease as it was given out, 48 lower-case hexadecimal digits";
	if (!task_lease_parse(http_param(r, "lease"), &w.id, &w.lease_id))
		http_reply_problem(r, &p);
	else if (!task_lease_word_read(http_body(r), verb, http_arena(r), &w, &wrong))
		api_refuse_body(r, &wrong);
	else if (check_results(c, &w, 1, false))
		say(c, verb, &w, 1, false);
}

static void
say_many(void *app, struct http_request *r, enum task_lease_verb verb)
{
	struct api_call *c = api_call_new(app, r);
	struct task_lease_word *words = NULL;
	struct task_problem wrong;
	int n = 0;

	if (!task_lease_words_read(http_body(r), verb, http_arena(r), &words, &n, &wrong))
		api_refuse_body(r, &wrong);
	else if (check_results(c, words, n, true))
		say(c, verb, words, n, true);
}

void
api_lease_heartbeat(void *app, struct http_request *r)
{
	say_one(app, r, TASK_LEASE_HEARTBEAT);
}

void
api_lease_complete(void *app, struct http_request *r)
{
	say_one(app, r, TASK_LEASE_COMPLETE);
}

void
api_lease_fail(void *app, struct http_request *r)
{
	say_one(app, r, TASK_LEASE_FAIL);
}

void
api_lease_release(void *app, struct http_request *r)
{
	say_one(app, r, TASK_LEASE_RELEASE);
}

void
api_leases_heartbeat(void *app, struct http_request *r)
{
	say_many(app, r, TASK_LEASE_HEARTBEAT);
}

void
api_leases_complete(void *app, struct http_request *r)
{
	say_many(app, r, TASK_LEASE_COMPLETE);
}

void
api_leases_fail(void *app, struct http_request *r)
{
	say_many(app, r, TASK_LEASE_FAIL);
}

void
api_leases_release(void *app, struct http_request *r)
{
	say_many(app, r, TASK_LEASE_RELEASE);
}
