/* api_attempts.c - the history of a task: how each of its runs ended.
 *
 * A run whose process or host was lost has no entry: nobody was there to say how it ended; the next one has a higher number.  Next:
 * store/store_attempts.c.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "http/api_int.h"

static const char *
how_word(enum store_attempt_how how)
{
	switch (how) {
	case STORE_ATTEMPT_RETRY:
		return "retry";
	case STORE_ATTEMPT_DEAD:
		return "dead_letter";
	case STORE_ATTEMPT_FAILED:
		return "failed";
	case STORE_ATTEMPT_PUT_OFF:
		return "put_off";
	case STORE_ATTEMPT_SUCCEEDED:
		return "succeeded";
	case STORE_ATTEMPT_CANCELLED:
		return "cancelled";
	}
	UNREACHABLE("no such end of a run");
}

bool
api_attempt_how(struct span word, enum store_attempt_how *how_r)
{
	static const enum store_attempt_how all[] = { STORE_ATTEMPT_RETRY, STORE_ATTEMPT_DEAD, STORE_ATTEMPT_FAILED,
		STORE_ATTEMPT_PUT_OFF, STORE_ATTEMPT_SUCCEEDED, STORE_ATTEMPT_CANCELLED };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (span_is(word, how_word(all[i]))) {
			*how_r = all[i];
			return true;
		}
	return false;
}

static void
put_number(struct buf *b, const char *before, bool there, int64_t n)
{
	buf_puts(b, before);
	if (there)
		buf_printf(b, "%jd", (intmax_t)n);
	else
		buf_puts(b, "null");
}

/* One of the three says how it ended, or none. */
void
api_put_exit(struct buf *b, int exit)
{
	bool process = exit >= 0 && exit < TASK_EXIT_HTTP;
	const char *name = process && WIFSIGNALED(exit) ? sigabbrev_np(WTERMSIG(exit)) : NULL;

	put_number(b, ",\"exit\":", process && WIFEXITED(exit), process ? WEXITSTATUS(exit) : 0);
	put_number(b, ",\"http_status\":", exit >= TASK_EXIT_HTTP, exit - TASK_EXIT_HTTP);
	if (name != NULL)
		buf_printf(b, ",\"signal\":\"SIG%s\"", name);
	else if (process && WIFSIGNALED(exit))
		buf_printf(b, ",\"signal\":\"%d\"", WTERMSIG(exit));
	else
		buf_puts(b, ",\"signal\":null");
}

void
api_put_attempt(struct buf *b, const struct store_attempt *a)
{
	buf_printf(b, "{\"run\":%d,\"outcome\":\"%s\"", a->run, how_word(a->how));
	member_time(b, ",\"started_at\":", a->started_at);
	member_time(b, ",\"ended_at\":", a->ended_at);
	member_text(b, ",\"error_class\":", span_of(task_class_name(a->class)));
	member_text(b, ",\"error_code\":", a->code);
	member_text(b, ",\"message\":", a->message);
	api_put_exit(b, a->exit);
	member_text(b, ",\"stderr\":", a->tail);
	put_number(b, ",\"worker\":", a->worker > 0, a->worker);
	member_text(b, ",\"node\":", a->node);
	buf_putc(b, '}');
}

static void
on_attempts(void *arg, enum store_status status, const struct store_attempt *all, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(c->r, false);
		return;
	}
	if (all == NULL) {
		c->surface->not_found(c);
		return;
	}
	buf_puts(&b, "{\"attempts\":[");
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		api_put_attempt(&b, &all[i]);
	}
	buf_puts(&b, "]}");
	api_reply_json(c->r, &b);
}

void
api_task_attempts(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	if (api_call_id(c))
		store_attempts(c->api->store, &c->id, on_attempts, c);
}
