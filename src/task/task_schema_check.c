/* task_schema_check.c - a payload against a schema: does it fit, and if not, where first.
 *
 * A violation is kept as keyword and tokens and becomes words (task_schema_words.c) only when it is the answer: alternatives that do
 * not fit cost nothing.
 * Work is counted in steps and ends at a bound, whatever schema and payload come together; what was not checked to its end does
 * not fit.  Calls go at most TASK_SCHEMA_NESTING_MAX deep.
 */
#include "task/task_schema_int.h"

static bool fits(struct schema_check *c, const struct schema_node *node, uint32_t token);

static bool
step(struct schema_check *c, int64_t n)
{
	c->steps -= n;
	return c->steps >= 0;
}

static bool
violation(
    struct schema_check *c, const struct schema_node *node, uint32_t token, enum schema_wrong wrong, uint32_t more)
{
	c->wrong = wrong;
	c->node = node;
	c->token = token;
	c->more = more;
	return false;
}

static bool
counted(struct schema_check *c, const struct schema_node *node, uint32_t token, uint32_t n, uint32_t min, uint32_t max)
{
	if (n >= min && n <= max)
		return true;
	c->bound = n < min ? min : max;
	return violation(c, node, token, n < min ? SCHEMA_WRONG_FEW : SCHEMA_WRONG_MANY, n);
}

/* --- values of their own ------------------------------------------------------------------------------------------- */

static bool
fits_type(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	unsigned bit = 1u << c->payload.tokens[token].type;

	if (node->types == 0 || (node->types & bit) != 0)
		return true;
	if (bit == 1u << JSON_NUMBER && (node->types & SCHEMA_INTEGER) != 0) {
		struct json_decimal d = json_decimal(json_raw(&c->payload, token));

		if (json_decimal_is_integer(&d))
			return true;
	}
	return violation(c, node, token, SCHEMA_WRONG_TYPE, 0);
}

static bool
is_among(const struct schema_check *c, const struct schema_values *v, uint32_t token)
{
	uint32_t low = 0, high = v->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = json_value_cmp(&c->payload, token, c->schema, v->tokens[middle]);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static bool
fits_values(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	for (int i = 0; i < 2; i++)
		if (node->values[i].n > 0 && !is_among(c, &node->values[i], token))
			return violation(c, node, token, i == 0 ? SCHEMA_WRONG_ENUM : SCHEMA_WRONG_CONST, 0);
	return true;
}

/* The number's order relative to a bound; `none` where there is no bound. */
static int
order_to(const struct schema_check *c, const struct json_decimal *d, uint32_t bound, int none)
{
	struct json_decimal b;

	if (bound == 0)
		return none;
	b = json_decimal(json_raw(c->schema, bound));
	return json_decimal_cmp(d, &b);
}

static bool
fits_number(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	struct json_decimal d = json_decimal(json_raw(&c->payload, token)), of;

	if (order_to(c, &d, node->minimum, 0) < 0)
		return violation(c, node, token, SCHEMA_WRONG_MINIMUM, node->minimum);
	if (order_to(c, &d, node->maximum, 0) > 0)
		return violation(c, node, token, SCHEMA_WRONG_MAXIMUM, node->maximum);
	if (order_to(c, &d, node->exclusive_minimum, 1) <= 0)
		return violation(c, node, token, SCHEMA_WRONG_EXCLUSIVE_MINIMUM, node->exclusive_minimum);
	if (order_to(c, &d, node->exclusive_maximum, -1) >= 0)
		return violation(c, node, token, SCHEMA_WRONG_EXCLUSIVE_MAXIMUM, node->exclusive_maximum);
	if (node->multiple == 0)
		return true;
	of = json_decimal(json_raw(c->schema, node->multiple));
	return json_decimal_is_multiple(&d, &of) || violation(c, node, token, SCHEMA_WRONG_MULTIPLE, node->multiple);
}

static bool
fits_string(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	if (node->min_length == 0 && node->max_length == UINT32_MAX)
		return true;
	return counted(
	    c, node, token, (uint32_t)json_text_chars(&c->payload, token), node->min_length, node->max_length);
}

/* --- arrays and objects -------------------------------------------------------------------------------------------- */

static bool
fits_array(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	const struct json_token *tokens = c->payload.tokens;
	uint32_t n = 0;

	for (uint32_t at = token + 1; at < tokens[token].next; at = tokens[at].next)
		n++;
	if (!step(c, n) || !counted(c, node, token, n, node->min_items, node->max_items))
		return false;
	n = 0;
	for (uint32_t at = token + 1; at < tokens[token].next; at = tokens[at].next, n++) {
		const struct schema_node *item = n < node->first_items.n ? node->first_items.nodes[n] : node->items;

		if (item != NULL && !fits(c, item, at))
			return false;
	}
	return true;
}

/* Both are in the order of names. */
static bool
has_required(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	uint32_t name = c->payload.tokens[token].link;

	for (uint32_t i = 0; i < node->required.n; i++) {
		int order = -1;

		while (
		    name != 0 && (order = json_texts_cmp(&c->payload, name, c->schema, node->required.tokens[i])) < 0)
			name = c->payload.tokens[name].link;
		if (name == 0 || order != 0)
			return violation(c, node, token, SCHEMA_WRONG_REQUIRED, node->required.tokens[i]);
	}
	return true;
}

/* The schema of a member; null: anything is good. */
static const struct schema_node *
member_schema(const struct schema_check *c, const struct schema_node *node, uint32_t name)
{
	uint32_t low = 0, high = node->nmembers;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = json_texts_cmp(&c->payload, name, c->schema, node->members[middle].name);

		if (order == 0)
			return node->members[middle].node;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return node->others;
}

static bool
fits_object(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	const struct json_token *tokens = c->payload.tokens;
	uint32_t n = 0;

	for (uint32_t name = token + 1; name < tokens[token].next; name = tokens[name + 1].next)
		n++;
	if (!step(c, n) || !has_required(c, node, token) ||
	    !counted(c, node, token, n, node->min_members, node->max_members))
		return false;
	if (node->nmembers == 0 && node->others == NULL)
		return true;
	for (uint32_t name = token + 1; name < tokens[token].next; name = tokens[name + 1].next) {
		const struct schema_node *member = member_schema(c, node, name);

		if (member != NULL && !fits(c, member, name + 1))
			return false;
	}
	return true;
}

/* --- schemas in schemas -------------------------------------------------------------------------------------------- */

static bool
fits_each(struct schema_check *c, const struct schema_list *list, uint32_t token)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (!fits(c, list->nodes[i], token))
			return false;
	return true;
}

/* How many of them fit, two meaning more than one. */
static uint32_t
count_fitting(struct schema_check *c, const struct schema_list *list, uint32_t token, uint32_t enough)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < list->n && n < enough && c->steps >= 0; i++)
		n += fits(c, list->nodes[i], token);
	return n;
}

static bool
fits_combined(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	uint32_t n;

	if (!fits_each(c, &node->ref, token) || !fits_each(c, &node->all, token))
		return false;
	if (node->any.n > 0 && count_fitting(c, &node->any, token, 1) == 0)
		return violation(c, node, token, SCHEMA_WRONG_ANY, node->any.n);
	if (node->one.n > 0 && (n = count_fitting(c, &node->one, token, 2)) != 1)
		return violation(c, node, token, SCHEMA_WRONG_ONE, n);
	if (node->no.n > 0 && count_fitting(c, &node->no, token, 1) != 0)
		return violation(c, node, token, SCHEMA_WRONG_NOT, 0);
	return true;
}

static bool
fits_content(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	switch ((enum json_type)c->payload.tokens[token].type) {
	case JSON_NUMBER:
		return fits_number(c, node, token);
	case JSON_STRING:
		return fits_string(c, node, token);
	case JSON_ARRAY:
		return fits_array(c, node, token);
	case JSON_OBJECT:
		return fits_object(c, node, token);
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		break;
	}
	return true;
}

static bool
fits(struct schema_check *c, const struct schema_node *node, uint32_t token)
{
	const struct json_token *t = &c->payload.tokens[token];

	if (!step(c, t->type < JSON_ARRAY ? 1 + t->len / 16 : 1))
		return false;
	if (node->never)
		return violation(c, node, token, SCHEMA_WRONG_NEVER, 0);
	return fits_type(c, node, token) && fits_values(c, node, token) && fits_content(c, node, token) &&
	       fits_combined(c, node, token);
}

/* --- public ------------------------------------------------------------------------------------------------------- */

bool
task_schema_check(const struct task_schema *s, struct span payload, struct task_problem *problem_r)
{
	struct schema_check c = { .schema = &s->scan, .steps = TASK_SCHEMA_STEPS + (int64_t)payload.len };
	bool good = json_scan(&c.payload, payload, problem_r);

	if (!good) {
		schema_explain_scan(problem_r);
	} else if (!fits(&c, s->root, 0) || c.steps < 0) {
		schema_explain(&c, problem_r);
		good = false;
	}
	json_scan_free(&c.payload);
	if (!good)
		problem_r->status = 422;
	return good;
}
