/* ctl_args.c - the options of verbs that ask the API, said once: where each goes and what its value is.
 *
 * A duration may be written as 90, 90s, 15m, 4h or 2d and travels as seconds.  A time is by RFC 3339, or as a duration it is so long ago.
 * Checks of meaning are left to the daemon, whose answer names what was wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"

#include "ctl/ctl.h"

enum place { FILTER, MEMBER, QUERY, LOCAL };
enum type { TEXT, NUMBER, FLAG, LIST, DURATION, TIME, JSON };

static const struct option_row {
	const char *name, *member;
	enum place place;
	enum type type;
	const char *words;
} rows[] = {
	{ "queue", "queue", FILTER, TEXT, "letters of this queue" },
	{ "type", "task_type", FILTER, TEXT, "of this task type" },
	{ "reason", "reason", FILTER, TEXT, "of this reason: RETRY_EXHAUSTED, NON_RETRYABLE, ..." },
	{ "class", "class", FILTER, TEXT, "of this class of errors: TRANSIENT, PERSISTENT, ..." },
	{ "code", "code", FILTER, TEXT, "of this error code" },
	{ "fingerprint", "fingerprint", FILTER, TEXT, "of this fingerprint" },
	{ "cause", "cause", FILTER, NUMBER, "of this cause, by its number" },
	{ "schema-version", "schema_version", FILTER, TEXT, "whose payload is of this version" },
	{ "label", "label", FILTER, TEXT, "with this label: NAME=VALUE" },
	{ "died-after", "died_after", FILTER, TIME, "that died later: a time, or 2h for two hours ago" },
	{ "died-before", "died_before", FILTER, TIME, "that died earlier" },
	{ "id", "ids", FILTER, LIST, "this one; may be repeated" },
	{ "all", "all", FILTER, FLAG, "every letter; only without any other of these" },
	{ "rate", "rate", MEMBER, NUMBER, "letters per second" },
	{ "limit", "limit", MEMBER, NUMBER, "letters at most" },
	{ "concurrency", "concurrency", MEMBER, NUMBER, "tasks in flight at most" },
	{ "canary", "canary", MEMBER, NUMBER, "so many must succeed before the rest" },
	{ "stop-share", "stop_share", MEMBER, NUMBER, "stops when more per cent of them fail" },
	{ "slow-start", "slow_start", MEMBER, DURATION, "until the whole rate" },
	{ "dry-run", "dry_run", MEMBER, FLAG, "count, and show some; do nothing" },
	{ "payload", "payload", MEMBER, JSON, "run with this JSON instead; @FILE reads a file" },
	{ "note", "note", MEMBER, TEXT, "for the others" },
	{ "due-in", "due_in", MEMBER, DURATION, "when something will have been done" },
	{ "owner", "owner", MEMBER, TEXT, "whose letters they are" },
	{ "sla", "sla_seconds", MEMBER, DURATION, "from the death until something must have been done" },
	{ "of-queue", "queue", MEMBER, TEXT, "of this queue" },
	{ "of-type", "task_type", MEMBER, TEXT, "of this task type" },
	{ "of-fingerprint", "fingerprint", MEMBER, TEXT, "of this fingerprint" },
	{ "of-version", "schema_version", MEMBER, TEXT, "only payloads of this version" },
	{ "by", "by", MEMBER, TEXT, "who does it; else the login name" },
	{ "why", "why", MEMBER, TEXT, "why; it stays in the audit" },
	{ "page", "limit", QUERY, NUMBER, "rows of a page" },
	{ "cursor", "cursor", QUERY, TEXT, "the next_cursor of the page before" },
	{ "act", "act", QUERY, TEXT, "only this act" },
	{ "actor", "by", QUERY, TEXT, "only what this one did" },
	{ "since", "since", QUERY, TIME, "only from then on" },
	{ "of", "queue", QUERY, TEXT, "only this queue" },
	{ "per", "by", QUERY, TEXT, "type: also by task type" },
	{ "file", NULL, LOCAL, TEXT, "read this file instead of standard input" },
};

/* A word of a list that blanks separate. */
static bool
word_in(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

static bool
row_allowed(const struct option_row *o, const char *allowed)
{
	return word_in(allowed, o->place == FILTER ? "filter" : o->name);
}

/* --- values -------------------------------------------------------------------------------------------------------------- */

static double
seconds_of(const struct option_row *o, const char *text)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	double n = strtod(text, &end);

	for (size_t i = 0; i < ARRAY_LEN(units) && end != text && n >= 0; i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].seconds;
	ctl_fail(EX_USAGE, "--%s: expected a time as 90s, 15m, 4h or 2d, not \"%s\"", o->name, text);
}

/* A moment as RFC 3339 says it. */
static void
time_text(const struct option_row *o, const char *text, char out[CLOCK_TEXT])
{
	int64_t at;

	if (!clock_parse(span_of(text), &at))
		at = clock_wall() - (int64_t)(seconds_of(o, text) * (double)CLOCK_SECOND);
	clock_format(at, out);
}

static json_t *
json_of(const struct option_row *o, const char *text)
{
	json_error_t error;
	json_t *value = text[0] == '@' ? json_load_file(text + 1, JSON_DECODE_ANY, &error)
				       : json_loads(text, JSON_DECODE_ANY, &error);

	if (value == NULL)
		ctl_fail(EX_DATAERR, "--%s: no JSON: line %d: %s", o->name, error.line, error.text);
	return value;
}

static json_t *
number_of(const struct option_row *o, const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end != '\0')
		ctl_fail(EX_USAGE, "--%s: expected a number, not \"%s\"", o->name, text);
	return strpbrk(text, ".eE") != NULL ? json_real(n) : json_integer((json_int_t)n);
}

static json_t *
value_of(const struct option_row *o, const char *text)
{
	char when[CLOCK_TEXT];

	switch (o->type) {
	case TEXT:
	case LIST:
		return json_string(text);
	case NUMBER:
		return number_of(o, text);
	case FLAG:
		return json_true();
	case DURATION:
		return json_real(seconds_of(o, text));
	case TIME:
		time_text(o, text, when);
		return json_string(when);
	case JSON:
		return json_of(o, text);
	}
	UNREACHABLE("no such type");
}

/* --- where they go ------------------------------------------------------------------------------------------------------------- */

void
ctl_query_add(struct buf *query, const char *name, const char *value)
{
	buf_printf(query, "%c%s=", query->len == 0 ? '?' : '&', name);
	for (const unsigned char *p = (const unsigned char *)value; *p != '\0'; p++)
		if ((*p | 32) >= 'a' && (*p | 32) <= 'z')
			buf_putc(query, (char)*p);
		else if ((*p >= '0' && *p <= '9') || strchr("-._~,", *p) != NULL)
			buf_putc(query, (char)*p);
		else
			buf_printf(query, "%%%02X", *p);
}

static void
put_query(struct ctl_words *w, const struct option_row *o, const char *text)
{
	json_t *value = value_of(o, text);
	const char *s = json_string_value(value);

	ctl_query_add(&w->query, o->member, s != NULL ? s : json_is_true(value) ? "true" : text);
	json_decref(value);
}

static json_t *
member_object(json_t *body, const char *name)
{
	json_t *o = json_object_get(body, name);

	if (o == NULL) {
		o = json_object();
		MUST(json_object_set_new(body, name, o) == 0);
	}
	return o;
}

static void
put_member(json_t *o, const struct option_row *row, const char *text)
{
	json_t *value = value_of(row, text), *list;

	if (row->type != LIST) {
		MUST(json_object_set_new(o, row->member, value) == 0);
		return;
	}
	list = json_object_get(o, row->member);
	if (list == NULL) {
		list = json_array();
		MUST(json_object_set_new(o, row->member, list) == 0);
	}
	MUST(json_array_append_new(list, value) == 0);
}

/* Several ids of a query are one parameter. */
static void
put_ids(struct buf *query, const char *ids)
{
	if (ids != NULL)
		ctl_query_add(query, "ids", ids);
}

static void
put(struct ctl_words *w, const struct option_row *o, const char *text, bool query, struct buf *ids)
{
	if (o->place == LOCAL)
		w->file = text;
	else if (o->place == FILTER && query && o->type == LIST)
		buf_printf(ids, "%s%s", ids->len > 0 ? "," : "", text);
	else if (o->place == QUERY || (o->place == FILTER && query))
		put_query(w, o, text);
	else
		put_member(o->place == FILTER ? member_object(w->body, "filter") : w->body, o, text);
}

/* --- the words -------------------------------------------------------------------------------------------------------------------- */

static const struct option_row *
row_find(const char *word, size_t len, const char *allowed)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, word, len) == 0 &&
		    row_allowed(&rows[i], allowed))
			return &rows[i];
	return NULL;
}

static const char *
login(void)
{
	static const char *const names[] = { "SUDO_USER", "LOGNAME", "USER" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (getenv(names[i]) != NULL && getenv(names[i])[0] != '\0')
			return getenv(names[i]);
	return geteuid() == 0 ? "root" : NULL;
}

void
ctl_args(struct ctl_words *w, int argc, char **argv, const char *allowed, bool query)
{
	struct buf ids = { 0 };

	*w = (struct ctl_words){ .body = json_object() };
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i], *equals = strchr(word, '=');
		size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
		const struct option_row *o =
		    len > 2 && word[0] == '-' && word[1] == '-' ? row_find(word + 2, len - 2, allowed) : NULL;

		if (o == NULL)
			ctl_fail(EX_USAGE, "\"%.*s\" is no option of this verb; taskqctl --help tells which there are",
			    (int)len, word);
		if (o->type == FLAG && equals != NULL)
			ctl_fail(EX_USAGE, "--%s takes no value", o->name);
		if (o->type != FLAG && equals == NULL && i + 1 >= argc)
			ctl_fail(EX_USAGE, "--%s needs a value", o->name);
		put(w, o, o->type == FLAG ? "" : equals != NULL ? equals + 1 : argv[++i], query, &ids);
	}
	put_ids(&w->query, ids.len > 0 ? buf_cstr(&ids) : NULL);
	buf_free(&ids);
	if (word_in(allowed, "filter") && !query) /* none narrows nothing, which the daemon says best */
		(void)member_object(w->body, "filter");
	if (word_in(allowed, "by") && json_object_get(w->body, "by") == NULL && login() != NULL)
		MUST(json_object_set_new(w->body, "by", json_string(login())) == 0);
}

void
ctl_args_free(struct ctl_words *w)
{
	buf_free(&w->query);
	json_decref(w->body);
}

void
ctl_args_help(const char *allowed)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (row_allowed(&rows[i], allowed))
			printf("  --%-16s %s\n", rows[i].name, rows[i].words);
}
