/* conf_rules.c - the failure rules of the handlers: read with the configuration, kept with it, freed with it.
 *
 * What a rule means is known on a floor beside ours: conf_read_rules().  Each is read once to be judged, at the line that says it, and all
 * of a handler once more when the handlers are in their order.
 */
#include "conf/conf_int.h"

static struct task_rules *(*rules_make)(const char *const *texts, int n, struct buf *why);
static void (*rules_drop)(struct task_rules **r);

void
conf_read_rules(
    struct task_rules *(*make)(const char *const *texts, int n, struct buf *why), void (*drop)(struct task_rules **r))
{
	rules_make = make;
	rules_drop = drop;
}

bool
conf_rule_good(const char *text, struct buf *why)
{
	struct task_rules *r;

	if (rules_make == NULL)
		return true;
	r = rules_make(&text, 1, why);
	if (r == NULL)
		return false;
	rules_drop(&r);
	return true;
}

void
conf_rules_settle(struct conf *c)
{
	struct buf why = { 0 };

	if (rules_make == NULL || c->nhandlers == 0)
		return;
	c->origin->nrules = c->nhandlers;
	c->origin->rules = mem_zalloc((size_t)c->nhandlers * sizeof(*c->origin->rules));
	for (int i = 0; i < c->nhandlers; i++)
		if (c->handlers[i].rules.n > 0) {
			c->origin->rules[i] = rules_make(c->handlers[i].rules.items, c->handlers[i].rules.n, &why);
			ASSERT(c->origin->rules[i] != NULL); /* each was good */
		}
	buf_free(&why);
}

const struct task_rules *
conf_handler_rules(const struct conf *c, const struct conf_handler *h)
{
	return c->origin->rules == NULL ? NULL : c->origin->rules[h - c->handlers];
}

void
conf_rules_free(struct conf_origin *g)
{
	for (int i = 0; i < g->nrules; i++)
		if (g->rules[i] != NULL)
			rules_drop(&g->rules[i]);
	mem_free(&g->rules);
}
