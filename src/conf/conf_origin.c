/* conf_origin.c - where each thing was said, and what is wrong where. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_int.h"

void
conf_origin_say(struct conf_origin *g, const struct conf_said *s)
{
	buf_put(&g->said, s, sizeof(*s));
}

static size_t
said_count(const struct conf_origin *g)
{
	return g->said.len / sizeof(struct conf_said);
}

static bool
same_title(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void
conf_origin_forget(struct conf_origin *g, enum conf_section_id section, const char *title)
{
	struct conf_said *s = (struct conf_said *)(void *)g->said.data;
	size_t n = said_count(g), kept = 0;

	for (size_t i = 0; i < n; i++)
		if (s[i].section != section || !same_title(s[i].title, title))
			s[kept++] = s[i];
	g->said.len = kept * sizeof(*s);
}

/* The last word counts. */
const struct conf_said *
conf_origin_find(
    const struct conf_origin *g, enum conf_section_id section, const char *title, const struct conf_option *o)
{
	const struct conf_said *s = (const struct conf_said *)(const void *)g->said.data;

	for (size_t i = said_count(g); i-- > 0;)
		if (s[i].section == section && s[i].option == o && same_title(s[i].title, title))
			return &s[i];
	return NULL;
}

#define PROBLEMS_MAX 1000 /* nobody reads more */

struct problem {
	const char *name; /* of the file, owned */
	int order;
	int line; /* 0: the file as a whole */
	size_t number;
	char *text;
};

/* A file that is included twice has each problem once. */
static bool
known(const struct conf_problems *p, const struct problem *x)
{
	const struct problem *have = (const struct problem *)(const void *)p->items.data;

	for (int i = 0; i < conf_problems_count(p); i++)
		if (have[i].line == x->line && strcmp(have[i].name, x->name) == 0 && strcmp(have[i].text, x->text) == 0)
			return true;
	return false;
}

void
conf_problem(struct conf_problems *p, const struct conf_source *source, int line, const char *fmt, ...)
{
	struct problem x = { mem_strdup(source->name), source->order, line, p->items.len, NULL };
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	x.text = buf_take(&text, NULL);
	if (conf_problems_count(p) >= PROBLEMS_MAX || known(p, &x)) {
		mem_free(&x.name);
		mem_free(&x.text);
	} else {
		buf_put(&p->items, &x, sizeof(x));
	}
}

int
conf_problems_count(const struct conf_problems *p)
{
	return (int)(p->items.len / sizeof(struct problem));
}

static int
compare(const void *av, const void *bv)
{
	const struct problem *a = av, *b = bv;

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

void
conf_problems_flush(struct conf_problems *p, struct buf *errors)
{
	struct problem *x = (struct problem *)(void *)p->items.data;
	int n = conf_problems_count(p);

	if (n > 0)
		qsort(x, (size_t)n, sizeof(*x), compare);
	for (int i = 0; i < n; i++) {
		if (x[i].line > 0)
			buf_printf(errors, "%s:%d: %s\n", x[i].name, x[i].line, x[i].text);
		else
			buf_printf(errors, "%s: %s\n", x[i].name, x[i].text);
		mem_free(&x[i].name);
		mem_free(&x[i].text);
	}
	buf_free(&p->items);
}
