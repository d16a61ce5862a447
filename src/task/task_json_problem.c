/* task_json_problem.c - what was wrong, where, and in whose words. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

void
problem_set(struct task_problem *p, const char *code, size_t offset, const char *fmt, ...)
{
	va_list ap;

	*p = (struct task_problem){ .status = 400, .code = code, .offset = offset };
	va_start(ap, fmt);
	vsnprintf(p->detail, sizeof(p->detail), fmt, ap);
	va_end(ap);
}

/* Appends one character whole, or nothing; false when the pointer is full. */
static bool
put_char(struct task_problem *p, uint32_t c)
{
	size_t used = strlen(p->pointer);
	char utf8[4];
	size_t len;

	if (c == 0 || (c & 0xfffff800) == 0xd800)
		c = 0xfffd; /* neither fits into C text */
	len = json_char_put(c, utf8);
	if (used + len >= sizeof(p->pointer))
		return false;
	memcpy(p->pointer + used, utf8, len);
	p->pointer[used + len] = '\0';
	return true;
}

/* One character of a name, by the rules of JSON Pointer. */
static bool
put_name_char(struct task_problem *p, uint32_t c)
{
	if (c == '~')
		return put_char(p, '~') && put_char(p, '0');
	if (c == '/')
		return put_char(p, '~') && put_char(p, '1');
	return put_char(p, c);
}

void
problem_point_name(struct task_problem *p, const struct json_scan *s, uint32_t name)
{
	struct span raw = json_raw(s, name);
	const unsigned char *at = (const unsigned char *)raw.ptr, *end = at + raw.len;
	bool room = put_char(p, '/');

	while (room && at < end)
		room = put_name_char(p, json_char(&at));
}

void
problem_point_text(struct task_problem *p, const char *name)
{
	bool room = put_char(p, '/');

	while (room && *name != '\0')
		room = put_name_char(p, (unsigned char)*name++);
}

void
problem_point_index(struct task_problem *p, uint32_t index)
{
	char text[12];

	snprintf(text, sizeof(text), "%u", index);
	problem_point_text(p, text);
}

void
problem_point_token(struct task_problem *p, const struct json_scan *s, uint32_t token)
{
	uint32_t at = 0;

	while (at < token) {
		bool object = s->tokens[at].type == JSON_OBJECT;
		uint32_t child = at + 1, index = 0;

		while (s->tokens[child + object].next <= token) {
			child = s->tokens[child + object].next;
			index++;
		}
		if (object)
			problem_point_name(p, s, child);
		else
			problem_point_index(p, index);
		at = child + object;
	}
}
