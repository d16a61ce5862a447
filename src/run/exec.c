/* exec.c - the kinds of work, and the ends they share.
 *
 * To add a kind: src/README.  Next: exec_report.c, exec_text.c.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"

#include "run/exec.h"

#define SNOOZE_MAX (86400 * 365.0) /* seconds */

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

static const struct exec_kind *
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

void
exec_flush(struct exec_env *env)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->flush != NULL)
			kinds[i]->flush(env);
}

enum exec_begin
exec_start(struct exec_run *x)
{
	MAGIC_CHECK(x, EXEC_RUN_MAGIC);
	x->kind = exec_kind_of(x->handler);
	x->state = NULL;
	x->waits = false;
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
void
exec_code(struct exec_run *x, struct span code)
{
	struct task_failure *f = x->end.failure;
	size_t i;

	for (i = 0; i < sizeof(f->code) - 1 && i < code.len; i++)
		f->code[i] = isalnum((unsigned char)code.ptr[i]) ? (char)toupper((unsigned char)code.ptr[i]) : '_';
	f->code[i] = '\0';
}

struct task_failure *
exec_fail(struct exec_run *x, enum task_class class, const char *code, struct span message)
{
	struct task_failure *f = arena_alloc(x->arena, sizeof(*f));

	f->class = class;
	(void)exec_text_clean(f->message, sizeof(f->message), message);
	f->exit = -1;
	if (x->end.failure != NULL)
		f->tail = x->end.failure->tail;
	x->end.ending = EXEC_FAILURE;
	x->end.failure = f;
	exec_code(x, span_of(code));
	x->end.said = (struct task_said){ 0 };
	return f;
}

void
exec_crash(struct exec_run *x, const char *code, int wait_status, struct span message)
{
	exec_fail(x, TASK_CRASH, code, message)->exit = wait_status;
	x->end.ending = EXEC_CRASH;
}

void
exec_tail(struct exec_run *x, struct span said)
{
	struct span last = exec_text_trim(said);
	size_t over = last.len > TASK_TAIL_MAX ? last.len - TASK_TAIL_MAX : 0, len;
	char *text;

	if (x->end.failure == NULL || last.len == 0)
		return;
	last = (struct span){ last.ptr + over, last.len - over };
	text = arena_alloc(x->arena, 3 * last.len + 1); /* a bad byte becomes three */
	len = exec_text_clean(text, 3 * last.len + 1, last);
	over = len > TASK_TAIL_MAX ? len - TASK_TAIL_MAX : 0;
	while (((unsigned char)text[over] & 0xC0) == 0x80)
		over++;
	x->end.failure->tail = (struct span){ text + over, len - over };
}

void
exec_unbegun(struct exec_run *x)
{
	memset(&x->end, 0, sizeof(x->end));
	x->end.ending = EXEC_UNBEGUN;
	x->end.retry_after = x->end.snooze = -1;
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
