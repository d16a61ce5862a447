/* task_schema_read.c - the text of a schema becomes nodes.
 *
 * What several $ref name is read once.  Reading goes at most TASK_SCHEMA_NESTING_MAX schemas deep.
 * Next: task_schema_keyword.c, then task_schema_check.c.
 */
#include <string.h>

#include "task/task_schema_int.h"

bool
schema_refuse(struct schema_reader *r, uint32_t token, const char *fmt, ...)
{
	struct task_problem at = { 0 };
	va_list ap;

	problem_point_token(&at, &r->s->scan, token);
	buf_printf(r->why, "at \"%s\": ", at.pointer);
	va_start(ap, fmt);
	buf_vprintf(r->why, fmt, ap);
	va_end(ap);
	return false;
}

static enum json_type
type_of(const struct schema_reader *r, uint32_t token)
{
	return (enum json_type)r->s->scan.tokens[token].type;
}

static bool
read_keywords(struct schema_reader *r, struct schema_node *node)
{
	const struct json_token *tokens = r->s->scan.tokens;

	for (uint32_t name = node->token + 1; name < tokens[node->token].next; name = tokens[name + 1].next)
		if (!schema_keyword_read(r, node, name))
			return false;
	return true;
}

static void
raise_height(struct schema_node *node, const struct schema_node *child)
{
	if (child != NULL && child->height >= node->height)
		node->height = child->height + 1;
}

static void
measure(struct schema_node *node)
{
	const struct schema_list *lists[] = { &node->first_items, &node->all, &node->any, &node->one, &node->no,
		&node->ref };

	node->height = 1;
	raise_height(node, node->others);
	raise_height(node, node->items);
	for (uint32_t i = 0; i < node->nmembers; i++)
		raise_height(node, node->members[i].node);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (uint32_t k = 0; k < lists[i]->n; k++)
			raise_height(node, lists[i]->nodes[k]);
}

static struct schema_node *
node_new(struct schema_reader *r, uint32_t token)
{
	struct schema_node *node = arena_alloc(r->s->arena, sizeof(*node));

	r->node_of[token] = node;
	node->token = token;
	node->max_length = node->max_items = node->max_members = UINT32_MAX;
	node->never = type_of(r, token) == JSON_FALSE;
	return node;
}

/* A schema that was read before, by its name in $defs, is the same node. */
const struct schema_node *
schema_node_read(struct schema_reader *r, uint32_t token)
{
	struct schema_node *node = r->node_of[token];
	bool plain = type_of(r, token) == JSON_TRUE || type_of(r, token) == JSON_FALSE;
	bool good;

	if (!plain && type_of(r, token) != JSON_OBJECT) {
		schema_refuse(r, token, "expected a schema: an object, true or false");
		return NULL;
	}
	if (r->depth + (node != NULL ? node->height : 1) > TASK_SCHEMA_NESTING_MAX) {
		schema_refuse(r, token, "expected at most %d schemas in each other", TASK_SCHEMA_NESTING_MAX);
		return NULL;
	}
	if (node != NULL)
		return node;
	node = node_new(r, token);
	r->depth++;
	good = plain || read_keywords(r, node);
	r->depth--;
	measure(node);
	return good ? node : NULL;
}

struct task_schema *
task_schema_new(struct span text, struct buf *why)
{
	struct task_schema *s = mem_zalloc(sizeof(*s));
	struct schema_reader r = { .s = s, .why = why };
	struct task_problem p;

	s->text = mem_alloc(text.len + 1);
	memcpy(s->text, text.ptr, text.len);
	s->arena = arena_new(4096);
	if (text.len > TASK_SCHEMA_BYTES_MAX) {
		buf_printf(why, "expected at most %d kB", TASK_SCHEMA_BYTES_MAX / 1024);
	} else if (!json_scan(&s->scan, (struct span){ s->text, text.len }, &p)) {
		buf_printf(why, "not JSON at byte %zu: %s", p.offset, p.detail);
	} else {
		r.node_of = mem_zalloc(s->scan.ntokens * sizeof(struct schema_node *));
		s->root = schema_node_read(&r, 0);
		mem_free(&r.node_of);
	}
	if (s->root == NULL)
		task_schema_free(&s);
	return s;
}

void
task_schema_free(struct task_schema **s)
{
	if (*s == NULL)
		return;
	if ((*s)->scan.tokens != NULL)
		json_scan_free(&(*s)->scan);
	arena_free(&(*s)->arena);
	mem_free(&(*s)->text);
	mem_free(s);
}
