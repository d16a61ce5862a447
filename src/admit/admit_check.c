/* admit_check.c - what a submission must be before anybody is asked: one good key, one good body.
 *
 * Pure.  The words for a bad key are here, those for a bad body in task/.
 */
#include <stdio.h>

#include "admit/admit_int.h"

static bool
bad_key(struct admit_checked *c, const char *code, const char *compat_type, struct span input, const char *detail)
{
	struct task_problem *p = &c->problem;

	*p = (struct task_problem){ .status = 400, .code = code, .input = input, .compat_type = compat_type };
	(void)snprintf(p->detail, sizeof(p->detail), "%s", detail);
	c->bad_key = true;
	return false;
}

static bool
missing_key(const struct admit_request *r, struct admit_checked *c)
{
	if (r->surface == TASK_SURFACE_COMPAT)
		return bad_key(c, "missing_key", "missing", (struct span){ 0 }, "Field required");
	return bad_key(c, "missing_key", NULL, (struct span){ 0 },
	    "expected a header Idempotency-Key of 1 to 255 printable characters; the same key again gives the same "
	    "answer");
}

/* The words of the compatible surface for a length; everything else is ours. */
static const char *
wrong_kind(const struct admit_request *r, struct task_problem *p)
{
	if (r->key_header.len == 0) {
		(void)snprintf(p->detail, sizeof(p->detail), "String should have at least 1 character");
		(void)snprintf(p->compat_ctx, sizeof(p->compat_ctx), "{\"min_length\":1}");
		return "string_too_short";
	}
	if (r->key_header.len > TASK_KEY_MAX) {
		(void)snprintf(p->detail, sizeof(p->detail), "String should have at most %d characters", TASK_KEY_MAX);
		(void)snprintf(p->compat_ctx, sizeof(p->compat_ctx), "{\"max_length\":%d}", TASK_KEY_MAX);
		return "string_too_long";
	}
	return "value_error";
}

static bool
wrong_key(const struct admit_request *r, struct admit_checked *c, const char *what)
{
	char detail[160];

	(void)snprintf(detail, sizeof(detail), "Idempotency-Key: %s", what);
	(void)bad_key(c, "invalid_key", NULL, r->key_header, detail);
	if (r->surface == TASK_SURFACE_COMPAT)
		c->problem.compat_type = wrong_kind(r, &c->problem);
	return false;
}

/* An item names its key itself. */
static bool
check_item(const struct admit_request *r, struct admit_checked *c)
{
	const char *what;

	if (!task_item_read(r->body, r->arena, &c->request, &c->key, &c->problem))
		return false;
	what = c->key.ptr != NULL ? task_key_check(c->key) : "expected a string of 1 to 255 printable ASCII characters";
	if (what == NULL)
		return true;
	(void)bad_key(c, c->key.ptr != NULL ? "invalid_key" : "missing_key", NULL, c->key, what);
	(void)snprintf(c->problem.pointer, sizeof(c->problem.pointer), "/%s", TASK_KEY_MEMBER);
	return false;
}

static bool
check_single(const struct admit_request *r, struct admit_checked *c)
{
	const char *what;
	size_t len;

	if (r->key_header.ptr == NULL)
		return missing_key(r, c);
	if (r->key_lines > 1)
		return wrong_key(r, c, "expected one line, got several");
	what = task_key_parse(r->key_header, c->key_text, &len);
	if (what != NULL)
		return wrong_key(r, c, what);
	c->key = (struct span){ c->key_text, len };
	return task_request_read(r->body, r->surface, r->arena, &c->request, &c->problem);
}

bool
admit_check(const struct admit_request *r, struct admit_checked *c)
{
	if (!(r->item ? check_item(r, c) : check_single(r, c)))
		return false;
	if (c->request.trace_id.len == 0)
		c->request.trace_id = r->trace_id; /* the fingerprint is taken */
	return true;
}
