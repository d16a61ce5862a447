/* task_unique.c - the member "unique" of a submission: {"key": "...", "for": "queued" | "live" | seconds}.
 *
 * Of all tasks of a tenant that want the same name, one has it at a time; "for" says for how long, and is "live" when absent.  The name
 * is free text, not a header, so it may be any UTF-8 but control characters.  Pure.
 */
#include <stdio.h>

#include "base/clock.h"
#include "task/task_int.h"

static const struct {
	const char *word;
	enum task_hold hold;
} words[] = {
	{ "queued", TASK_HOLD_QUEUED },
	{ "live", TASK_HOLD_LIVE },
};

/* Sets a problem at a member (null: at the whole) and is false. */
static bool
refuse(const struct json_scan *s, uint32_t value, const char *member, const char *what, struct task_problem *p)
{
	struct span whole = json_whole(s, value);

	problem_set(p, "invalid_field", (size_t)(whole.ptr - s->text.ptr), "%s", what);
	problem_point_text(p, "unique");
	if (member != NULL)
		problem_point_text(p, member);
	p->input = whole;
	return false;
}

static bool
refuse_unknown(const struct json_scan *s, uint32_t name, struct task_problem *p)
{
	problem_set(p, "unknown_field", s->tokens[name].start - 1, "expected only key, for");
	problem_point_text(p, "unique");
	problem_point_name(p, s, name);
	p->input = json_whole(s, name + 1);
	return false;
}

/* Digits only, 1 to TASK_WINDOW_MAX; 0 for everything else. */
static int
seconds_of(const struct json_scan *s, uint32_t value)
{
	struct span raw = json_raw(s, value);
	int n = 0;

	if (!(s->tokens[value].flags & JSON_INTEGER) || raw.ptr[0] == '-' || raw.len > 8)
		return 0;
	for (size_t i = 0; i < raw.len; i++)
		n = 10 * n + (raw.ptr[i] - '0');
	return n <= TASK_WINDOW_MAX ? n : 0;
}

static bool
read_hold(const struct json_scan *s, uint32_t value, struct task_unique *u, struct task_problem *p)
{
	char what[100];

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (s->tokens[value].type == JSON_STRING && json_text_is(s, value, words[i].word)) {
			u->hold = words[i].hold;
			return true;
		}
	u->hold = TASK_HOLD_WINDOW;
	u->window = seconds_of(s, value) * CLOCK_SECOND;
	if (u->window > 0)
		return true;
	snprintf(what, sizeof(what), "expected \"queued\", \"live\", or an integer of seconds from 1 to %d",
	    TASK_WINDOW_MAX);
	return refuse(s, value, "for", what, p);
}

static bool
read_name(const struct json_scan *s, struct arena *arena, uint32_t value, struct task_unique *u, struct task_problem *p)
{
	char what[100];

	if (request_text(s, arena, value, 1, TASK_UNIQUE_MAX, &u->name))
		return true;
	snprintf(what, sizeof(what), "expected a string of 1 to %d bytes without control characters", TASK_UNIQUE_MAX);
	return refuse(s, value, "key", what, p);
}

bool
unique_read(
    const struct json_scan *s, struct arena *arena, uint32_t value, struct task_unique *u_r, struct task_problem *p)
{
	const struct json_token *tokens = s->tokens;
	bool good = true;

	*u_r = (struct task_unique){ .hold = TASK_HOLD_LIVE };
	if (tokens[value].type != JSON_OBJECT)
		return refuse(s, value, NULL, "expected an object with key, and for", p);
	for (uint32_t name = value + 1; good && name < tokens[value].next; name = tokens[name + 1].next) {
		if (json_text_is(s, name, "key"))
			good = read_name(s, arena, name + 1, u_r, p);
		else if (json_text_is(s, name, "for"))
			good = read_hold(s, name + 1, u_r, p);
		else
			good = refuse_unknown(s, name, p);
	}
	if (!good || u_r->name.len > 0)
		return good;
	(void)refuse(s, value, "key", "expected key, the name that one task has at a time", p);
	p->code = "missing_field";
	return false;
}

/* Frozen, as all that fingerprints are taken from. */
void
unique_canon(struct buf *b, const struct task_unique *u)
{
	buf_puts(b, "{\"for\":");
	if (u->hold == TASK_HOLD_WINDOW)
		buf_putu64(b, (uint64_t)(u->window / CLOCK_SECOND));
	else
		buf_puts(b, u->hold == TASK_HOLD_QUEUED ? "\"queued\"" : "\"live\"");
	buf_puts(b, ",\"key\":");
	json_canon_text(b, u->name);
	buf_putc(b, '}');
}
