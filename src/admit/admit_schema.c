/* admit_schema.c - does the payload fit the schema of its handler?
 *
 * Pure.  A task whose handler is in another node's configuration only is not judged here, but by the worker that claims it.
 */
#include <stdio.h>

#include "task/task_schema.h"

#include "admit/admit_int.h"

/* Whose schema it was, before what the schema says. */
static void
name_handler(struct task_problem *p, const struct conf_handler *h, enum task_surface surface)
{
	char what[sizeof(p->detail)];

	(void)snprintf(what, sizeof(what), "%s", p->detail);
	(void)snprintf(p->detail, sizeof(p->detail), "schema of handler \"%.64s\": %.168s", h->title, what);
	if (surface == TASK_SURFACE_COMPAT)
		p->compat_type = "value_error";
}

bool
admit_schema(const struct admit *admit, const struct admit_request *r, struct admit_checked *c)
{
	const struct conf_handler *h = conf_handler_find(admit->conf, c->request.task_type);
	const struct task_schema *schema = h != NULL ? conf_handler_schema(admit->conf, h) : NULL;
	struct span payload = c->request.payload;

	if (schema == NULL || task_schema_check(schema, payload, &c->problem))
		return true;
	if (payload.ptr >= r->body.ptr && payload.ptr < r->body.ptr + r->body.len)
		c->problem.offset += (size_t)(payload.ptr - r->body.ptr); /* else it is the default */
	name_handler(&c->problem, h, r->surface);
	return false;
}
