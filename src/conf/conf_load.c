/* conf_load.c - a file and all it includes become one struct conf.
 *
 * Statements take effect in their order; an include line stands for the files it names, sorted.  Options said later win; a titled
 * section said in a later file replaces the earlier one as a whole, the same title twice in one file is an error.  Nothing stops
 * the reading but the syntax error of a file, which ends that file only.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/conf_int.h"

/* A file being read, and the one that includes it. */
struct reading {
	const struct conf_source *source;
	const struct reading *parent;
	dev_t dev;
	ino_t ino;
	int depth;
	struct conf_eval *eval;
	int *titled; /* number of a titled section in this file -> index of its element */
	int ntitled;
};

struct loading {
	struct conf *conf;
	struct conf_problems problems;
	int nfiles;
};

static void
defaults(struct conf *c, enum conf_section_id section, void *members)
{
	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o))
		conf_value_default(o, members, c->origin->arena);
}

static struct conf *
conf_new(void)
{
	struct conf *c = mem_zalloc(sizeof(*c));

	c->origin = mem_zalloc(sizeof(*c->origin));
	c->origin->arena = arena_new(8192);
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (!conf_sections[i].titled)
			defaults(c, (enum conf_section_id)i, conf_members(c, (enum conf_section_id)i, 0));
	return c;
}

static int
title_find(const struct conf *c, enum conf_section_id section, const char *title)
{
	for (int i = 0; i < conf_section_count(c, section); i++)
		if (strcmp(conf_members_title(section, conf_members(c, section, i)), title) == 0)
			return i;
	return -1;
}

/* A new element with the title and defaults; returns its index. */
static int
element_add(struct conf *c, enum conf_section_id section)
{
	const struct conf_section *s = &conf_sections[section];
	int n = conf_section_count(c, section), grown = n + 1;
	char *array;

	memcpy(&array, (char *)c + s->offset, sizeof(array));
	array = mem_resize(array, (size_t)grown * s->size);
	memcpy((char *)c + s->offset, &array, sizeof(array));
	memcpy((char *)c + s->count_offset, &grown, sizeof(grown));
	return n;
}

static void
element_reset(struct conf *c, enum conf_section_id section, int index, const char *title)
{
	char *members = conf_members(c, section, index);

	memset(members, 0, conf_sections[section].size);
	memcpy(members, &title, sizeof(title));
	defaults(c, section, members);
}

static void
apply_titled(struct loading *l, struct reading *r, const struct conf_item *item)
{
	struct conf *c = l->conf;
	int n, index;
	const char *const *texts = conf_eval_texts(r->eval, item, &n);
	const char *title = arena_strdup(c->origin->arena, n == 1 ? texts[0] : "");
	const char *name = conf_sections[item->section].name;
	const struct conf_said *earlier;

	index = title_find(c, item->section, title);
	earlier = index < 0 ? NULL : conf_origin_find(c->origin, item->section, title, NULL);
	if (earlier != NULL && earlier->source == r->source)
		conf_problem(&l->problems, r->source, item->line,
		    "section %s \"%s\" again, expected it once in a file (see line %d)", name, title, earlier->line);
	if (index >= 0)
		conf_check_titled(c, item->section, index, &l->problems); /* its last chance */
	else
		index = element_add(c, item->section);
	element_reset(c, item->section, index, title);
	conf_origin_forget(c->origin, item->section, title);
	conf_origin_say(
	    c->origin, &(struct conf_said){ NULL, item->section, title, NULL, r->source, item->line, item->cut });
	ASSERT(item->number == r->ntitled);
	r->titled = mem_resize(r->titled, (size_t)(r->ntitled + 1) * sizeof(*r->titled));
	r->titled[r->ntitled++] = index;
}

/* += : what the list had, and then the new texts. */
static void
append_list(struct conf_list *list, const struct conf_list *before, struct arena *arena)
{
	const char **items = arena_alloc(arena, (size_t)(before->n + list->n + 1) * sizeof(*items));

	memcpy(items, before->items, (size_t)before->n * sizeof(*items));
	memcpy(items + before->n, list->items, (size_t)list->n * sizeof(*items));
	list->items = items;
	list->n += before->n;
}

/* How --print-config may show a secret: by the files that hold all of it.  Null: not at all. */
static const char *
secret_origin(
    const struct conf_option *o, const struct conf_item *item, const char *const *texts, int n, struct arena *arena)
{
	struct buf text = { 0 };
	const char *kept;

	if ((o->type != CONF_SECRET && o->type != CONF_SECRETS) || item->append || n == 0)
		return NULL;
	for (int i = 0; i < n; i++)
		if (texts[i][0] != '@')
			return NULL;
	if (o->type == CONF_SECRETS)
		buf_puts(&text, "{ ");
	for (int i = 0; i < n; i++) {
		buf_puts(&text, i > 0 ? ", " : "");
		conf_text_quote(texts[i], &text);
	}
	if (o->type == CONF_SECRETS)
		buf_puts(&text, " }");
	kept = arena_strdup(arena, buf_cstr(&text));
	buf_free(&text);
	return kept;
}

static void
apply_option(struct loading *l, struct reading *r, const struct conf_item *item)
{
	const struct conf_option *o = item->option;
	struct conf *c = l->conf;
	void *members = conf_members(c, o->section, item->number < 0 ? 0 : r->titled[item->number]);
	const char *title = conf_members_title(o->section, members);
	struct conf_said said = { o, o->section, title, NULL, r->source, item->line, false };
	struct conf_list before = { NULL, 0 };
	struct buf why = { 0 }, label = { 0 };
	int n;
	const char *const *texts = conf_eval_texts(r->eval, item, &n);

	if (item->append)
		before = *(const struct conf_list *)(const void *)((char *)members + o->offset);
	said.secret = secret_origin(o, item, texts, n, c->origin->arena);
	if (!conf_value_set(o, members, texts, n, c->origin->arena, &why)) {
		conf_option_label(o, title, &label);
		conf_problem(&l->problems, r->source, item->line, "%s: %s", buf_cstr(&label), buf_cstr(&why));
	} else if (item->append) {
		append_list((struct conf_list *)(void *)((char *)members + o->offset), &before, c->origin->arena);
	}
	conf_origin_say(c->origin, &said);
	buf_free(&label);
	buf_free(&why);
}

static void read_file(struct loading *l, const char *path, const struct reading *parent, int line);

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The pattern against the directory of the including file. */
static void
resolve(const char *including, const char *pattern, struct buf *out)
{
	const char *slash = strrchr(including, '/');

	if (pattern[0] != '/' && slash != NULL)
		buf_put(out, including, (size_t)(slash - including) + 1);
	buf_puts(out, pattern);
}

static void
apply_include(struct loading *l, struct reading *r, const struct conf_item *item)
{
	int n;
	const char *const *texts = conf_eval_texts(r->eval, item, &n);
	const char *pattern = texts[item->number];
	struct buf path = { 0 };
	glob_t g;

	conf_check_plain(l->conf, &l->problems); /* before other files have their say */
	resolve(r->source->name, pattern, &path);
	if (pattern[0] == '\0') {
		conf_problem(&l->problems, r->source, item->line, "include \"\", expected a path");
	} else if (strpbrk(pattern, "*?[") == NULL) {
		read_file(l, buf_cstr(&path), r, item->line);
	} else {
		/* no match is fine; a directory that cannot be read is not */
		int rc = glob(buf_cstr(&path), GLOB_NOSORT | GLOB_ERR, NULL, &g);

		if (rc == 0) {
			qsort(g.gl_pathv, g.gl_pathc, sizeof(*g.gl_pathv), compare_paths);
			for (size_t i = 0; i < g.gl_pathc; i++)
				read_file(l, g.gl_pathv[i], r, item->line);
		} else if (rc != GLOB_NOMATCH) {
			conf_problem(&l->problems, r->source, item->line, "could not search \"%s\": %s",
			    buf_cstr(&path), strerror(errno));
		}
		globfree(&g);
	}
	buf_free(&path);
}

static void
apply_items(struct loading *l, struct reading *r, const struct conf_scan *scan)
{
	const struct conf_item *items = (const struct conf_item *)(const void *)scan->items.data;
	size_t n = scan->items.len / sizeof(*items);

	for (size_t i = 0; i < n; i++)
		switch (items[i].kind) {
		case CONF_ITEM_OPTION:
			if (!items[i].over)
				apply_option(l, r, &items[i]);
			break;
		case CONF_ITEM_TITLED:
			apply_titled(l, r, &items[i]);
			break;
		case CONF_ITEM_INCLUDE:
			apply_include(l, r, &items[i]);
			break;
		}
}

static void
read_text(struct loading *l, struct reading *r, struct span text)
{
	struct conf_scan scan = { { 0 }, { 0 } };
	struct buf why = { 0 };

	conf_scan(&scan, text, r->source, &l->problems);
	r->eval = conf_eval_new(buf_cstr(&scan.clean), &why);
	if (r->eval == NULL)
		conf_problem(&l->problems, r->source, 0, "%s", buf_cstr(&why));
	else
		apply_items(l, r, &scan);
	conf_eval_free(&r->eval);
	mem_free(&r->titled);
	conf_scan_free(&scan);
	buf_free(&why);
}

/* True when the file may be read now; else a problem has been noted at the include line. */
static bool
may_read(struct loading *l, const struct reading *r, int line)
{
	l->nfiles++;
	if (r->parent == NULL)
		return true;
	for (const struct reading *up = r->parent; up != NULL; up = up->parent)
		if (up->dev == r->dev && up->ino == r->ino) {
			conf_problem(&l->problems, r->parent->source, line,
			    "\"%s\" includes itself, expected no circle", r->source->name);
			return false;
		}
	if (r->depth > CONF_DEPTH_MAX)
		conf_problem(&l->problems, r->parent->source, line,
		    "includes are nested too deeply, expected at most %d", CONF_DEPTH_MAX);
	else if (l->nfiles > CONF_FILES_MAX)
		conf_problem(&l->problems, r->parent->source, line, "too many files are included, expected at most %d",
		    CONF_FILES_MAX);
	else
		return true;
	return false;
}

static const struct conf_source *
source_new(struct loading *l, const char *path)
{
	struct conf_source *s = arena_alloc(l->conf->origin->arena, sizeof(*s));

	s->name = arena_strdup(l->conf->origin->arena, path);
	s->order = l->nfiles;
	return s;
}

static void
read_file(struct loading *l, const char *path, const struct reading *parent, int line)
{
	const struct conf_source *source = source_new(l, path);
	struct reading r = { source, parent, 0, 0, parent == NULL ? 0 : parent->depth + 1, NULL, NULL, 0 };
	struct buf why = { 0 };
	struct stat st;
	size_t len;
	char *text;

	if (stat(path, &st) == 0) {
		r.dev = st.st_dev;
		r.ino = st.st_ino;
	}
	if (!may_read(l, &r, line))
		return;
	text = conf_file_read(path, CONF_FILE_MAX, &len, &why);
	if (text == NULL)
		conf_problem(&l->problems, parent == NULL ? source : parent->source, line, "%s", buf_cstr(&why));
	else
		read_text(l, &r, (struct span){ text, len });
	mem_free(&text);
	buf_free(&why);
}

static int
compare_titles(const void *a, const void *b)
{
	const char *x, *y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return strcmp(x, y);
}

/* conf_handler_find() searches by halves. */
static void
sort_titled(struct conf *c)
{
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (conf_sections[i].titled && conf_section_count(c, (enum conf_section_id)i) > 1)
			qsort(conf_members(c, (enum conf_section_id)i, 0),
			    (size_t)conf_section_count(c, (enum conf_section_id)i), conf_sections[i].size,
			    compare_titles);
}

static void
check_all(struct loading *l)
{
	conf_check_plain(l->conf, &l->problems);
	for (int i = 0; i < CONF_SECTIONS; i++)
		for (int k = 0; conf_sections[i].titled && k < conf_section_count(l->conf, (enum conf_section_id)i);
		     k++)
			conf_check_titled(l->conf, (enum conf_section_id)i, k, &l->problems);
	conf_check_whole(l->conf, &l->problems);
}

struct conf *
conf_load(const char *path, struct buf *errors)
{
	struct loading l = { conf_new(), { { 0 } }, 0 };

	if (path != NULL)
		read_file(&l, path, NULL, 0);
	sort_titled(l.conf);
	check_all(&l);
	if (conf_problems_count(&l.problems) > 0) {
		conf_free(&l.conf);
	} else {
		conf_schema_settle(l.conf);
		conf_rules_settle(l.conf);
	}
	conf_problems_flush(&l.problems, errors);
	return l.conf;
}
