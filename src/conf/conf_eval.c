/* conf_eval.c - libConfuse evaluates the clean text of one file: quotes, escapes, variables, lists, sections.
 *
 * Every option is a list of texts to it; types, units and bounds are ours, so that a wrong value does not end the reading.  The
 * schema comes from the table.  libConfuse keeps state of its own between calls: one evaluation at a time, and only of
 * text that the scan found whole.
 */
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_int.h"

#define OPTIONS_MAX 64 /* of one section, with the end mark; asserted */

struct conf_eval {
	cfg_t *root;
	const char **texts; /* of the last conf_eval_texts() */
};

static struct buf *complaint; /* libConfuse's error function has no argument of ours */

static void
on_error(cfg_t *cfg UNUSED, const char *fmt, va_list ap)
{
	if (complaint->len == 0)
		buf_vprintf(complaint, fmt, ap);
}

static cfg_opt_t
list_option(const char *name)
{
	cfg_opt_t o[] = { CFG_STR_LIST("", NULL, CFGF_NODEFAULT) };

	o[0].name = name;
	return o[0];
}

static int
schema_of_section(enum conf_section_id section, cfg_opt_t *opts)
{
	int n = 0;

	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o)) {
		ASSERT(n < OPTIONS_MAX - CONF_SECTIONS - 3);
		opts[n++] = list_option(o->name);
	}
	if (conf_sections[section].titled)
		opts[n++] = list_option("title");
	return n;
}

static cfg_t *
schema_init(void)
{
	static cfg_opt_t members[CONF_SECTIONS][OPTIONS_MAX]; /* cfg_init() copies */
	cfg_opt_t *top = members[CONF_SECTION_top];
	cfg_opt_t end[] = { CFG_END() };
	int n = schema_of_section(CONF_SECTION_top, top);

	top[n++] = list_option("include");
	for (int i = 0; i < CONF_SECTIONS; i++) {
		cfg_opt_t section[] = { CFG_SEC("", members[i], CFGF_NODEFAULT) };

		if (i == CONF_SECTION_top)
			continue;
		members[i][schema_of_section((enum conf_section_id)i, members[i])] = end[0];
		section[0].name = conf_sections[i].name;
		if (conf_sections[i].titled)
			section[0].flags = CFGF_MULTI | CFGF_TITLE;
		top[n++] = section[0];
	}
	top[n] = end[0];
	return cfg_init(top, CFGF_NONE);
}

struct conf_eval *
conf_eval_new(const char *clean, struct buf *why)
{
	struct conf_eval *e = mem_zalloc(sizeof(*e));

	e->root = schema_init();
	ASSERT(e->root != NULL);
	cfg_set_error_function(e->root, on_error);
	complaint = why;
	if (cfg_parse_buf(e->root, clean) != CFG_SUCCESS) {
		if (why->len == 0)
			buf_puts(why, "libConfuse could not read the file");
		conf_eval_free(&e);
	}
	complaint = NULL;
	return e;
}

void
conf_eval_free(struct conf_eval **e)
{
	if (*e == NULL)
		return;
	MUST(cfg_free((*e)->root) == CFG_SUCCESS);
	mem_free(&(*e)->texts);
	mem_free(e);
}

/* The section whose title is the number; they stand in the order of the file, each kind on its own. */
static cfg_t *
section_of(cfg_t *root, const struct conf_item *item)
{
	const char *name = conf_sections[item->section].name;
	char number[16];

	if (item->section == CONF_SECTION_top)
		return root;
	if (!conf_sections[item->section].titled)
		return cfg_getsec(root, name);
	snprintf(number, sizeof(number), "%d", item->number);
	return cfg_gettsec(root, name, number);
}

const char *const *
conf_eval_texts(struct conf_eval *e, const struct conf_item *item, int *n_r)
{
	cfg_t *section = section_of(e->root, item);
	const char *name = "title";
	unsigned n;

	ASSERT(section != NULL);
	if (item->kind == CONF_ITEM_INCLUDE)
		name = "include";
	else if (item->kind == CONF_ITEM_OPTION)
		name = item->option->name;
	n = cfg_size(section, name);
	e->texts = mem_resize(e->texts, (n + 1) * sizeof(*e->texts));
	for (unsigned i = 0; i < n; i++)
		e->texts[i] = cfg_getnstr(section, name, i);
	e->texts[n] = NULL;
	*n_r = (int)n;
	return e->texts;
}
