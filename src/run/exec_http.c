/* exec_http.c - a service: a POST of the envelope to handler.url, and what its answer means.
 *
 * The request names the task in Idempotency-Key, the same at every attempt, and is signed (webhook-*, Standard Webhooks) when the
 * handler has secrets.  Calls are made by call/, which bounds what an answer may be.
 *
 *   2xx                the body is the result: a JSON value, or nothing.  Another body is TRANSIENT, BAD_OUTPUT; a longer one than
 *                      work.output_max NON_RETRYABLE, OUTPUT_TOO_LARGE: as with exec
 *   another status     task_class_of_status(); a body that is an object with error_class, error_code, message or retry_after
 *                      speaks for itself; Retry-After says when to come again
 *   2xx or 503 with Taskq-Snooze: seconds    the task is put off; 2xx with one that cannot be read is TRANSIENT, BAD_OUTPUT
 *   no answer          TRANSIENT, with the code of the call: what the service did is not known, or can be otherwise next time
 *
 * A stop closes the connection; what the service does then is its own affair.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "call/call.h"
#include "task/task_json.h"

#include "run/exec.h"

#define EXCERPT 200 /* bytes of a body in a message */
#define OWN_HEADERS 12

struct request {
	unsigned magic;
	struct exec_run *x;
	struct call *call; /* null: stopped */
	struct loop_timer *over;
	struct buf envelope;
};
#define REQUEST_MAGIC 0x72657121u

static void
request_free(struct request *q)
{
	call_cancel(&q->call);
	loop_timer_free(&q->over);
	buf_free(&q->envelope);
	q->magic = 0;
	q->x->state = NULL; /* the request itself lives in the arena of the run */
}

static void
request_over(struct request *q)
{
	struct exec_run *x = q->x;

	request_free(q);
	x->ended(x);
}

/* --- the answer ------------------------------------------------------------------------------------------------------------------ */

/* True: it asks to be put off, and that is the end. */
static bool
answer_snooze(struct exec_run *x, const struct call_answer *a)
{
	struct span value = call_header(a->head, "taskq-snooze");
	char message[EXCERPT];

	if (value.len == 0 || (a->status / 100 != 2 && a->status != 503))
		return false;
	if (task_json_valid(value) && exec_snooze(x, exec_text_number(value)))
		return true;
	if (a->status == 503)
		return false; /* not done in any case */
	snprintf(message, sizeof(message),
	    "answered %d with a Taskq-Snooze that is not a number of seconds from 0 on: \"%.*s\"", a->status,
	    (int)(value.len < 60 ? value.len : 60), value.ptr);
	(void)exec_fail(x, TASK_TRANSIENT, "BAD_OUTPUT", span_of(message));
	return true;
}

static void
answer_good(struct exec_run *x, const struct call_answer *a)
{
	struct span body = exec_text_trim(a->body);
	char message[EXCERPT];

	if (body.len == 0 || task_json_valid(body)) {
		exec_succeed(x, body);
		return;
	}
	snprintf(message, sizeof(message), "answered %d with a body that is not one JSON value but begins \"%.*s\"",
	    a->status, (int)(body.len < 60 ? body.len : 60), body.ptr);
	(void)exec_fail(x, TASK_TRANSIENT, "BAD_OUTPUT", span_of(message));
}

/* A redirect is told where it wanted us to go, anything else by what it said. */
static void
answer_words(const struct call_answer *a, struct buf *b)
{
	bool away = a->status / 100 == 3;
	struct span text = away ? call_header(a->head, "location") : exec_text_trim(a->body);

	buf_printf(b, "answered %d", a->status);
	if (text.len == 0)
		return;
	buf_puts(b, away ? ", which is not followed: " : ": ");
	buf_put(b, text.ptr, text.len < EXCERPT ? text.len : EXCERPT);
}

static void
answer_failed(struct exec_run *x, const struct call_answer *a)
{
	struct task_failure f = { 0 };
	struct buf words = { 0 };

	task_class_of_status(a->status, &f);
	answer_words(a, &words);
	exec_fail(x, f.class, f.code, buf_span(&words))->exit = f.exit;
	x->end.retry_after = a->retry_after;
	(void)exec_report(x, exec_text_trim(a->body));
	exec_tail(x, a->body);
	buf_free(&words);
}

static void
answer_judge(struct exec_run *x, const struct call_answer *a)
{
	bool complete = a->ending == CALL_ANSWERED;

	if (complete && answer_snooze(x, a))
		return;
	if (complete && a->status / 100 == 2)
		answer_good(x, a);
	else if (a->ending == CALL_TOO_LARGE && a->status / 100 == 2)
		(void)exec_fail(x, TASK_NON_RETRYABLE, "OUTPUT_TOO_LARGE", span_of(a->why));
	else if ((complete || a->ending == CALL_TOO_LARGE) && a->status >= 300)
		answer_failed(x, a);
	else if (complete)
		(void)exec_fail(
		    x, TASK_TRANSIENT, call_ending_code(CALL_BAD_ANSWER), SPAN("the answer is an interim one (1xx)"));
	else
		(void)exec_fail(x, TASK_TRANSIENT, call_ending_code(a->ending), span_of(a->why));
}

static void
answered(void *arg, const struct call_answer *a)
{
	struct request *q = arg;

	MAGIC_CHECK(q, REQUEST_MAGIC);
	q->call = NULL;
	answer_judge(q->x, a);
	request_over(q);
}

/* --- the request ----------------------------------------------------------------------------------------------------------------- */

static bool
is_hex(struct span s)
{
	bool zero = true;

	for (size_t i = 0; i < s.len; i++) {
		if (base_hex(s.ptr[i]) < 0 || (s.ptr[i] >= 'A' && s.ptr[i] <= 'F'))
			return false;
		zero = zero && s.ptr[i] == '0';
	}
	return !zero;
}

/* W3C Trace Context, when the trace of the task is one: a trace id (then this run is the parent), or a whole traceparent.
 * Null: it is something else. */
static const char *
traceparent(struct exec_run *x)
{
	struct span t = x->row->trace_id;
	uint64_t span = digest_fnv64(&x->lease_id, sizeof(x->lease_id)) ^ (uint64_t)x->attempt;

	if (t.len == 32 && is_hex(t))
		return arena_printf(x->arena, "traceparent: 00-%.32s-%016" PRIx64 "-01", t.ptr, span | 1);
	if (t.len == 55 && memcmp(t.ptr, "00-", 3) == 0 && t.ptr[35] == '-' && t.ptr[52] == '-' &&
	    is_hex((struct span){ t.ptr + 3, 32 }) && is_hex((struct span){ t.ptr + 36, 16 }) &&
	    base_hex(t.ptr[53]) >= 0 && base_hex(t.ptr[54]) >= 0)
		return arena_printf(x->arena, "traceparent: %.55s", t.ptr);
	return NULL;
}

static const char **
sign(struct request *q, const char *id, const char **h)
{
	struct exec_run *x = q->x;
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct buf signatures = { 0 };

	if (x->handler->secrets.n == 0)
		return h;
	call_sign(&signatures, &x->handler->secrets, id, now, buf_span(&q->envelope));
	*h++ = arena_printf(x->arena, "webhook-id: %s", id);
	*h++ = arena_printf(x->arena, "webhook-timestamp: %" PRId64, now);
	*h++ = arena_printf(x->arena, "webhook-signature: %s", buf_cstr(&signatures));
	buf_free(&signatures);
	return h;
}

static const char *const *
request_headers(struct request *q)
{
	struct exec_run *x = q->x;
	const struct conf_list *more = &x->handler->headers;
	const char **all = arena_alloc(x->arena, sizeof(*all) * (size_t)(OWN_HEADERS + more->n + 1)), **h = all;
	char id[ID_TEXT];

	id_format(&x->row->id, id);
	*h++ = "Content-Type: application/json";
	*h++ = "Accept: application/json";
	*h++ = arena_printf(x->arena, "Idempotency-Key: %s", id);
	*h++ = arena_printf(x->arena, "Taskq-Task-Id: %s", id);
	*h++ = arena_printf(x->arena, "Taskq-Attempt: %d", x->attempt);
	*h++ = arena_printf(x->arena, "Taskq-Max-Attempts: %d", x->row->max_attempts);
	if ((*h = traceparent(x)) != NULL)
		h++;
	h = sign(q, id, h);
	ASSERT(h - all <= OWN_HEADERS);
	for (int i = 0; i < more->n; i++)
		*h++ = more->items[i];
	*h = NULL;
	return all;
}

/* --- the kind -------------------------------------------------------------------------------------------------------------------- */

/* A stop has been asked for, and the owner knows by whom. */
static void
stopped(void *arg)
{
	struct request *q = arg;

	MAGIC_CHECK(q, REQUEST_MAGIC);
	(void)exec_fail(q->x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("stopped before its time"));
	request_over(q);
}

static enum exec_begin
http_start(struct exec_run *x)
{
	struct task_envelope e = {
		.row = x->row, .attempt = x->attempt, .lease_id = x->lease_id, .deadline = x->deadline
	};
	struct request *q = arena_alloc(x->arena, sizeof(*q));
	struct call_request r = {
		.method = "POST",
		.url = x->handler->url,
		.max_body = (size_t)x->env->conf->work.output_max,
		.ca_file = x->handler->ca_file,
	};

	ASSERT(x->env->calls != NULL);
	q->magic = REQUEST_MAGIC;
	q->x = x;
	q->over = loop_timer_new(x->env->loop, stopped, q);
	x->state = q;
	task_envelope_json(&q->envelope, &e);
	r.headers = request_headers(q);
	r.body = buf_span(&q->envelope);
	q->call = call_start(x->env->calls, &r, answered, q);
	return EXEC_BEGUN;
}

static void
http_stop(struct exec_run *x, int sig UNUSED)
{
	struct request *q = x->state;

	MAGIC_CHECK(q, REQUEST_MAGIC);
	call_cancel(&q->call);
	loop_timer_set(q->over, 0);
}

static void
http_drop(struct exec_run *x)
{
	struct request *q = x->state;

	MAGIC_CHECK(q, REQUEST_MAGIC);
	request_free(q);
}

const struct exec_kind exec_http = {
	.name = "http",
	.start = http_start,
	.stop = http_stop,
	.drop = http_drop,
};
