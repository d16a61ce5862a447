/* conf_value.c - types, units and bounds: text of a file to value and back.
 *
 * A complaint says what is wrong and what was expected; the caller puts file, line and the name of the option before it.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_int.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* The printer takes the greatest that divides, and of equal ones the first. */
static const struct unit time_units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "min", INT64_C(60000000) },
	{ "h", INT64_C(3600000000) }, { "d", INT64_C(86400000000) }, { "w", INT64_C(604800000000) },
	{ "m", INT64_C(60000000) }, { NULL, 0 } };
static const struct unit size_units[] = { { "B", 1 }, { "kB", 1024 }, { "MB", INT64_C(1) << 20 },
	{ "GB", INT64_C(1) << 30 }, { "TB", INT64_C(1) << 40 }, { NULL, 0 } };
#define TIME_WORDS "us ms s min h d w"
#define SIZE_WORDS "B kB MB GB TB"

static const struct unit *
unit_find(const struct unit *units, const char *name)
{
	for (const struct unit *u = units; u->name != NULL; u++)
		if (strcmp(u->name, name) == 0)
			return u;
	return NULL;
}

/* A whole number without sign; *end_r is behind it.  False when there is none or it is too large. */
static bool
take_number(const char *text, int64_t *n_r, const char **end_r)
{
	const char *p = text;
	int64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return false;
	*n_r = n;
	*end_r = p;
	return p > text;
}

/* ".25" of a unit; exact for the digits that matter. */
static int64_t
take_fraction(const char **p, int64_t factor)
{
	int64_t part = 0, scale = 1;

	if (**p != '.' || (*p)[1] < '0' || (*p)[1] > '9')
		return 0;
	for (++*p; **p >= '0' && **p <= '9'; ++*p)
		if (scale < 1000000) {
			part = part * 10 + (**p - '0');
			scale *= 10;
		}
	/* the whole part first: factor * part could be too much */
	return factor / scale * part + factor % scale * part / scale;
}

/* How many thousandths a day one in a unit makes; the printer takes the first in which the number has at most three decimals. */
static const struct unit rate_units[] = { { "/s", INT64_C(86400) }, { "/min", 1440 }, { "/h", 24 }, { "/d", 1 },
	{ NULL, 0 } };

/* "10/min", "0.5/s"; a lone 0 is no limit. */
static bool
read_rate(const char *text, int64_t *n_r)
{
	const char *p;
	const struct unit *u;
	int64_t n, part = 0, scale = 1;

	if (!take_number(text, &n, &p))
		return false;
	if (*p == '.' && p[1] >= '0' && p[1] <= '9')
		for (p++; *p >= '0' && *p <= '9' && scale < 1000; p++, scale *= 10)
			part = part * 10 + (*p - '0');
	u = unit_find(rate_units, p);
	if ((u == NULL && strcmp(text, "0") != 0) || __builtin_mul_overflow(n, 1000, &n) ||
	    __builtin_add_overflow(n, part * (1000 / scale), &n) ||
	    __builtin_mul_overflow(n, u != NULL ? u->factor : 0, n_r))
		return false;
	return true;
}

static void
print_rate(int64_t n, struct buf *out)
{
	const struct unit *u = rate_units;
	int64_t part;

	while (n % u->factor != 0)
		u++;
	part = n / u->factor % 1000;
	buf_printf(out, "%" PRId64, n / u->factor / 1000);
	if (part > 0)
		buf_putc(out, '.');
	for (int64_t digit = 100; part > 0; part %= digit, digit /= 10)
		buf_putc(out, (char)('0' + part / digit));
	if (n > 0)
		buf_puts(out, u->name);
}

enum reading { READ_GOOD, READ_NO_UNIT, READ_BAD };

/* "1.5h", "64kB"; a lone 0 needs no unit. */
static enum reading
read_units(const char *text, const struct unit *units, int64_t *n_r)
{
	const char *p, *after;
	const struct unit *u;
	int64_t n;

	if (!take_number(text, &n, &p))
		return READ_BAD;
	after = p;
	(void)take_fraction(&after, 1);
	while (*after == ' ')
		after++;
	if (*after == '\0') {
		*n_r = 0;
		return strcmp(text, "0") == 0 ? READ_GOOD : READ_NO_UNIT;
	}
	u = unit_find(units, after);
	if (u == NULL || __builtin_mul_overflow(n, u->factor, &n) ||
	    __builtin_add_overflow(n, take_fraction(&p, u->factor), &n))
		return READ_BAD;
	*n_r = n;
	return READ_GOOD;
}

static bool
within(int64_t n, const struct conf_option *o, int64_t min, int64_t max, const char *text, struct buf *why)
{
	if (n >= min && n <= max)
		return true;
	buf_printf(why, "\"%s\" is out of bounds, expected %s to %s", text, o->min, o->max);
	return false;
}

static bool
set_units(const struct conf_option *o, int64_t *where, const char *text, struct buf *why)
{
	bool time = o->type == CONF_TIME;
	const struct unit *units = time ? time_units : size_units;
	const char *words = time ? TIME_WORDS : SIZE_WORDS;
	int64_t min, max, n;

	MUST(read_units(o->min, units, &min) == READ_GOOD && read_units(o->max, units, &max) == READ_GOOD);
	switch (read_units(text, units, &n)) {
	case READ_NO_UNIT:
		buf_printf(why, "\"%s\" has no unit, say %s%s (units: %s)", text, text, time ? "s" : "kB", words);
		return false;
	case READ_BAD:
		buf_printf(why, "\"%s\" is not a %s, expected a number and a unit such as %s (units: %s)", text,
		    time ? "time" : "size", time ? "30s" : "64kB", words);
		return false;
	case READ_GOOD:
		break;
	}
	if (!within(n, o, min, max, text, why))
		return false;
	*where = n;
	return true;
}

static bool
set_rate(const struct conf_option *o, int64_t *where, const char *text, struct buf *why)
{
	int64_t min, max, n;

	MUST(read_rate(o->min, &min) && read_rate(o->max, &max));
	if (!read_rate(text, &n)) {
		buf_printf(why,
		    "\"%s\" is not a rate, expected 0 or a number and a unit such as 10/min or 0.5/s (units: /s /min "
		    "/h /d)",
		    text);
		return false;
	}
	if (!within(n, o, min, max, text, why))
		return false;
	*where = n;
	return true;
}

/* Cores this process may run on. */
int
conf_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static bool
set_number(const struct conf_option *o, int *where, const char *text, struct buf *why)
{
	int64_t min = strtoll(o->min, NULL, 10), max = strtoll(o->max, NULL, 10), n;
	const char *end, *digits = text + (*text == '-');

	if (o->type == CONF_COUNT && strcmp(text, "auto") == 0) {
		n = conf_cores() < max ? conf_cores() : max;
	} else if (!take_number(digits, &n, &end) || *end != '\0') {
		buf_printf(why, "\"%s\" is not a whole number, expected %s%s to %s", text,
		    o->type == CONF_COUNT ? "auto or " : "", o->min, o->max);
		return false;
	}
	if (!within(digits > text ? -n : n, o, min, max, text, why))
		return false;
	*where = (int)(digits > text ? -n : n);
	return true;
}

static bool
set_bool(bool *where, const char *text, struct buf *why)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*where = i % 2;
			return true;
		}
	buf_printf(why, "\"%s\" is not a switch, expected on or off", text);
	return false;
}

/* The nth word of "a b c"; an empty span behind the last. */
static struct span
word(const char *words, int n)
{
	for (; n > 0; n--) {
		words += strcspn(words, " ");
		words += strspn(words, " ");
	}
	return (struct span){ words, strcspn(words, " ") };
}

static bool
set_word(const struct conf_option *o, int *where, const char *text, struct buf *why)
{
	for (int i = 0; word(o->max, i).len > 0; i++)
		if (span_is(word(o->max, i), text)) {
			*where = i;
			return true;
		}
	buf_printf(why, "\"%s\" is not known, expected one of: %s", text, o->max);
	return false;
}

/* What a SECRET means: itself, or what is in the file it names.  Null: `why` says what is wrong with the file. */
static const char *
secret_text(const char *text, struct arena *arena, struct buf *why)
{
	const char *kept;
	char *secret;

	if (text[0] != '@')
		return arena_strdup(arena, text);
	if (text[1] != '/') {
		buf_printf(why, "\"%s\" is not an absolute path, expected \"@/path\" of a file", text);
		return NULL;
	}
	secret = conf_file_secret(text + 1, why);
	if (secret == NULL)
		return NULL;
	kept = arena_strdup(arena, secret);
	mem_free(&secret);
	return kept;
}

static bool
set_text(const struct conf_option *o, const char **where, const char *text, struct arena *arena, struct buf *why)
{
	const char *kept;

	if (o->type == CONF_PATH && text[0] != '/' && (text[0] != '\0' || o->value[0] != '\0')) {
		buf_printf(why, "\"%s\" is not an absolute path, expected one that begins with \"/\"", text);
		return false;
	}
	kept = o->type == CONF_SECRET ? secret_text(text, arena, why) : arena_strdup(arena, text);
	if (kept != NULL)
		*where = kept;
	return kept != NULL;
}

static bool
set_list(const struct conf_option *o, struct conf_list *where, const char *const *texts, int n, struct arena *arena,
    struct buf *why)
{
	struct conf_list list = { arena_alloc(arena, ((size_t)n + 1) * sizeof(*list.items)), n };

	for (int i = 0; i < n; i++) {
		list.items[i] =
		    o->type == CONF_SECRETS ? secret_text(texts[i], arena, why) : arena_strdup(arena, texts[i]);
		if (list.items[i] == NULL)
			return false;
	}
	*where = list;
	return true;
}

/* Habits of other configuration files that change the value. */
static void
hint(const char *text, struct buf *why)
{
	size_t n = strlen(text);

	if (n > 1 && text[n - 1] == ';')
		buf_puts(why, "; lines do not end with \";\"");
}

bool
conf_value_set(
    const struct conf_option *o, void *members, const char *const *texts, int n, struct arena *arena, struct buf *why)
{
	void *where = (char *)members + o->offset;
	bool good = false;

	if (o->type == CONF_LIST || o->type == CONF_SECRETS)
		return set_list(o, where, texts, n, arena, why);
	if (n != 1) {
		buf_printf(why, "%d values, expected one", n);
		return false;
	}
	switch (o->type) {
	case CONF_BOOL:
		good = set_bool(where, texts[0], why);
		break;
	case CONF_INT:
	case CONF_COUNT:
		good = set_number(o, where, texts[0], why);
		break;
	case CONF_TIME:
	case CONF_SIZE:
		good = set_units(o, where, texts[0], why);
		break;
	case CONF_RATE:
		good = set_rate(o, where, texts[0], why);
		break;
	case CONF_WORD:
		good = set_word(o, where, texts[0], why);
		break;
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_SECRET:
		return set_text(o, where, texts[0], arena, why);
	case CONF_LIST:
	case CONF_SECRETS:
		UNREACHABLE("a list has been set above");
	}
	if (!good)
		hint(texts[0], why);
	return good;
}

void
conf_value_default(const struct conf_option *o, void *members, struct arena *arena)
{
	const char *texts[] = { o->value };
	struct buf why = { 0 };

	if (o->type == CONF_LIST || o->type == CONF_SECRETS)
		MUST(conf_value_set(o, members, texts, o->value[0] != '\0', arena, &why));
	else
		MUST(conf_value_set(o, members, texts, 1, arena, &why));
	buf_free(&why);
}

/* In the greatest unit that divides; zero in the first. */
static void
print_units(int64_t n, const struct unit *units, struct buf *out)
{
	const struct unit *best = &units[0];

	for (const struct unit *u = units; u->name != NULL && n > 0; u++)
		if (u->factor > best->factor && n % u->factor == 0)
			best = u;
	buf_printf(out, "%" PRId64 "%s", n / best->factor, best->name);
}

void
conf_text_quote(const char *text, struct buf *out)
{
	const char *p;
	char quote = strpbrk(text, "\"\\$") == NULL ? '"' : '\'';

	buf_putc(out, quote);
	for (p = text; *p != '\0'; p++) {
		if (quote == '\'' && (*p == '\'' || *p == '\\'))
			buf_putc(out, '\\');
		buf_putc(out, *p);
	}
	buf_putc(out, quote);
}

static void
print_list(const struct conf_list *list, struct buf *out)
{
	buf_puts(out, "{ ");
	for (int i = 0; i < list->n; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		conf_text_quote(list->items[i], out);
	}
	buf_puts(out, list->n > 0 ? " }" : "}");
}

void
conf_value_print(const struct conf_option *o, const void *members, struct buf *out)
{
	const void *where = (const char *)members + o->offset;

	switch (o->type) {
	case CONF_BOOL:
		buf_puts(out, *(const bool *)where ? "on" : "off");
		break;
	case CONF_INT:
	case CONF_COUNT:
		buf_printf(out, "%d", *(const int *)where);
		break;
	case CONF_TIME:
	case CONF_SIZE:
		print_units(*(const int64_t *)where, o->type == CONF_TIME ? time_units : size_units, out);
		break;
	case CONF_RATE:
		print_rate(*(const int64_t *)where, out);
		break;
	case CONF_WORD:
		buf_putspan(out, word(o->max, *(const int *)where));
		break;
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_SECRET:
		conf_text_quote(*(const char *const *)where, out);
		break;
	case CONF_LIST:
	case CONF_SECRETS:
		print_list(where, out);
		break;
	}
}

void
conf_default_print(const struct conf_option *o, struct buf *out)
{
	switch (o->type) {
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_SECRET:
		conf_text_quote(o->value, out);
		break;
	case CONF_LIST:
	case CONF_SECRETS:
		buf_puts(out, "{ ");
		if (o->value[0] != '\0') {
			conf_text_quote(o->value, out);
			buf_putc(out, ' ');
		}
		buf_putc(out, '}');
		break;
	default:
		buf_puts(out, o->value);
	}
}

bool
conf_value_is_default(const struct conf_option *o, const void *members)
{
	struct arena *arena = arena_new(256);
	char *fresh = arena_alloc(arena, o->offset + sizeof(struct conf_list));
	struct buf value = { 0 }, standard = { 0 };
	bool same;

	conf_value_default(o, fresh, arena);
	conf_value_print(o, members, &value);
	conf_value_print(o, fresh, &standard);
	same = strcmp(buf_cstr(&value), buf_cstr(&standard)) == 0;
	buf_free(&value);
	buf_free(&standard);
	arena_free(&arena);
	return same;
}
