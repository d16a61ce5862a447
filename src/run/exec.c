/* exec.c - the kinds of work, and the ends they share.
 *
 * To add a kind: src/README.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"

#include "run/exec.h"

#define RETRY_AFTER_MAX (86400 * 7.0) /* seconds; a handler cannot park a task for longer */
#define SNOOZE_MAX (86400 * 365.0)    /* seconds */

/* No worker runs these: clients lease them.  One that was claimed before the configuration said so waits for its worker's end. */
static bool
lease_ready(const struct exec_env *env UNUSED, const struct conf_handler *h UNUSED)
{
	return false;
}

static enum exec_begin
lease_start(struct exec_run *x UNUSED)
{
	return EXEC_LATER;
}

static const struct exec_kind exec_lease = { .name = "lease", .ready = lease_ready, .start = lease_start };

static const struct exec_kind *const kinds[] = {
	[CONF_HANDLER_EXEC] = &exec_exec,
	[CONF_HANDLER_BUILTIN] = &exec_builtin,
	[CONF_HANDLER_HTTP] = &exec_http,
	[CONF_HANDLER_POOL] = &exec_pool,
	[CONF_HANDLER_LEASE] = &exec_lease,
};

const struct exec_kind *
exec_kind_of(const struct conf_handler *h)
{
	ASSERT(h->kind >= 0 && (size_t)h->kind < ARRAY_LEN(kinds));
	return kinds[h->kind];
}

bool
exec_ready(const struct exec_env *env, const struct conf_handler *h)
{
	const struct exec_kind *kind = exec_kind_of(h);

	return kind->ready == NULL || kind->ready(env, h);
}

bool
exec_idle(const struct exec_env *env, const struct conf_handler *h)
{
	const struct exec_kind *kind = exec_kind_of(h);

	return kind->idle == NULL || kind->idle(env, h);
}

int
exec_width(const struct exec_env *env, const struct conf_handler *h)
{
	const struct exec_kind *kind = exec_kind_of(h);

	return kind->width == NULL ? 0 : kind->width(env, h);
}

void
exec_open(struct exec_env *env)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->open != NULL)
			kinds[i]->open(env);
}

void
exec_turn(struct exec_env *env)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->turn != NULL)
			kinds[i]->turn(env);
}

void
exec_leave(struct exec_env *env, int64_t grace)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->leave != NULL)
			kinds[i]->leave(env, grace);
}

bool
exec_gone(const struct exec_env *env)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->gone != NULL && !kinds[i]->gone(env))
			return false;
	return true;
}

void
exec_close(struct exec_env *env)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->close != NULL)
			kinds[i]->close(env);
}

enum exec_begin
exec_start(struct exec_run *x)
{
	MAGIC_CHECK(x, EXEC_RUN_MAGIC);
	x->kind = exec_kind_of(x->handler);
	x->state = NULL;
	memset(&x->end, 0, sizeof(x->end));
	x->end.retry_after = -1;
	x->end.snooze = -1;
	return x->kind->start(x);
}

void
exec_stop(struct exec_run *x, int sig)
{
	MAGIC_CHECK(x, EXEC_RUN_MAGIC);
	x->kind->stop(x, sig);
}

void
exec_drop(struct exec_run *x)
{
	MAGIC_CHECK(x, EXEC_RUN_MAGIC);
	x->kind->drop(x);
}

void
exec_succeed(struct exec_run *x, struct span result)
{
	x->end.ending = EXEC_SUCCESS;
	x->end.result = arena_span(x->arena, result);
}

/* Codes are upper case words: what else a handler writes is bent into that shape. */
static void
code_copy(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i < size - 1 && from[i] != '\0'; i++)
		to[i] = isalnum((unsigned char)from[i]) ? (char)toupper((unsigned char)from[i]) : '_';
	to[i] = '\0';
}

struct task_failure *
exec_fail(struct exec_run *x, enum task_class class, const char *code, struct span message)
{
	struct task_failure *f = arena_alloc(x->arena, sizeof(*f));

	f->class = class;
	code_copy(f->code, sizeof(f->code), code);
	(void)exec_text_clean(f->message, sizeof(f->message), message);
	f->exit = -1;
	x->end.ending = EXEC_FAILURE;
	x->end.failure = f;
	x->end.said = (struct task_said){ 0 };
	return f;
}

void
exec_crash(struct exec_run *x, const char *code, int wait_status, struct span message)
{
	exec_fail(x, TASK_CRASH, code, message)->exit = wait_status;
	x->end.ending = EXEC_CRASH;
}

bool
exec_snooze(struct exec_run *x, double seconds)
{
	if (!isfinite(seconds) || seconds < 0)
		return false;
	(void)exec_fail(x, TASK_TRANSIENT, "SNOOZED", SPAN("the handler put it off"));
	x->end.snooze = (int64_t)((seconds < SNOOZE_MAX ? seconds : SNOOZE_MAX) * CLOCK_SECOND);
	return true;
}

bool
exec_snooze_said(struct exec_run *x, struct span json)
{
	json_t *o = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *seconds = json_object_get(o, "snooze");
	bool good = json_is_number(seconds) && exec_snooze(x, json_number_value(seconds));

	json_decref(o);
	return good;
}

static void
report_class(struct exec_run *x, struct span word)
{
	size_t size = word.len * 3 + 1; /* a bad byte becomes three */
	char *text = arena_alloc(x->arena, size);

	x->end.said.class = (struct span){ text, exec_text_clean(text, size, word) };
}

static void
report_retry_after(struct exec_run *x, double seconds)
{
	if (!isfinite(seconds) || seconds < 0)
		return;
	x->end.retry_after = (int64_t)((seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX) * CLOCK_SECOND);
}

bool
exec_report(struct exec_run *x, struct span json)
{
	struct task_failure *f = x->end.failure;
	const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
	json_t *o = json_loadb(json.ptr, json.len, flags, NULL), *v;

	ASSERT(f != NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return false;
	}
	if (json_is_string(v = json_object_get(o, "error_class")))
		report_class(x, (struct span){ json_string_value(v), json_string_length(v) });
	if (json_is_string(v = json_object_get(o, "error_code")) && json_string_length(v) > 0) {
		code_copy(f->code, sizeof(f->code), json_string_value(v));
		x->end.said.code = true;
	}
	if (json_is_string(v = json_object_get(o, "message")))
		(void)exec_text_clean(
		    f->message, sizeof(f->message), (struct span){ json_string_value(v), json_string_length(v) });
	if (json_is_number(v = json_object_get(o, "retry_after")))
		report_retry_after(x, json_number_value(v));
	json_decref(o);
	return true;
}
