/* conf.c - the life of a loaded configuration: found in, compared, freed. */
#include "conf/conf.h"

#include <string.h>

#include "conf/conf_int.h"

void
conf_free(struct conf **c)
{
	if (*c == NULL)
		return;
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (conf_sections[i].titled) {
			void *array;

			memcpy(&array, (char *)*c + conf_sections[i].offset, sizeof(array));
			mem_free(&array);
		}
	conf_schema_free((*c)->origin);
	conf_rules_free((*c)->origin);
	arena_free(&(*c)->origin->arena);
	buf_free(&(*c)->origin->said);
	mem_free(&(*c)->origin);
	mem_free(c);
}

static int
compare(struct span a, const char *b)
{
	size_t lb = strlen(b), least = a.len < lb ? a.len : lb;
	int order = least == 0 ? 0 : memcmp(a.ptr, b, least);

	return order != 0 ? order : (a.len > lb) - (a.len < lb);
}

/* Titled sections are sorted by their titles. */
static void *
titled_find(const struct conf *c, enum conf_section_id section, struct span title)
{
	int low = 0, high = conf_section_count(c, section);

	while (low < high) {
		int middle = low + (high - low) / 2;
		void *members = conf_members(c, section, middle);
		int order = compare(title, conf_members_title(section, members));

		if (order == 0)
			return members;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct conf_handler *
conf_handler_find(const struct conf *c, struct span task_type)
{
	return titled_find(c, CONF_SECTION_handler, task_type);
}

void
conf_handler_kind(const struct conf_handler *h, struct buf *out)
{
	conf_value_print(conf_option_find(CONF_SECTION_handler, SPAN("kind")), h, out);
}

const struct conf_queue *
conf_queue_find(const struct conf *c, struct span queue)
{
	return titled_find(c, CONF_SECTION_queue, queue);
}

void
conf_queue_option(const struct conf_queue *q, const char *option, struct buf *out)
{
	conf_value_print(conf_option_find(CONF_SECTION_queue, span_of(option)), q, out);
}

#define THOUSANDTH_DAYS INT64_C(86400000000000) /* us in a day, times the thousandths of one start */

int64_t
conf_rate_interval(int64_t rate)
{
	return rate == 0 ? 0 : (THOUSANDTH_DAYS + rate - 1) / rate;
}

/* The texts stay alive in the arena of `fresh`. */
static void
copy_value(const struct conf_option *o, struct conf *fresh, const struct conf *old)
{
	char *to = (char *)conf_members(fresh, o->section, 0) + o->offset;
	const char *from = (const char *)conf_members(old, o->section, 0) + o->offset;
	struct arena *arena = fresh->origin->arena;
	struct conf_list list;

	switch (o->type) {
	case CONF_BOOL:
		memcpy(to, from, sizeof(bool));
		break;
	case CONF_INT:
	case CONF_COUNT:
	case CONF_WORD:
		memcpy(to, from, sizeof(int));
		break;
	case CONF_TIME:
	case CONF_SIZE:
	case CONF_RATE:
		memcpy(to, from, sizeof(int64_t));
		break;
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_SECRET:
		*(const char **)(void *)to = arena_strdup(arena, *(const char *const *)(const void *)from);
		break;
	case CONF_LIST:
	case CONF_SECRETS:
		list = *(const struct conf_list *)(const void *)from;
		list.items = arena_alloc(arena, ((size_t)list.n + 1) * sizeof(*list.items));
		for (int i = 0; i < list.n; i++)
			list.items[i] = arena_strdup(arena, ((const struct conf_list *)(const void *)from)->items[i]);
		memcpy(to, &list, sizeof(list));
		break;
	}
}

/* Options of titled sections are all of the RELOAD kind; a section may come and go. */
void
conf_keep_restart_options(struct conf *fresh, const struct conf *old, struct buf *notes)
{
	struct buf was = { 0 }, wants = { 0 };

	for (const struct conf_option *o = conf_options; o < conf_options + conf_noptions; o++) {
		if (o->when != CONF_RESTART)
			continue;
		ASSERT(!conf_sections[o->section].titled);
		buf_reset(&was);
		buf_reset(&wants);
		conf_value_print(o, conf_members(old, o->section, 0), &was);
		conf_value_print(o, conf_members(fresh, o->section, 0), &wants);
		if (strcmp(buf_cstr(&was), buf_cstr(&wants)) == 0)
			continue;
		copy_value(o, fresh, old);
		conf_option_label(o, NULL, notes);
		if (o->type == CONF_SECRET || o->type == CONF_SECRETS)
			buf_puts(notes, " has changed and needs a restart\n");
		else
			buf_printf(
			    notes, " stays %s, the change to %s needs a restart\n", buf_cstr(&was), buf_cstr(&wants));
	}
	buf_free(&was);
	buf_free(&wants);
}
