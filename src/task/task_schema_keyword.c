/* task_schema_keyword.c - what each keyword of a schema may be, and where it goes.
 *
 * The keywords are the table at the end: name, reader, place.  What is not in it is refused: a keyword that were left out silently would
 * let through what its author meant to keep out.  A new one is a row and its reader here, a place in struct schema_node, and its check
 * in task_schema_check.c; taskq.conf(5) states which there are.
 */
#include <stdlib.h>
#include <string.h>

#include "task/task_schema_int.h"

#define DRAFT "https://json-schema.org/draft/2020-12/schema"
#define DIGITS_MAX 18        /* of multipleOf */
#define EXPONENT_MAX 1000000 /* of numbers */
#define COUNT_DIGITS_MAX 9

struct keyword {
	const char *name;
	bool (*take)(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value);
	size_t place;
};

static enum json_type
type_of(const struct schema_reader *r, uint32_t token)
{
	return (enum json_type)r->s->scan.tokens[token].type;
}

static uint32_t
next_of(const struct schema_reader *r, uint32_t token)
{
	return r->s->scan.tokens[token].next;
}

static void *
place_of(struct schema_node *node, const struct keyword *k)
{
	return (char *)node + k->place;
}

/* --- annotations --------------------------------------------------------------------------------------------------- */

static bool
take_nothing(struct schema_reader *r UNUSED, const struct keyword *k UNUSED, struct schema_node *node UNUSED,
    uint32_t value UNUSED)
{
	return true;
}

/* Inside, it would give the references another base. */
static bool
take_id(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	return node->token == 0 || schema_refuse(r, value, "expected %s at the top of the schema only", k->name);
}

/* In other drafts the same words mean other things. */
static bool
take_draft(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	if (type_of(r, value) != JSON_STRING || !json_text_is(&r->s->scan, value, DRAFT))
		return schema_refuse(r, value, "expected \"" DRAFT "\"");
	return take_id(r, k, node, value);
}

/* --- types and values ---------------------------------------------------------------------------------------------- */

static unsigned
type_bit(const struct schema_reader *r, uint32_t value)
{
	static const struct {
		const char *name;
		unsigned bits;
	} types[] = {
		{ "null", 1u << JSON_NULL },
		{ "boolean", 1u << JSON_FALSE | 1u << JSON_TRUE },
		{ "number", 1u << JSON_NUMBER },
		{ "integer", SCHEMA_INTEGER },
		{ "string", 1u << JSON_STRING },
		{ "array", 1u << JSON_ARRAY },
		{ "object", 1u << JSON_OBJECT },
	};

	for (size_t i = 0; type_of(r, value) == JSON_STRING && i < ARRAY_LEN(types); i++)
		if (json_text_is(&r->s->scan, value, types[i].name))
			return types[i].bits;
	return 0;
}

static bool
take_type(struct schema_reader *r, const struct keyword *k UNUSED, struct schema_node *node, uint32_t value)
{
	bool list = type_of(r, value) == JSON_ARRAY && next_of(r, value) > value + 1;

	for (uint32_t at = list ? value + 1 : value, end = next_of(r, value); at < end; at = next_of(r, at)) {
		unsigned bits = type_bit(r, at);

		if (bits == 0)
			return schema_refuse(r, at,
			    "expected null, boolean, number, integer, string, array or object, or an array of them");
		node->types |= bits;
	}
	return true;
}

/* For the C library's sort, which takes no argument. */
static const struct json_scan *sorting;

static int
compare_values(const void *a, const void *b)
{
	return json_value_cmp(sorting, *(const uint32_t *)a, sorting, *(const uint32_t *)b);
}

/* The values of an array, or one value alone, sorted. */
static struct schema_values
values_of(struct schema_reader *r, uint32_t value, bool array)
{
	struct schema_values v = { NULL, 0 };
	uint32_t end = next_of(r, value);

	v.tokens = arena_alloc(r->s->arena, (size_t)(end - value) * sizeof(*v.tokens));
	for (uint32_t at = array ? value + 1 : value; at < end; at = next_of(r, at))
		v.tokens[v.n++] = at;
	sorting = &r->s->scan;
	if (v.n > 1)
		qsort(v.tokens, v.n, sizeof(*v.tokens), compare_values);
	return v;
}

static bool
number_is_modest(struct schema_reader *r, uint32_t value)
{
	struct json_decimal d = json_decimal(json_raw(&r->s->scan, value));

	return d.high <= EXPONENT_MAX && d.low >= -EXPONENT_MAX;
}

/* Exactness is promised for numbers of a modest exponent on one side. */
static bool
check_numbers(struct schema_reader *r, uint32_t value)
{
	for (uint32_t at = value; at < next_of(r, value); at++)
		if (type_of(r, at) == JSON_NUMBER && !number_is_modest(r, at))
			return schema_refuse(r, at, "expected a number with an exponent of at most %d", EXPONENT_MAX);
	return true;
}

static bool
take_enum(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	if (type_of(r, value) != JSON_ARRAY || next_of(r, value) == value + 1)
		return schema_refuse(r, value, "expected an array of at least one value");
	*(struct schema_values *)place_of(node, k) = values_of(r, value, true);
	return check_numbers(r, value);
}

static bool
take_const(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	*(struct schema_values *)place_of(node, k) = values_of(r, value, false);
	return check_numbers(r, value);
}

/* --- numbers and lengths ------------------------------------------------------------------------------------------- */

static bool
take_number(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	if (type_of(r, value) != JSON_NUMBER)
		return schema_refuse(r, value, "expected a number");
	*(uint32_t *)place_of(node, k) = value;
	return check_numbers(r, value);
}

static bool
take_multiple(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	struct json_decimal d;

	if (!take_number(r, k, node, value))
		return false;
	d = json_decimal(json_raw(&r->s->scan, value));
	if (d.first == NULL || d.negative || json_decimal_digits(&d) > DIGITS_MAX)
		return schema_refuse(r, value, "expected a number greater than 0 of at most %d digits", DIGITS_MAX);
	return true;
}

static bool
take_count(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	struct span raw = json_raw(&r->s->scan, value);
	uint32_t n = 0;

	if (type_of(r, value) != JSON_NUMBER || !(r->s->scan.tokens[value].flags & JSON_INTEGER) ||
	    raw.len > COUNT_DIGITS_MAX || raw.ptr[0] == '-')
		return schema_refuse(r, value, "expected an integer from 0 to 999999999");
	for (size_t i = 0; i < raw.len; i++)
		n = 10 * n + (uint32_t)(raw.ptr[i] - '0');
	*(uint32_t *)place_of(node, k) = n;
	return true;
}

/* --- members and items --------------------------------------------------------------------------------------------- */

static bool
take_required(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	struct schema_values *v = place_of(node, k);

	if (type_of(r, value) != JSON_ARRAY)
		return schema_refuse(r, value, "expected an array of names");
	for (uint32_t at = value + 1; at < next_of(r, value); at = next_of(r, at))
		if (type_of(r, at) != JSON_STRING)
			return schema_refuse(r, at, "expected a name, a string");
	*v = values_of(r, value, true);
	for (uint32_t i = 1; i < v->n; i++)
		if (json_text_cmp(&r->s->scan, v->tokens[i - 1], v->tokens[i]) == 0)
			return schema_refuse(r, v->tokens[i], "expected each name once");
	return true;
}

/* The names of an object are linked in their order. */
static bool
take_members(struct schema_reader *r, const struct keyword *k UNUSED, struct schema_node *node, uint32_t value)
{
	const struct json_token *tokens = r->s->scan.tokens;

	if (type_of(r, value) != JSON_OBJECT)
		return schema_refuse(r, value, "expected an object of schemas");
	node->members = arena_alloc(r->s->arena, (size_t)(next_of(r, value) - value) * sizeof(*node->members));
	for (uint32_t name = tokens[value].link; name != 0; name = tokens[name].link) {
		struct schema_member *m = &node->members[node->nmembers++];

		m->name = name;
		m->node = schema_node_read(r, name + 1);
		if (m->node == NULL)
			return false;
	}
	return true;
}

static bool
take_one(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	const struct schema_node *child = schema_node_read(r, value);

	*(const struct schema_node **)place_of(node, k) = child;
	return child != NULL;
}

static bool
list_add(struct schema_reader *r, struct schema_list *list, uint32_t value)
{
	const struct schema_node *child = schema_node_read(r, value);

	list->nodes[list->n++] = child;
	return child != NULL;
}

static bool
take_list(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	struct schema_list *list = place_of(node, k);

	if (type_of(r, value) != JSON_ARRAY || next_of(r, value) == value + 1)
		return schema_refuse(r, value, "expected an array of at least one schema");
	list->nodes = arena_alloc(r->s->arena, (size_t)(next_of(r, value) - value) * sizeof(void *));
	for (uint32_t at = value + 1; at < next_of(r, value); at = next_of(r, at))
		if (!list_add(r, list, at))
			return false;
	return true;
}

static bool
take_single(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	struct schema_list *list = place_of(node, k);

	list->nodes = arena_alloc(r->s->arena, sizeof(void *));
	return list_add(r, list, value);
}

/* --- definitions --------------------------------------------------------------------------------------------------- */

static bool
take_defs(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	const struct json_token *tokens = r->s->scan.tokens;

	if (!take_id(r, k, node, value))
		return false;
	if (type_of(r, value) != JSON_OBJECT)
		return schema_refuse(r, value, "expected an object of schemas");
	for (uint32_t name = tokens[value].link; name != 0; name = tokens[name].link)
		if (schema_node_read(r, name + 1) == NULL)
			return false;
	return true;
}

static uint32_t
member_of(const struct schema_reader *r, uint32_t object, const char *name)
{
	const struct json_token *tokens = r->s->scan.tokens;

	if (object != UINT32_MAX && tokens[object].type == JSON_OBJECT)
		for (uint32_t at = tokens[object].link; at != 0; at = tokens[at].link)
			if (json_text_is(&r->s->scan, at, name))
				return at + 1;
	return UINT32_MAX;
}

/* ~0 and ~1 of a JSON Pointer undone, in place; false when it has more steps than one or a sign of its own kind. */
static bool
pointer_step(char *step)
{
	char *to = step;

	for (; *step != '\0'; step++) {
		if (*step == '/' || *step == '%' || (*step & 0x80) != 0)
			return false;
		if (*step == '~') {
			step++;
			if (*step != '0' && *step != '1')
				return false;
			*to++ = *step == '0' ? '~' : '/';
		} else {
			*to++ = *step;
		}
	}
	*to = '\0';
	return true;
}

static bool
take_ref(struct schema_reader *r, const struct keyword *k, struct schema_node *node, uint32_t value)
{
	static const char prefix[] = "#/$defs/";
	char *text;
	uint32_t to;

	if (type_of(r, value) != JSON_STRING)
		return schema_refuse(r, value, "expected a string \"#/$defs/NAME\"");
	text = arena_spandup(r->s->arena, json_text(&r->s->scan, value, r->s->arena));
	if (strncmp(text, prefix, strlen(prefix)) != 0 || !pointer_step(text + strlen(prefix)))
		return schema_refuse(r, value, "expected \"#/$defs/NAME\" with a NAME in ASCII and without %%");
	to = member_of(r, member_of(r, 0, "$defs"), text + strlen(prefix));
	if (to == UINT32_MAX)
		return schema_refuse(r, value, "there is no such schema in $defs");
	if (r->node_of[to] != NULL && r->node_of[to]->height == 0)
		return schema_refuse(r, value, "leads back to itself, which is not supported");
	return take_single(r, k, node, to);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

#define PLACE(member) offsetof(struct schema_node, member)

static const struct keyword keywords[] = {
	{ "$schema", take_draft, 0 },
	{ "$id", take_id, 0 },
	{ "$comment", take_nothing, 0 },
	{ "title", take_nothing, 0 },
	{ "description", take_nothing, 0 },
	{ "default", take_nothing, 0 },
	{ "examples", take_nothing, 0 },
	{ "deprecated", take_nothing, 0 },
	{ "readOnly", take_nothing, 0 },
	{ "writeOnly", take_nothing, 0 },
	{ "format", take_nothing, 0 },
	{ "$defs", take_defs, 0 },
	{ "$ref", take_ref, PLACE(ref) },
	{ "type", take_type, 0 },
	{ "enum", take_enum, PLACE(values[0]) },
	{ "const", take_const, PLACE(values[1]) },
	{ "minimum", take_number, PLACE(minimum) },
	{ "maximum", take_number, PLACE(maximum) },
	{ "exclusiveMinimum", take_number, PLACE(exclusive_minimum) },
	{ "exclusiveMaximum", take_number, PLACE(exclusive_maximum) },
	{ "multipleOf", take_multiple, PLACE(multiple) },
	{ "minLength", take_count, PLACE(min_length) },
	{ "maxLength", take_count, PLACE(max_length) },
	{ "properties", take_members, 0 },
	{ "additionalProperties", take_one, PLACE(others) },
	{ "required", take_required, PLACE(required) },
	{ "minProperties", take_count, PLACE(min_members) },
	{ "maxProperties", take_count, PLACE(max_members) },
	{ "prefixItems", take_list, PLACE(first_items) },
	{ "items", take_one, PLACE(items) },
	{ "minItems", take_count, PLACE(min_items) },
	{ "maxItems", take_count, PLACE(max_items) },
	{ "allOf", take_list, PLACE(all) },
	{ "anyOf", take_list, PLACE(any) },
	{ "oneOf", take_list, PLACE(one) },
	{ "not", take_single, PLACE(no) },
};

static bool
refuse_keyword(struct schema_reader *r, uint32_t name)
{
	schema_refuse(r, name, "not supported, expected only");
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		buf_printf(r->why, "%s%s", i == 0 ? " " : ", ", keywords[i].name);
	return false;
}

bool
schema_keyword_read(struct schema_reader *r, struct schema_node *node, uint32_t name)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (json_text_is(&r->s->scan, name, keywords[i].name))
			return keywords[i].take(r, &keywords[i], node, name + 1);
	return refuse_keyword(r, name);
}
