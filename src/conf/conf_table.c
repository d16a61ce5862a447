/* conf_table.c - options.def as data, and how to find one's way in it. */
#include <string.h>

#include "conf/conf_int.h"

/* The members of the top level are those of struct conf itself. */
#define conf_top conf

const struct conf_section conf_sections[CONF_SECTIONS] = {
#define TOP(words) { "", words, "", false, 0, 0, 0 },
#define SECTION(name, words) { #name, words, "", false, offsetof(struct conf, name), 0, 0 },
#define TITLED(name, words, example) \
	{ #name, words, example, true, offsetof(struct conf, name##s), offsetof(struct conf, n##name##s), \
		sizeof(struct conf_##name) },
#include "conf/options.def"
};

const struct conf_option conf_options[] = {
#define OPTION(section, name, type, value, min, max, when, line, paragraph) \
	{ CONF_SECTION_##section, #name, CONF_##type, value, min, max, CONF_##when, line, paragraph, \
		offsetof(struct conf_##section, name) },
#include "conf/options.def"
};
const int conf_noptions = ARRAY_LEN(conf_options);

const struct conf_option *
conf_option_first(enum conf_section_id section)
{
	for (int i = 0; i < conf_noptions; i++)
		if (conf_options[i].section == section)
			return &conf_options[i];
	return NULL;
}

const struct conf_option *
conf_option_next(const struct conf_option *o)
{
	const struct conf_option *next = o + 1;

	return next < conf_options + conf_noptions && next->section == o->section ? next : NULL;
}

const struct conf_option *
conf_option_find(enum conf_section_id section, struct span name)
{
	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o))
		if (span_is(name, o->name))
			return o;
	return NULL;
}

int
conf_section_find(struct span name)
{
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (i != CONF_SECTION_top && span_is(name, conf_sections[i].name))
			return i;
	return -1;
}

#define NEAR_MAX 32 /* longer names are near to nothing */

static int
least(int a, int b, int c)
{
	int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits between two names, a swap of neighbours being one. */
static int
distance(struct span a, const char *b)
{
	int d[NEAR_MAX + 1][NEAR_MAX + 1];
	int la = (int)a.len, lb = (int)strlen(b);

	if (la > NEAR_MAX || lb > NEAR_MAX)
		return NEAR_MAX;
	for (int i = 0; i <= la; i++)
		d[i][0] = i;
	for (int j = 0; j <= lb; j++)
		d[0][j] = j;
	for (int i = 1; i <= la; i++)
		for (int j = 1; j <= lb; j++) {
			int change = d[i - 1][j - 1] + (a.ptr[i - 1] != b[j - 1]);

			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, change);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b[j - 2] && a.ptr[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, NEAR_MAX);
		}
	return d[la][lb];
}

const char *
conf_name_near(enum conf_section_id section, struct span wrong)
{
	const char *best = NULL;
	int limit = wrong.len < 5 ? 2 : 3; /* exclusive: a short name with two edits is another name */

	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o))
		if (distance(wrong, o->name) < limit) {
			limit = distance(wrong, o->name);
			best = o->name;
		}
	for (int i = 0; section == CONF_SECTION_top && i < CONF_SECTIONS; i++)
		if (i != CONF_SECTION_top && distance(wrong, conf_sections[i].name) < limit) {
			limit = distance(wrong, conf_sections[i].name);
			best = conf_sections[i].name;
		}
	return best;
}

void *
conf_members(const struct conf *c, enum conf_section_id section, int index)
{
	const struct conf_section *s = &conf_sections[section];
	char *array;

	if (!s->titled)
		return (char *)c + s->offset;
	ASSERT(index < conf_section_count(c, section));
	memcpy(&array, (const char *)c + s->offset, sizeof(array));
	return array + (size_t)index * s->size;
}

int
conf_section_count(const struct conf *c, enum conf_section_id section)
{
	int n = 1;

	if (conf_sections[section].titled)
		memcpy(&n, (const char *)c + conf_sections[section].count_offset, sizeof(n));
	return n;
}

const char *
conf_members_title(enum conf_section_id section, const void *members)
{
	const char *title = NULL;

	if (conf_sections[section].titled)
		memcpy(&title, members, sizeof(title));
	return title;
}

void
conf_option_label(const struct conf_option *o, const char *title, struct buf *out)
{
	const struct conf_section *s = &conf_sections[o->section];

	if (title != NULL)
		buf_printf(out, "%s \"%s\": %s", s->name, title, o->name);
	else if (o->section == CONF_SECTION_top)
		buf_puts(out, o->name);
	else
		buf_printf(out, "%s.%s", s->name, o->name);
}
