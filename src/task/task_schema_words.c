/* task_schema_words.c - what is said of a payload that does not fit its schema: where, what was expected, and what came.
 *
 * A payload may hold secrets and the answer may be logged: of what came only a short number is said again.
 */
#include <stdio.h>

#include "task/task_schema_int.h"

#define ECHO_MAX 40 /* bytes of a value that are said again */

static const char *
type_word(int type)
{
	static const char *const words[] = { "null", "boolean", "boolean", "number", "string", "array", "object" };

	return words[type];
}

/* A short number as it came, of everything else the type: what a payload holds is not said again. */
static void
say_got(struct buf *b, const struct schema_check *c)
{
	const struct json_token *t = &c->payload.tokens[c->token];

	buf_puts(b, ", got ");
	if (t->type == JSON_NUMBER && t->len <= ECHO_MAX &&
	    (c->wrong != SCHEMA_WRONG_TYPE || (c->node->types & SCHEMA_INTEGER)))
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
say_values(struct buf *b, const struct schema_check *c, const struct schema_values *v)
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
say_bound(struct buf *b, const struct schema_check *c)
{
	static const char *const how[] = {
		[SCHEMA_WRONG_MINIMUM] = "at least",
		[SCHEMA_WRONG_MAXIMUM] = "at most",
		[SCHEMA_WRONG_EXCLUSIVE_MINIMUM] = "more than",
		[SCHEMA_WRONG_EXCLUSIVE_MAXIMUM] = "less than",
		[SCHEMA_WRONG_MULTIPLE] = "a multiple of",
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
say_count(struct buf *b, const struct schema_check *c)
{
	int type = c->payload.tokens[c->token].type;
	const char *things = type == JSON_STRING ? "character" : type == JSON_ARRAY ? "item" : "member";

	buf_printf(b, "expected at %s %u %s%s, got %u", c->wrong == SCHEMA_WRONG_FEW ? "least" : "most", c->bound,
	    things, c->bound == 1 ? "" : "s", c->more);
}

static void
say(struct buf *b, const struct schema_check *c)
{
	switch (c->wrong) {
	case SCHEMA_WRONG_TYPE:
		say_types(b, c->node->types);
		break;
	case SCHEMA_WRONG_ENUM:
		say_values(b, c, &c->node->values[0]);
		break;
	case SCHEMA_WRONG_CONST:
		say_values(b, c, &c->node->values[1]);
		break;
	case SCHEMA_WRONG_MINIMUM:
	case SCHEMA_WRONG_MAXIMUM:
	case SCHEMA_WRONG_EXCLUSIVE_MINIMUM:
	case SCHEMA_WRONG_EXCLUSIVE_MAXIMUM:
	case SCHEMA_WRONG_MULTIPLE:
		say_bound(b, c);
		break;
	case SCHEMA_WRONG_FEW:
	case SCHEMA_WRONG_MANY:
		say_count(b, c);
		return;
	case SCHEMA_WRONG_REQUIRED:
		buf_puts(b, "expected a member of this name, got none");
		return;
	case SCHEMA_WRONG_NEVER:
		buf_puts(b, "expected nothing here");
		break;
	case SCHEMA_WRONG_ANY:
		buf_printf(b, "expected to fit one of the %u schemas of anyOf", c->more);
		break;
	case SCHEMA_WRONG_ONE:
		buf_printf(b, "expected to fit exactly one of the %u schemas of oneOf", c->node->one.n);
		break;
	case SCHEMA_WRONG_NOT:
		buf_puts(b, "expected not to fit the schema of not");
		break;
	}
	say_got(b, c);
	if (c->wrong == SCHEMA_WRONG_ONE)
		buf_puts(b, c->more == 0 ? ", which fits none" : ", which fits several");
}

void
schema_explain(const struct schema_check *c, struct task_problem *p)
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
	if (c->wrong == SCHEMA_WRONG_REQUIRED)
		problem_point_name(p, c->schema, c->more);
	buf_free(&words);
}

void
schema_explain_scan(struct task_problem *p)
{
	char inside[sizeof(p->pointer) - sizeof("/payload") + 1];

	snprintf(inside, sizeof(inside), "%.*s", (int)sizeof(inside) - 1, p->pointer);
	snprintf(p->pointer, sizeof(p->pointer), "/payload%s", inside);
	p->code = "invalid_payload";
}
