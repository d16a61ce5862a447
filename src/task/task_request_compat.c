/* task_request_compat.c - the body of the compatible surface.
 *
 * Three fields; what else is there is ignored.  Checks and words are those of pydantic in its lax mode, because clients
 * match on them, save that true is not 1, and that a task type holds no control characters (the database could not keep
 * NUL).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "task/task_int.h"

#define ATTEMPTS_MAX 10
#define EXACT 9007199254740992.0 /* from here on a double has no fraction */

/* The value of a field, 0 when it is absent. */
static uint32_t
find(const struct json_scan *s, const char *field)
{
	for (uint32_t name = 1; name < s->tokens[0].next; name = s->tokens[name + 1].next)
		if (json_text_is(s, name, field))
			return name + 1;
	return 0;
}

static bool
refuse(const struct json_scan *s, struct task_problem *p, const char *field, uint32_t value, const char *type,
    const char *msg, const char *ctx)
{
	struct span whole = json_whole(s, value);

	problem_set(p, "invalid_field", (size_t)(whole.ptr - s->text.ptr), "%s", msg);
	if (field != NULL)
		problem_point_text(p, field);
	p->status = 422;
	p->compat_type = type;
	snprintf(p->compat_ctx, sizeof(p->compat_ctx), "%s", ctx);
	p->input = whole;
	return false;
}

static bool
take_type(const struct json_scan *s, uint32_t value, struct arena *arena, struct span *type_r, struct task_problem *p)
{
	static const char name[] = "task_type";

	if (s->tokens[value].type != JSON_STRING)
		return refuse(s, p, name, value, "string_type", "Input should be a valid string", "");
	if (s->tokens[value].flags & JSON_SURROGATE)
		return refuse(s, p, name, value, "string_unicode",
		    "Input should be a valid string, unable to parse raw data as a unicode string", "");
	*type_r = json_text(s, value, arena);
	if (type_r->len == 0)
		return refuse(s, p, name, value, "string_too_short", "String should have at least 1 character",
		    "{\"min_length\":1}");
	if (type_r->len > TASK_TYPE_MAX)
		return refuse(s, p, name, value, "string_too_long", "String should have at most 64 characters",
		    "{\"max_length\":64}");
	for (size_t i = 0; i < type_r->len; i++)
		if ((unsigned char)type_r->ptr[i] < 0x20 || type_r->ptr[i] == 0x7f)
			return refuse(s, p, name, value, "string_pattern_mismatch",
			    "String should match pattern '^[^\\x00-\\x1f\\x7f]+$'",
			    "{\"pattern\":\"^[^\\\\x00-\\\\x1f\\\\x7f]+$\"}");
	return true;
}

void
problem_compat(struct task_problem *p, bool empty)
{
	p->status = 422;
	if (empty) {
		p->compat_type = "missing";
		snprintf(p->detail, sizeof(p->detail), "Field required");
		return;
	}
	p->compat_type = "json_invalid";
	snprintf(p->compat_ctx, sizeof(p->compat_ctx), "{\"error\":\"%.140s\"}", p->detail);
	snprintf(p->detail, sizeof(p->detail), "JSON decode error");
}

/* A number that a string holds: blanks around it, a sign, digits with single underscores between, a fraction of zeros.
 * More than fits is a large number.  False when it is none. */
static bool
number_of_text(struct span t, double *n_r)
{
	size_t i = 0, end = t.len, digits = 0;
	bool negative;
	double n = 0;

	while (i < end && (t.ptr[i] == ' ' || (t.ptr[i] >= '\t' && t.ptr[i] <= '\r')))
		i++;
	while (end > i && (t.ptr[end - 1] == ' ' || (t.ptr[end - 1] >= '\t' && t.ptr[end - 1] <= '\r')))
		end--;
	negative = i < end && t.ptr[i] == '-';
	if (i < end && (t.ptr[i] == '-' || t.ptr[i] == '+'))
		i++;
	for (; i < end && t.ptr[i] != '.'; i++) {
		bool between =
		    digits > 0 && i + 1 < end && t.ptr[i - 1] != '_' && t.ptr[i + 1] != '_' && t.ptr[i + 1] != '.';

		if (t.ptr[i] == '_' && between)
			continue;
		if (t.ptr[i] < '0' || t.ptr[i] > '9')
			return false;
		n = 10 * n + (t.ptr[i] - '0');
		digits++;
	}
	if (digits == 0 || i + 1 == end)
		return false;
	for (i++; i < end; i++)
		if (t.ptr[i] != '0')
			return false;
	*n_r = negative ? -n : n;
	return true;
}

static bool
take_attempts(const struct json_scan *s, uint32_t value, struct arena *arena, int *n_r, struct task_problem *p)
{
	static const char name[] = "max_attempts";
	const struct json_token *t = &s->tokens[value];
	double n;

	if (t->type == JSON_STRING) {
		if (!number_of_text(json_text(s, value, arena), &n))
			return refuse(s, p, name, value, "int_parsing",
			    "Input should be a valid integer, unable to parse string as an integer", "");
	} else if (t->type == JSON_NUMBER) {
		n = strtod(s->text.ptr + t->start, NULL); /* ends at the comma or brace that follows every member */
		if (!(t->flags & JSON_INTEGER) && !isfinite(n))
			return refuse(s, p, name, value, "finite_number", "Input should be a finite number", "");
		if (n > -EXACT && n < EXACT && n != (double)(int64_t)n)
			return refuse(s, p, name, value, "int_from_float",
			    "Input should be a valid integer, got a number with a fractional part", "");
	} else {
		return refuse(s, p, name, value, "int_type", "Input should be a valid integer", "");
	}
	if (n < 1)
		return refuse(s, p, name, value, "greater_than_equal", "Input should be greater than or equal to 1",
		    "{\"ge\":1}");
	if (n > ATTEMPTS_MAX)
		return refuse(
		    s, p, name, value, "less_than_equal", "Input should be less than or equal to 10", "{\"le\":10}");
	*n_r = (int)n;
	return true;
}

bool
request_read_compat(const struct json_scan *s, struct arena *arena, struct task_request *r, struct task_problem *p)
{
	uint32_t type, payload, attempts;

	if (s->tokens[0].type != JSON_OBJECT)
		return refuse(s, p, NULL, 0, "model_attributes_type",
		    "Input should be a valid dictionary or object to extract fields from", "");
	type = find(s, "task_type");
	payload = find(s, "payload");
	attempts = find(s, "max_attempts");
	if (type == 0) {
		refuse(s, p, "task_type", 0, "missing", "Field required", "");
		p->code = "missing_field";
		return false;
	}
	if (!take_type(s, type, arena, &r->task_type, p))
		return false;
	if (payload != 0) {
		if (s->tokens[payload].type != JSON_OBJECT)
			return refuse(s, p, "payload", payload, "dict_type", "Input should be a valid dictionary", "");
		r->payload = json_raw(s, payload);
	}
	return attempts == 0 || take_attempts(s, attempts, arena, &r->max_attempts, p);
}
