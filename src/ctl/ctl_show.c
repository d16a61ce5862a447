/* ctl_show.c - answers as tables.  A column is as wide as its widest cell; numbers stand at the right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

#define CELL_MAX 60 /* characters of a text in a table */
#define COLUMNS_MAX 16

/* --- cells ---------------------------------------------------------------------------------------------------------------- */

static const json_t *
member_at(const json_t *o, const char *path)
{
	const char *slash = strchr(path, '/');
	char name[64];

	if (slash == NULL)
		return json_object_get(o, path);
	snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
	return member_at(json_object_get(o, name), slash + 1);
}

static void
cell_text(const json_t *value, struct buf *b)
{
	char *text;

	if (json_is_string(value)) {
		buf_puts(b, json_string_value(value));
	} else if (json_is_integer(value)) {
		buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_real(value)) {
		buf_printf(b, "%.6g", json_real_value(value));
	} else if (json_is_boolean(value)) {
		buf_puts(b, json_is_true(value) ? "yes" : "no");
	} else if (value == NULL || json_is_null(value)) {
		buf_puts(b, "-");
	} else {
		text = json_dumps(value, JSON_COMPACT);
		buf_puts(b, text != NULL ? text : "?");
		free(text);
	}
	if (b->len == 0)
		buf_puts(b, "-");
}

/* In a table: on one line, cut between characters, with nothing that could steer a terminal. */
static void
cell_short(const json_t *value, struct buf *b)
{
	size_t chars = 0, i;

	cell_text(value, b);
	for (i = 0; i < b->len && chars <= CELL_MAX; i++) {
		if ((unsigned char)b->data[i] < ' ' || b->data[i] == 127)
			b->data[i] = ' ';
		chars += (b->data[i] & 0xc0) != 0x80;
	}
	if (chars > CELL_MAX) {
		b->len = i - 1;
		buf_puts(b, "...");
	}
}

static int
width_of(struct buf *b)
{
	int n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += (b->data[i] & 0xc0) != 0x80;
	return n;
}

/* --- tables ----------------------------------------------------------------------------------------------------------------- */

static void
print_cell(const json_t *value, int width, bool last)
{
	struct buf b = { 0 };
	int pad;

	cell_short(value, &b);
	pad = width - width_of(&b);
	if (json_is_number(value))
		printf("%*s", pad, "");
	fwrite(b.data, 1, b.len, stdout);
	if (!json_is_number(value) && !last)
		printf("%*s", pad, "");
	if (!last)
		fputs("  ", stdout);
	buf_free(&b);
}

void
ctl_show_rows(const json_t *items, const struct ctl_column *columns, int n)
{
	int width[COLUMNS_MAX];
	size_t i;
	const json_t *item;

	ASSERT(n <= COLUMNS_MAX);
	for (int c = 0; c < n; c++) {
		width[c] = (int)strlen(columns[c].head);
		json_array_foreach((json_t *)items, i, item)
		{
			struct buf b = { 0 };

			cell_short(member_at(item, columns[c].member), &b);
			if (width[c] < width_of(&b))
				width[c] = width_of(&b);
			buf_free(&b);
		}
	}
	for (int c = 0; c < n; c++)
		printf("%-*s%s", c + 1 < n ? width[c] : 0, columns[c].head, c + 1 < n ? "  " : "\n");
	json_array_foreach((json_t *)items, i, item)
	{
		for (int c = 0; c < n; c++)
			print_cell(member_at(item, columns[c].member), width[c], c + 1 == n);
		putchar('\n');
	}
}

/* --- objects ----------------------------------------------------------------------------------------------------------------- */

static bool
is_table(const json_t *value)
{
	return json_is_array(value) && json_array_size(value) > 0 && json_is_object(json_array_get(value, 0));
}

/* All members of its first object are its columns. */
static void
show_table(const char *name, const json_t *items)
{
	struct ctl_column columns[COLUMNS_MAX];
	const char *member;
	json_t *value;
	int n = 0;

	printf("\n%s\n", name);
	json_object_foreach(json_array_get(items, 0), member, value)
	{
		if (n < COLUMNS_MAX)
			columns[n++] = (struct ctl_column){ member, member };
	}
	ctl_show_rows(items, columns, n);
}

void
ctl_show_object(const json_t *o)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)o, name, value)
	{
		struct buf b = { 0 };

		if (is_table(value))
			continue;
		cell_text(value, &b);
		printf("%-18s %s\n", name, buf_cstr(&b));
		buf_free(&b);
	}
	json_object_foreach((json_t *)o, name, value)
	{
		if (is_table(value))
			show_table(name, value);
	}
}

void
ctl_show_json(const json_t *o)
{
	MUST(json_dumpf(o, stdout, JSON_INDENT(2)) == 0);
	putchar('\n');
}
