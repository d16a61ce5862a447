/* api_problems.c - what a problem is, for whoever follows its `type`: /problems/CODE, in plain text, from problems.def. */
#include <string.h>

#include "http/api_int.h"

static const struct problem {
	const char *code;
	int status;
	const char *meaning, *advice;
} problems[] = {
#define PROBLEM(code, status, meaning, advice) { #code, status, meaning, advice },
#include "http/problems.def"
};

/* The path has hyphens where the code has underscores. */
static bool
is_named(struct span word, const char *code)
{
	size_t i;

	if (word.len != strlen(code))
		return false;
	for (i = 0; i < word.len; i++)
		if (word.ptr[i] != (code[i] == '_' ? '-' : code[i]))
			return false;
	return true;
}

void
api_problem(void *app UNUSED, struct http_request *r)
{
	struct http_problem none = { .status = 404, .code = "not_found", .detail = "there is no such problem" };
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(problems); i++)
		if (is_named(http_param(r, "code"), problems[i].code))
			break;
	if (i == ARRAY_LEN(problems)) {
		http_reply_problem(r, &none);
		return;
	}
	buf_printf(&b, "%s (%d %s)\n\n%s\n\nWhat to do: %s\n", problems[i].code, problems[i].status,
	    http_status_text(problems[i].status), problems[i].meaning, problems[i].advice);
	http_reply(r, 200, "text/plain; charset=utf-8", buf_span(&b));
	buf_free(&b);
}
