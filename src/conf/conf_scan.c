/* conf_scan.c - walks the grammar of one file.
 *
 *	file      = { include | option | section }
 *	include   = "include" text | "include" "(" text ")"
 *	option    = name ( "=" | "+=" ) value
 *	section   = name [ title ] "{" { option } "}"
 *	value     = text | "{" [ text { "," text } ] "}"
 *
 * Notes every statement with its line and hands the known ones to libConfuse as clean text.  An unknown name is noted as a problem
 * and skipped; a syntax error is noted and ends the file: what stands before it is still checked.
 */
#include <stdio.h>
#include <string.h>

#include "conf/conf_int.h"

struct walk {
	struct conf_scan *scan;
	struct conf_lex lex;
	struct conf_token now;    /* the word looked at */
	struct conf_token before; /* the one before it */
	struct buf raw;           /* the value being read, as clean text */
	int ntitled;
	int nincludes;
};

static void
step(struct walk *w)
{
	w->before = w->now;
	w->now = conf_lex_next(&w->lex);
}

static bool
at_mark(const struct walk *w, const char *mark)
{
	return w->now.kind == CONF_TOKEN_MARK && span_is(w->now.raw, mark);
}

static bool
at_text(const struct walk *w)
{
	return w->now.kind == CONF_TOKEN_WORD || w->now.kind == CONF_TOKEN_STRING;
}

/* A syntax error at the word looked at.  A bad word has told its own problem. */
static bool
expected(struct walk *w, const char *what)
{
	struct conf_problems *p = w->lex.problems;
	int show = w->now.raw.len > 40 ? 40 : (int)w->now.raw.len;

	if (w->now.kind == CONF_TOKEN_END)
		conf_problem(p, w->lex.source, w->now.line, "unexpected end of the file, expected %s", what);
	else if (w->now.kind == CONF_TOKEN_STRING)
		conf_problem(p, w->lex.source, w->now.line, "unexpected %.*s, expected %s", show, w->now.raw.ptr, what);
	else if (w->now.kind != CONF_TOKEN_BAD)
		conf_problem(
		    p, w->lex.source, w->now.line, "unexpected \"%.*s\", expected %s", show, w->now.raw.ptr, what);
	return false;
}

static bool
expected_after(struct walk *w, struct span name)
{
	char what[64];

	snprintf(what, sizeof(what), "\"=\" after \"%.*s\"", name.len > 40 ? 40 : (int)name.len, name.ptr);
	return expected(w, what);
}

static struct conf_item *
item_add(struct walk *w, struct conf_item item)
{
	buf_put(&w->scan->items, &item, sizeof(item));
	return (struct conf_item *)(void *)(w->scan->items.data + w->scan->items.len - sizeof(item));
}

/* The option again in the same place: libConfuse keeps the last value, so the earlier line is only a shadow. */
static bool
shadow_earlier(struct walk *w, const struct conf_option *o, int number, bool append)
{
	struct conf_item *items = (struct conf_item *)(void *)w->scan->items.data;

	for (size_t i = w->scan->items.len / sizeof(*items); i-- > 0;) {
		if (items[i].kind == CONF_ITEM_TITLED && items[i].number == number)
			break; /* the beginning of our section */
		if (items[i].option == o && items[i].number == number) {
			items[i].over = true;
			return append && items[i].append;
		}
	}
	return append;
}

/* value; leaves its clean text in w->raw. */
static bool
walk_value(struct walk *w, bool *braces_r)
{
	buf_reset(&w->raw);
	*braces_r = at_mark(w, "{");
	if (!*braces_r) {
		if (!at_text(w))
			return expected(w, "a value after \"=\"");
		buf_putspan(&w->raw, w->now.raw);
		step(w);
		return true;
	}
	buf_putc(&w->raw, '{');
	step(w);
	while (at_text(w)) {
		buf_putspan(&w->raw, w->now.raw);
		step(w);
		if (at_mark(w, "}"))
			break;
		if (!at_mark(w, ","))
			return expected(w, "\",\" or \"}\" in the list; quotes around a text with blanks or \"=\"");
		buf_putc(&w->raw, ',');
		step(w);
	}
	if (!at_mark(w, "}"))
		return expected(w, "a text or \"}\" in the list");
	buf_putc(&w->raw, '}');
	step(w);
	return true;
}

static void
unknown_option(struct walk *w, enum conf_section_id section, struct span name, int line)
{
	const char *near = conf_name_near(section, name);
	struct conf_problems *p = w->lex.problems;
	const char *in = section == CONF_SECTION_top ? "" : " in section ";
	const char *where = conf_sections[section].name;

	for (int i = 0; i < CONF_SECTIONS; i++)
		if (section == CONF_SECTION_top && i != CONF_SECTION_top &&
		    span_eq(name, span_of(conf_sections[i].name))) {
			conf_problem(p, w->lex.source, line, "\"%.*s\" is a section, expected %.*s { option = value }",
			    (int)name.len, name.ptr, (int)name.len, name.ptr);
			return;
		}
	if (near != NULL) {
		conf_problem(p, w->lex.source, line, "unknown option \"%.*s\"%s%s, expected \"%s\"?", (int)name.len,
		    name.ptr, in, where, near);
		return;
	}
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (conf_option_find((enum conf_section_id)i, name) != NULL) {
			conf_problem(p, w->lex.source, line, "unknown option \"%.*s\"%s%s, expected %s%s",
			    (int)name.len, name.ptr, in, where,
			    i == CONF_SECTION_top ? "it outside of any section" : "it in section ",
			    conf_sections[i].name);
			return;
		}
	conf_problem(p, w->lex.source, line, "unknown option \"%.*s\"%s%s, expected one of taskq.conf(5)",
	    (int)name.len, name.ptr, in, where);
}

/* Behind the name of an option, at = or +=. */
static bool
walk_option(struct walk *w, enum conf_section_id section, int number)
{
	struct conf_token name = w->before;
	const struct conf_option *o = conf_option_find(section, name.raw);
	bool plus = at_mark(w, "+="), append, braces;

	step(w);
	if (!walk_value(w, &braces))
		return false;
	if (o == NULL) {
		unknown_option(w, section, name.raw, name.line);
		return true;
	}
	if (plus && o->type != CONF_LIST && o->type != CONF_SECRETS) {
		conf_problem(
		    w->lex.problems, w->lex.source, name.line, "\"%s\" is not a list, expected \"=\"", o->name);
		return true;
	}
	append = shadow_earlier(w, o, number, plus);
	item_add(
	    w, (struct conf_item){ CONF_ITEM_OPTION, o, section, number, name.line, append, braces, false, false });
	buf_printf(&w->scan->clean, "%s %s ", o->name, plus ? "+=" : "=");
	buf_putspan(&w->scan->clean, buf_span(&w->raw));
	buf_putc(&w->scan->clean, '\n');
	return true;
}

/* Behind "include". */
static bool
walk_include(struct walk *w)
{
	int line = w->before.line;
	bool paren = at_mark(w, "(");

	if (paren)
		step(w);
	if (!at_text(w))
		return expected(w, "a path in quotes after include");
	buf_puts(&w->scan->clean, "include += ");
	buf_putspan(&w->scan->clean, w->now.raw);
	buf_putc(&w->scan->clean, '\n');
	item_add(w, (struct conf_item){
			CONF_ITEM_INCLUDE, NULL, CONF_SECTION_top, w->nincludes++, line, false, false, false, false });
	step(w);
	if (paren && !at_mark(w, ")"))
		return expected(w, "\")\" after the path");
	if (paren)
		step(w);
	return true;
}

/* The options of a section up to its brace. */
static bool
walk_members(struct walk *w, enum conf_section_id section, int number, int opened)
{
	char what[128];

	while (w->now.kind == CONF_TOKEN_WORD) {
		struct conf_token name = w->now;

		step(w);
		if (at_mark(w, "=") || at_mark(w, "+=")) {
			if (!walk_option(w, section, number))
				return false;
			continue;
		}
		if (conf_section_find(name.raw) >= 0) {
			conf_problem(w->lex.problems, w->lex.source, name.line,
			    "section \"%.*s\" within section \"%s\" of line %d, expected \"}\" before it",
			    (int)name.raw.len, name.raw.ptr, conf_sections[section].name, opened);
			return false;
		}
		if (span_is(name.raw, "include")) {
			conf_problem(w->lex.problems, w->lex.source, name.line,
			    "include within section \"%s\", expected outside of sections", conf_sections[section].name);
			return false;
		}
		return expected_after(w, name.raw);
	}
	if (!at_mark(w, "}")) {
		snprintf(what, sizeof(what), "an option or \"}\" in section \"%s\" of line %d",
		    conf_sections[section].name, opened);
		return expected(w, what);
	}
	step(w);
	return true;
}

/* At the title or the brace of a known section. */
static bool
walk_section(struct walk *w, enum conf_section_id section)
{
	const struct conf_section *s = &conf_sections[section];
	int opened = w->before.line, number = -1;
	size_t item = w->scan->items.len;
	char what[96];
	bool good;

	if (s->titled) {
		snprintf(what, sizeof(what), "a title, as in %s \"name\" { ... }", s->name);
		if (!at_text(w))
			return expected(w, what);
		number = w->ntitled++;
		item_add(w,
		    (struct conf_item){ CONF_ITEM_TITLED, NULL, section, number, opened, false, false, false, false });
		buf_printf(&w->scan->clean, "%s \"%d\" {\ntitle = %.*s\n", s->name, number, (int)w->now.raw.len,
		    w->now.raw.ptr);
		step(w);
	} else {
		buf_printf(&w->scan->clean, "%s {\n", s->name);
	}
	good = at_mark(w, "{");
	if (good) {
		step(w);
		good = walk_members(w, section, number, opened);
	} else {
		snprintf(what, sizeof(what), "\"{\" after section \"%s\"", s->name);
		expected(w, what);
	}
	buf_puts(&w->scan->clean, "}\n");
	if (!good && s->titled)
		((struct conf_item *)(void *)(w->scan->items.data + item))->cut = true;
	return good;
}

/* At the title or the brace of a section that nobody knows: steps over it. */
static bool
skip_section(struct walk *w, struct span name)
{
	const char *near = conf_name_near(CONF_SECTION_top, name);
	int line = w->before.line, depth = 0;

	if (at_text(w))
		step(w);
	if (!at_mark(w, "{")) {
		if (w->now.kind != CONF_TOKEN_BAD)
			w->now = w->before; /* not a title, then */
		return expected_after(w, name);
	}
	if (near != NULL)
		conf_problem(w->lex.problems, w->lex.source, line, "unknown section \"%.*s\", expected \"%s\"?",
		    (int)name.len, name.ptr, near);
	else
		conf_problem(w->lex.problems, w->lex.source, line,
		    "unknown section \"%.*s\", expected one of taskq.conf(5)", (int)name.len, name.ptr);
	do {
		depth += at_mark(w, "{") - at_mark(w, "}");
		step(w);
		if (w->now.kind == CONF_TOKEN_BAD || (depth > 0 && w->now.kind == CONF_TOKEN_END))
			return expected(w, "\"}\"");
	} while (depth > 0);
	return true;
}

static bool
walk_statement(struct walk *w)
{
	struct span name = w->now.raw;
	int section;

	if (w->now.kind != CONF_TOKEN_WORD)
		return expected(w, "an option, a section or include; quotes around a text with blanks, \"=\" or \",\"");
	step(w);
	if (at_mark(w, "=") || at_mark(w, "+="))
		return walk_option(w, CONF_SECTION_top, -1);
	if (span_is(name, "include"))
		return walk_include(w);
	section = conf_section_find(name);
	if (section >= 0)
		return walk_section(w, (enum conf_section_id)section);
	if (conf_option_find(CONF_SECTION_top, name) == NULL && (at_mark(w, "{") || at_text(w)))
		return skip_section(w, name);
	return expected_after(w, name);
}

void
conf_scan(struct conf_scan *s, struct span text, const struct conf_source *source, struct conf_problems *problems)
{
	struct walk w = { s, { text.ptr, text.ptr + text.len, 1, source, problems }, { 0 }, { 0 }, { 0 }, 0, 0 };

	step(&w);
	while (w.now.kind != CONF_TOKEN_END && walk_statement(&w))
		continue;
	buf_free(&w.raw);
}

void
conf_scan_free(struct conf_scan *s)
{
	buf_free(&s->items);
	buf_free(&s->clean);
}
