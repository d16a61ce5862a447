/* exec_report.c - what a handler says of its failure, or that it wants to be put off: an object of JSON, for every kind the same.
 *
 * It is read by the rules that hold for what is submitted (task/task_json.h), and then as far as it can be: half a character of a text
 * becomes U+FFFD, a number that no clock knows is not heard, but the class beside them counts.
 */
#include <math.h>

#include "base/clock.h"
#include "task/task_json.h"

#include "run/exec.h"

#define RETRY_AFTER_MAX (86400 * 7.0) /* seconds; a handler cannot park a task for longer */

/* The value of the member, empty when there is none. */
static struct span
member(struct span object, const char *wanted)
{
	struct span rest = task_json_inside(object), name, value;
	struct buf text = { 0 };
	bool found = false;

	while (!found && task_json_next(&rest, &name, &value)) {
		buf_reset(&text);
		task_json_text(&text, name);
		found = span_is(buf_span(&text), wanted);
	}
	buf_free(&text);
	return found ? value : (struct span){ 0 };
}

/* The text of a member that is a string; false: it is none. */
static bool
member_text(struct exec_run *x, struct span object, const char *wanted, struct span *text_r)
{
	struct span value = member(object, wanted);
	struct buf text = { 0 };

	if (value.len == 0 || value.ptr[0] != '"')
		return false;
	task_json_text(&text, value);
	*text_r = arena_span(x->arena, buf_span(&text));
	buf_free(&text);
	return true;
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

/* The object alone, without the space around it; empty: it is not one. */
static struct span
object_of(struct span json)
{
	json = exec_text_trim(json);
	return json.len > 0 && json.ptr[0] == '{' && task_json_valid(json) ? json : (struct span){ 0 };
}

bool
exec_report(struct exec_run *x, struct span json)
{
	struct task_failure *f = x->end.failure;
	struct span object = object_of(json), text;

	ASSERT(f != NULL);
	if (object.len == 0)
		return false;
	if (member_text(x, object, "error_class", &text))
		report_class(x, text);
	if (member_text(x, object, "error_code", &text) && text.len > 0) {
		exec_code(x, text);
		x->end.said.code = true;
	}
	if (member_text(x, object, "message", &text))
		(void)exec_text_clean(f->message, sizeof(f->message), text);
	report_retry_after(x, exec_text_number(member(object, "retry_after")));
	return true;
}

bool
exec_snooze_said(struct exec_run *x, struct span json)
{
	struct span object = object_of(json);

	return object.len > 0 && exec_snooze(x, exec_text_number(member(object, "snooze")));
}
