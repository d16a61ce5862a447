/* task_schema_check.c - a payload against a schema: does it fit, and if not, where first.
 *
 * A violation is kept as keyword and tokens and becomes words only when it is the answer: alternatives that do not fit cost nothing.
 * Work is counted in steps and ends at a bound, whatever schema and payload come together; what was not checked to its end does
 * not fit.  Calls go at most TASK_SCHEMA_NESTING_MAX deep.
 */
#include <stdio.h>
#include <string.h>

#include "task/task_schema_int.h"

enum wrong {
	WRONG_TYPE,
	WRONG_ENUM,
	WRONG_CONST,
	WRONG_MINIMUM,
	WRONG_MAXIMUM,
	WRONG_EXCLUSIVE_MINIMUM,
	WRONG_EXCLUSIVE_MAXIMUM,
	WRONG_MULTIPLE,
	WRONG_FEW,
	WRONG_MANY,
	WRONG_REQUIRED,
	WRONG_NEVER,
	WRONG_ANY,
	WRONG_ONE,
	WRONG_NOT
};

struct check {
	const struct json_scan *schema;
	struct json_scan payload;
	int64_t steps; /* left; below 0: given up */
	/* the violation */
	enum wrong wrong;
	const struct schema_node *node;
	uint32_t token; /* of the payload */
	uint32_t more;  /* token of the schema: the bound, the missing name.  Else the count that came */
	uint32_t bound; /* of a count */
};

static bool fits(struct check *c, const struct schema_node *node, uint32_t token);

static bool
step(struct check *c, int64_t n)
{
	c->steps -= n;
	return c->steps >= 0;
}

static bool
violation(struct check *c, const struct schema_node *node, uint32_t token, enum wrong wrong, uint32_t more)
{
	c->wrong = wrong;
	c->node = node;
	c->token = token;
	c->more = more;
	return false;
}

static bool
counted(struct check *c, const struct schema_node *node, uint32_t token, uint32_t n, uint32_t min, uint32_t max)
{
	if (n >= min && n <= max)
		return true;
	c->bound = n < min ? min : max;
	return violation(c, node, token, n < min ? WRONG_FEW : WRONG_MANY, n);
}

/* --- values of their own ------------------------------------------------------------------------------------------- */

static bool
fits_type(struct check *c, const struct schema_node *node, uint32_t token)
{
	unsigned bit = 1u << c->payload.tokens[token].type;

	if (node->types == 0 || (node->types & bit) != 0)
		return true;
	if (bit == 1u << JSON_NUMBER && (node->types & SCHEMA_INTEGER) != 0) {
		struct json_decimal d = json_decimal(json_raw(&c->payload, token));

		if (json_decimal_is_integer(&d))
			return true;
	}
	return violation(c, node, token, WRONG_TYPE, 0);
}

static bool
is_among(const struct check *c, const struct schema_values *v, uint32_t token)
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
fits_values(struct check *c, const struct schema_node *node, uint32_t token)
{
	for (int i = 0; i < 2; i++)
		if (node->values[i].n > 0 && !is_among(c, &node->values[i], token))
			return violation(c, node, token, i == 0 ? WRONG_ENUM : WRONG_CONST, 0);
	return true;
}

/* The number's order relative to a bound; `none` where there is no bound. */
static int
order_to(const struct check *c, const struct json_decimal *d, uint32_t bound, int none)
{
	struct json_decimal b;

	if (bound == 0)
		return none;
	b = json_decimal(json_raw(c->schema, bound));
	return json_decimal_cmp(d, &b);
}

static bool
fits_number(struct check *c, const struct schema_node *node, uint32_t token)
{
	struct json_decimal d = json_decimal(json_raw(&c->payload, token)), of;

	if (order_to(c, &d, node->minimum, 0) < 0)
		return violation(c, node, token, WRONG_MINIMUM, node->minimum);
	if (order_to(c, &d, node->maximum, 0) > 0)
		return violation(c, node, token, WRONG_MAXIMUM, node->maximum);
	if (order_to(c, &d, node->exclusive_minimum, 1) <= 0)
		return violation(c, node, token, WRONG_EXCLUSIVE_MINIMUM, node->exclusive_minimum);
	if (order_to(c, &d, node->exclusive_maximum, -1) >= 0)
		return violation(c, node, token, WRONG_EXCLUSIVE_MAXIMUM, node->exclusive_maximum);
	if (node->multiple == 0)
		return true;
	of = json_decimal(json_raw(c->schema, node->multiple));
	return json_decimal_is_multiple(&d, &of) || violation(c, node, token, WRONG_MULTIPLE, node->multiple);
}

static bool
fits_string(struct check *c, const struct schema_node *node, uint32_t token)
{
	if (node->min_length == 0 && node->max_length == UINT32_MAX)
		return true;
	return counted(
	    c, node, token, (uint32_t)json_text_chars(&c->payload, token), node->min_length, node->max_length);
}

/* --- arrays and objects -------------------------------------------------------------------------------------------- */

static bool
fits_array(struct check *c, const struct schema_node *node, uint32_t token)
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
has_required(struct check *c, const struct schema_node *node, uint32_t token)
{
	uint32_t name = c->payload.tokens[token].link;

	for (uint32_t i = 0; i < node->required.n; i++) {
		int order = -1;

		while (
		    name != 0 && (order = json_texts_cmp(&c->payload, name, c->schema, node->required.tokens[i])) < 0)
			name = c->payload.tokens[name].link;
		if (name == 0 || order != 0)
			return violation(c, node, token, WRONG_REQUIRED, node->required.tokens[i]);
	}
	return true;
}

/* The schema of a member; null: anything is good. */
static const struct schema_node *
member_schema(const struct check *c, const struct schema_node *node, uint32_t name)
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
fits_object(struct check *c, const struct schema_node *node, uint32_t token)
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
fits_each(struct check *c, const struct schema_list *list, uint32_t token)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (!fits(c, list->nodes[i], token))
			return false;
	return true;
}

/* How many of them fit, two meaning more than one. */
static uint32_t
count_fitting(struct check *c, const struct schema_list *list, uint32_t token, uint32_t enough)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < list->n && n < enough && c->steps >= 0; i++)
		n += fits(c, list->nodes[i], token);
	return n;
}

static bool
fits_combined(struct check *c, const struct schema_node *node, uint32_t token)
{
	uint32_t n;

	if (!fits_each(c, &node->ref, token) || !fits_each(c, &node->all, token))
		return false;
	if (node->any.n > 0 && count_fitting(c, &node->any, token, 1) == 0)
		return violation(c, node, token, WRONG_ANY, node->any.n);
	if (node->one.n > 0 && (n = count_fitting(c, &node->one, token, 2)) != 1)
		return violation(c, node, token, WRONG_ONE, n);
	if (node->no.n > 0 && count_fitting(c, &node->no, token, 1) != 0)
		return violation(c, node, token, WRONG_NOT, 0);
	return true;
}

static bool
fits_content(struct check *c, const struct schema_node *node, uint32_t token)
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
fits(struct check *c, const struct schema_node *node, uint32_t token)
{
	const struct json_token *t = &c->payload.tokens[token];

	if (!step(c, t->type < JSON_ARRAY ? 1 + t->len / 16 : 1))
		return false;
	if (node->never)
		return violation(c, node, token, WRONG_NEVER, 0);
	return fits_type(c, node, token) && fits_values(c, node, token) && fits_content(c, node, token) &&
	       fits_combined(c, node, token);
}

/* --- the words ----------------------------------------------------------------------------------------------------- */

#define ECHO_MAX 40 /* bytes of a value that are said again */

static const char *
type_word(int type)
{
	static const char *const words[] = { "null", "boolean", "boolean", "number", "string", "array", "object" };

	return words[type];
}

/* A short number as it came, of everything else the type: what a payload holds is not said again. */
static void
say_got(struct buf *b, const struct check *c)
{
	const struct json_token *t = &c->payload.tokens[c->token];

	buf_puts(b, ", got ");
	if (t->type == JSON_NUMBER && t->len <= ECHO_MAX &&
	    (c->wrong != WRONG_TYPE || (c->node->types & SCHEMA_INTEGER)))
		buf_putspan(b, json_raw(&c->payload, c->token));
	else
		buf_puts(b, type_word(t->type));
}

static void
say_types(struct buf *b, unsigned types)
{
	static const struct {
		unsigned bit;
		const char *word;
	} rows[] = {
		{ 1u << JSON_NULL, "null" },
		{ 1u << JSON_TRUE, "boolean" },
		{ 1u << JSON_NUMBER, "number" },
		{ SCHEMA_INTEGER, "integer" },
		{ 1u << JSON_STRING, "string" },
		{ 1u << JSON_ARRAY, "array" },
		{ 1u << JSON_OBJECT, "object" },
	};
	const char *between = "expected ";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (types & rows[i].bit) {
			buf_printf(b, "%s%s", between, rows[i].word);
			between = " or ";
		}
}

/* As many of the values as there is room for. */
static void
say_values(struct buf *b, const struct check *c, const struct schema_values *v)
{
	buf_puts(b, v->n > 1 ? "expected one of" : "expected");
	for (uint32_t i = 0; i < v->n; i++) {
		struct span value = json_whole(c->schema, v->tokens[i]);

		if (value.len > ECHO_MAX || b->len > 56) {
			buf_printf(b, "%s%u %s", i > 0 ? " and " : " ", v->n - i,
			    i > 0      ? "more"
			    : v->n > 1 ? "values of the schema"
				       : "value of the schema");
			return;
		}
		buf_puts(b, i > 0 ? ", " : " ");
		buf_putspan(b, value);
	}
}

static void
say_bound(struct buf *b, const struct check *c)
{
	static const char *const how[] = {
		[WRONG_MINIMUM] = "at least",
		[WRONG_MAXIMUM] = "at most",
		[WRONG_EXCLUSIVE_MINIMUM] = "more than",
		[WRONG_EXCLUSIVE_MAXIMUM] = "less than",
		[WRONG_MULTIPLE] = "a multiple of",
	};
	struct span value = json_raw(c->schema, c->more);

	buf_printf(b, "expected %s ", how[c->wrong]);
	if (value.len > ECHO_MAX)
		buf_puts(b, "the number of the schema");
	else
		buf_putspan(b, value);
}

/* These say themselves what came. */
static void
say_count(struct buf *b, const struct check *c)
{
	int type = c->payload.tokens[c->token].type;
	const char *things = type == JSON_STRING ? "character" : type == JSON_ARRAY ? "item" : "member";

	buf_printf(b, "expected at %s %u %s%s, got %u", c->wrong == WRONG_FEW ? "least" : "most", c->bound, things,
	    c->bound == 1 ? "" : "s", c->more);
}

static void
say(struct buf *b, const struct check *c)
{
	switch (c->wrong) {
	case WRONG_TYPE:
		say_types(b, c->node->types);
		break;
	case WRONG_ENUM:
		say_values(b, c, &c->node->values[0]);
		break;
	case WRONG_CONST:
		say_values(b, c, &c->node->values[1]);
		break;
	case WRONG_MINIMUM:
	case WRONG_MAXIMUM:
	case WRONG_EXCLUSIVE_MINIMUM:
	case WRONG_EXCLUSIVE_MAXIMUM:
	case WRONG_MULTIPLE:
		say_bound(b, c);
		break;
	case WRONG_FEW:
	case WRONG_MANY:
		say_count(b, c);
		return;
	case WRONG_REQUIRED:
		buf_puts(b, "expected a member of this name, got none");
		return;
	case WRONG_NEVER:
		buf_puts(b, "expected nothing here");
		break;
	case WRONG_ANY:
		buf_printf(b, "expected to fit one of the %u schemas of anyOf", c->more);
		break;
	case WRONG_ONE:
		buf_printf(b, "expected to fit exactly one of the %u schemas of oneOf", c->node->one.n);
		break;
	case WRONG_NOT:
		buf_puts(b, "expected not to fit the schema of not");
		break;
	}
	say_got(b, c);
	if (c->wrong == WRONG_ONE)
		buf_puts(b, c->more == 0 ? ", which fits none" : ", which fits several");
}

static void
explain(const struct check *c, struct task_problem *p)
{
	struct span input = json_whole(&c->payload, c->token);
	struct buf words = { 0 };

	if (c->steps < 0) {
		problem_set(p, "invalid_payload", 0, "expected a payload that is checked in fewer than %d steps",
		    TASK_SCHEMA_STEPS);
		problem_point_text(p, "payload");
		p->input = json_whole(&c->payload, 0);
		return;
	}
	say(&words, c);
	ASSERT(words.len <= TASK_SCHEMA_DETAIL_MAX);
	problem_set(p, "invalid_payload", (size_t)(input.ptr - c->payload.text.ptr), "%s", buf_cstr(&words));
	p->input = input;
	problem_point_text(p, "payload");
	problem_point_token(p, &c->payload, c->token);
	if (c->wrong == WRONG_REQUIRED)
		problem_point_name(p, c->schema, c->more);
	buf_free(&words);
}

/* The pointer of the scanner begins at the payload. */
static void
explain_scan(struct task_problem *p)
{
	char inside[sizeof(p->pointer) - sizeof("/payload") + 1];

	snprintf(inside, sizeof(inside), "%.*s", (int)sizeof(inside) - 1, p->pointer);
	snprintf(p->pointer, sizeof(p->pointer), "/payload%s", inside);
	p->code = "invalid_payload";
}

bool
task_schema_check(const struct task_schema *s, struct span payload, struct task_problem *problem_r)
{
	struct check c = { .schema = &s->scan, .steps = TASK_SCHEMA_STEPS + (int64_t)payload.len };
	bool good = json_scan(&c.payload, payload, problem_r);

	if (!good) {
		explain_scan(problem_r);
	} else if (!fits(&c, s->root, 0) || c.steps < 0) {
		explain(&c, problem_r);
		good = false;
	}
	json_scan_free(&c.payload);
	if (!good)
		problem_r->status = 422;
	return good;
}
