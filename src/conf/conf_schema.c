/* conf_schema.c - the payload schemas of a configuration: read with it, kept with it, freed with it.
 *
 * Files are read once, while the configuration is checked, so a schema belongs to its generation like any option: every process of it has
 * the same one, also one that starts long after the file has changed or gone.  What the text means is known on a higher floor:
 * conf_read_schemas().
 */
#include <string.h>

#include "conf/conf_int.h"

#define SCHEMA_FILE_MAX (64 * 1024)

struct schema {
	const char *path; /* in the arena */
	struct task_schema *schema;
};

static struct task_schema *(*schema_make)(struct span text, struct buf *why);
static void (*schema_drop)(struct task_schema **s);

void
conf_read_schemas(struct task_schema *(*make)(struct span text, struct buf *why), void (*drop)(struct task_schema **s))
{
	schema_make = make;
	schema_drop = drop;
}

static const struct task_schema *
schema_find(const struct conf_origin *g, const char *path)
{
	const struct schema *s = (const struct schema *)(const void *)g->schemas.data;

	for (size_t i = 0; i < g->schemas.len / sizeof(*s); i++)
		if (strcmp(s[i].path, path) == 0)
			return s[i].schema;
	return NULL;
}

bool
conf_schema_read(struct conf_origin *g, const char *path, struct buf *why)
{
	struct schema s = { NULL, NULL };
	struct buf reason = { 0 };
	size_t len;
	char *text;

	if (schema_make == NULL || schema_find(g, path) != NULL)
		return true;
	text = conf_file_read(path, SCHEMA_FILE_MAX, &len, why);
	if (text == NULL)
		return false;
	s.schema = schema_make((struct span){ text, len }, &reason);
	if (s.schema == NULL) {
		buf_printf(why, "\"%s\" is not a schema that taskqd knows: %s", path, buf_cstr(&reason));
	} else {
		s.path = arena_strdup(g->arena, path);
		buf_put(&g->schemas, &s, sizeof(s));
	}
	buf_free(&reason);
	mem_free(&text);
	return s.schema != NULL;
}

void
conf_schema_settle(struct conf *c)
{
	struct conf_origin *g = c->origin;

	if (g->schemas.len == 0)
		return;
	g->by_handler = arena_alloc(g->arena, (size_t)c->nhandlers * sizeof(struct task_schema *));
	for (int i = 0; i < c->nhandlers; i++)
		g->by_handler[i] = schema_find(g, c->handlers[i].schema);
}

const struct task_schema *
conf_handler_schema(const struct conf *c, const struct conf_handler *h)
{
	return c->origin->by_handler == NULL ? NULL : c->origin->by_handler[h - c->handlers];
}

void
conf_schema_free(struct conf_origin *g)
{
	struct schema *s = (struct schema *)(void *)g->schemas.data;

	for (size_t i = 0; i < g->schemas.len / sizeof(*s); i++)
		schema_drop(&s[i].schema);
	buf_free(&g->schemas);
}
