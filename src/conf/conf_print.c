/* conf_print.c - the configuration as text: what is in force, and the commented sample that etc/taskq.conf is. */
#include <string.h>

#include "conf/conf_int.h"

#define WRAP 100 /* columns of words in the sample */

/* "name = value", below where it was said; secrets as the file they came from, or not at all. */
static void
print_option(const struct conf *c, const struct conf_option *o, const void *members, struct buf *out)
{
	const struct conf_said *said =
	    conf_origin_find(c->origin, o->section, conf_members_title(o->section, members), o);
	const char *indent = o->section == CONF_SECTION_top ? "" : "\t";

	if (said != NULL)
		buf_printf(out, "%s# %s:%d\n", indent, said->source->name, said->line);
	if ((o->type == CONF_SECRET || o->type == CONF_SECRETS) && said != NULL && said->secret == NULL &&
	    !conf_value_is_default(o, members)) {
		buf_printf(out, "%s# %s is a secret\n", indent, o->name);
		return;
	}
	buf_printf(out, "%s%s = ", indent, o->name);
	if (said != NULL && said->secret != NULL)
		buf_puts(out, said->secret);
	else
		conf_value_print(o, members, out);
	buf_putc(out, '\n');
}

static void
print_section(const struct conf *c, enum conf_section_id section, int index, struct buf *out)
{
	const void *members = conf_members(c, section, index);
	const char *title = conf_members_title(section, members);

	if (section != CONF_SECTION_top) {
		buf_printf(out, "\n%s ", conf_sections[section].name);
		if (title != NULL) {
			conf_text_quote(title, out);
			buf_putc(out, ' ');
		}
		buf_puts(out, "{\n");
	}
	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o))
		print_option(c, o, members, out);
	if (section != CONF_SECTION_top)
		buf_puts(out, "}\n");
}

void
conf_print(const struct conf *c, FILE *f)
{
	struct buf out = { 0 };

	for (int i = 0; i < CONF_SECTIONS; i++)
		for (int k = 0; k < conf_section_count(c, (enum conf_section_id)i); k++)
			print_section(c, (enum conf_section_id)i, k, &out);
	fwrite(out.data, 1, out.len, f);
	buf_free(&out);
}

/* Words as comment lines, broken at blanks. */
static void
print_words(const char *words, const char *indent, struct buf *out)
{
	while (*words != '\0') {
		size_t n = strlen(words);

		if (n > WRAP)
			for (n = WRAP; n > 0 && words[n] != ' '; n--)
				continue;
		if (n == 0)
			n = strcspn(words, " ");
		buf_printf(out, "%s# %.*s\n", indent, (int)n, words);
		words += n;
		words += strspn(words, " ");
	}
}

static void
sample_option(const struct conf_option *o, struct buf *out)
{
	const char *indent = o->section == CONF_SECTION_top ? "" : "\t";
	struct buf words = { 0 };

	buf_puts(&words, o->line);
	if (o->type == CONF_WORD)
		buf_printf(&words, " [%s]", o->max);
	else if (o->min[0] != '\0')
		buf_printf(&words, " [%s to %s]", o->min, o->max);
	if (o->when == CONF_RESTART)
		buf_puts(&words, " [restart]");
	buf_putc(out, '\n');
	print_words(buf_cstr(&words), indent, out);
	print_words(o->paragraph, indent, out);
	buf_printf(out, "%s#%s = ", indent, o->name);
	conf_default_print(o, out);
	buf_putc(out, '\n');
	buf_free(&words);
}

/* The example of a titled section, each line commented out. */
static void
sample_example(const char *example, struct buf *out)
{
	while (*example != '\0') {
		size_t n = strcspn(example, "\n");

		buf_printf(out, "#%.*s\n", (int)n, example);
		example += n + (example[n] == '\n');
	}
}

/* A titled section is shown as words, an example, and its options as comments: none of them is in force. */
static void
sample_titled(enum conf_section_id section, struct buf *out)
{
	const struct conf_section *s = &conf_sections[section];
	struct buf options = { 0 };
	const char *p;

	buf_printf(out, "\n# %s \"title\": %s\n#\n", s->name, s->words);
	sample_example(s->example, out);
	buf_puts(out, "#\n# Its options:\n");
	for (const struct conf_option *o = conf_option_first(section); o != NULL; o = conf_option_next(o))
		sample_option(o, &options);
	for (p = buf_cstr(&options); *p != '\0'; p += strcspn(p, "\n") + 1) {
		int n = (int)strcspn(p, "\n");

		/* "\t# words" and "\t#name = value" keep their difference behind the outer mark */
		buf_printf(out, "#%.*s\n", n, p);
	}
	buf_free(&options);
}

static const char sample_head[] =
    "# taskq.conf - settings of taskqd; see taskq.conf(5).\n"
    "#\n"
    "# Every option with its default.  Check:  taskqd -t   In force:  taskqd --print-config\n"
    "# Times need a unit: us ms s min h d w.  Sizes too: B kB MB GB TB (powers of 1024).\n"
    "# Rates are a number and one of /s /min /h /d.\n"
    "# A reload (SIGHUP) takes all but the options marked [restart].  Text in double quotes\n"
    "# takes ${NAME} from the environment, text in single quotes stands as it is.\n"
    "#\n"
    "# Further files, sorted; what is said later wins:\n"
    "#include \"taskq.d/*.conf\"\n";

void
conf_sample(FILE *f)
{
	struct buf out = { 0 };

	buf_puts(&out, sample_head);
	for (int i = 0; i < CONF_SECTIONS; i++) {
		const struct conf_section *s = &conf_sections[i];

		if (s->titled) {
			sample_titled((enum conf_section_id)i, &out);
			continue;
		}
		if (i != CONF_SECTION_top)
			buf_printf(&out, "\n# %s\n%s {", s->words, s->name);
		for (const struct conf_option *o = conf_option_first((enum conf_section_id)i); o != NULL;
		     o = conf_option_next(o))
			sample_option(o, &out);
		if (i != CONF_SECTION_top)
			buf_puts(&out, "}\n");
	}
	fwrite(out.data, 1, out.len, f);
	buf_free(&out);
}
