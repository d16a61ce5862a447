/* api_dead_filter.c - which dead letters are meant: the same words in the query of a list and in the object of an act.
 *
 * A word that is unknown, given twice or of a wrong value is refused by name: a filter that were ignored would move letters that nobody
 * meant.  An act needs a filter that narrows something, or all: true and nothing else.  Next: store/store_dead.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_dead.h"

#define CODE_MAX (sizeof(((struct task_failure *)0)->code) - 1)
#define API_DEAD_NAMES \
	"queue, task_type, reason, class, code, fingerprint, cause, schema_version, label, died_after, died_before, " \
	"ids"

bool
api_dead_refuse(struct api_call *c, const char *pointer, const char *detail)
{
	struct http_problem p = { .status = 422, .code = "invalid_filter", .pointer = pointer, .detail = detail };

	http_reply_problem(c->r, &p);
	return false;
}

/* --- values ---------------------------------------------------------------------------------------------------------------- */

static bool
take_word(struct span *s_r, struct span value, size_t min, size_t max)
{
	*s_r = value;
	return value.len >= min && value.len <= max && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_queue(struct api_dead_filter *g, struct span value)
{
	return take_word(&g->f.queue, value, 1, TASK_QUEUE_MAX);
}

static bool
take_type(struct api_dead_filter *g, struct span value)
{
	return take_word(&g->f.task_type, value, 1, TASK_TYPE_MAX);
}

static bool
take_reason(struct api_dead_filter *g, struct span value)
{
	g->f.reason = value;
	return task_dead_reason_known(value);
}

static bool
take_class(struct api_dead_filter *g, struct span value)
{
	return task_class_parse(value, &g->f.class);
}

static bool
take_code(struct api_dead_filter *g, struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!(value.ptr[i] >= 'A' && value.ptr[i] <= 'Z') && !(value.ptr[i] >= '0' && value.ptr[i] <= '9') &&
		    value.ptr[i] != '_')
			return false;
	return take_word(&g->f.code, value, 1, CODE_MAX);
}

static bool
take_fingerprint(struct api_dead_filter *g, struct span value)
{
	return id_parse(value, &g->f.fingerprint) && !id_is_zero(&g->f.fingerprint);
}

static bool
take_cause(struct api_dead_filter *g, struct span value)
{
	int n;

	if (!api_number(value, 1, 999999999, &n))
		return false;
	g->f.cause = n;
	return true;
}

static bool
take_schema(struct api_dead_filter *g, struct span value)
{
	if (value.ptr == NULL)
		value = SPAN("");
	return take_word(&g->f.schema_version, value, 0, TASK_SCHEMA_MAX);
}

static bool
take_label(struct api_dead_filter *g, struct span value)
{
	const char *equals = value.len > 0 ? memchr(value.ptr, '=', value.len) : NULL;
	size_t name = equals != NULL ? (size_t)(equals - value.ptr) : 0;

	return name > 0 && take_word(&g->f.label_name, (struct span){ value.ptr, name }, 1, TASK_LABEL_MAX) &&
	       take_word(&g->f.label_value, (struct span){ equals + 1, value.len - name - 1 }, 0, TASK_LABEL_MAX);
}

static bool
take_after(struct api_dead_filter *g, struct span value)
{
	return clock_parse(value, &g->f.died_after) && g->f.died_after > 0;
}

static bool
take_before(struct api_dead_filter *g, struct span value)
{
	return clock_parse(value, &g->f.died_before) && g->f.died_before > 0;
}

static int
compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* Sorted, each once. */
static void
set_ids(struct api_dead_filter *g, struct id *ids, int n)
{
	int kept = 0;

	qsort(ids, (size_t)n, sizeof(*ids), compare_ids);
	for (int i = 0; i < n; i++)
		if (kept == 0 || !id_eq(&ids[i], &ids[kept - 1]))
			ids[kept++] = ids[i];
	g->f.ids = ids;
	g->f.nids = kept;
}

static bool
take_ids(struct api_dead_filter *g, struct span value)
{
	struct id *ids = arena_alloc(http_arena(g->c->r), sizeof(*ids) * STORE_DEAD_IDS);
	const char *comma;
	int n = 0;

	while (n < STORE_DEAD_IDS) {
		comma = value.len > 0 ? memchr(value.ptr, ',', value.len) : NULL;
		size_t len = comma != NULL ? (size_t)(comma - value.ptr) : value.len;

		if (!id_parse((struct span){ value.ptr, len }, &ids[n++]))
			return false;
		if (comma == NULL) {
			set_ids(g, ids, n);
			return true;
		}
		value = (struct span){ comma + 1, value.len - len - 1 };
	}
	return false;
}

#define EXPECTED_TIME "a time by RFC 3339 such as 2026-01-31T12:00:00Z"

static const struct member {
	const char *name;
	bool (*take)(struct api_dead_filter *g, struct span value);
	const char *expected;
} members[] = {
	{ "queue", take_queue, "1 to 64 bytes" },
	{ "task_type", take_type, "1 to 64 bytes" },
	{ "reason", take_reason,
	    "RETRY_EXHAUSTED, NON_RETRYABLE, NO_HANDLER, EXPIRED, QUARANTINED, INVALID_PAYLOAD, UNKNOWN_CLASS or "
	    "UNKNOWN_CODE" },
	{ "class", take_class, "TRANSIENT, PERSISTENT, NON_RETRYABLE, AUTH, RATE_LIMITED or CRASH" },
	{ "code", take_code, "an error code: 1 to 63 upper-case letters, digits and _" },
	{ "fingerprint", take_fingerprint, "a fingerprint as a letter shows it: 8-4-4-4-12 hexadecimal digits" },
	{ "cause", take_cause, "the number of a cause" },
	{ "schema_version", take_schema, "at most 64 bytes; empty for letters without one" },
	{ "label", take_label, "name=value" },
	{ "died_after", take_after, EXPECTED_TIME },
	{ "died_before", take_before, EXPECTED_TIME },
	{ "ids", take_ids, "1 to 1000 ids of tasks" },
};
#define IDS (ARRAY_LEN(members) - 1) /* place in the list */
#define CAUSE 6

static const struct member *
member_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (span_is(name, members[i].name))
			return &members[i];
	return NULL;
}

/* Both ends of the time are there, and nothing lies between them. */
static bool
time_is_empty(const struct api_dead_filter *g)
{
	return g->f.died_after != 0 && g->f.died_before != 0 && g->f.died_after >= g->f.died_before;
}

#define EMPTY_TIME "died_after is not before died_before: no letter can have died between them"

/* --- a query ------------------------------------------------------------------------------------------------------------------ */

enum api_dead_taken
api_dead_filter_parameter(struct api_dead_filter *g, struct span name, struct span value)
{
	struct arena *arena = http_arena(g->c->r);
	const struct member *m = member_find(name);
	unsigned bit;

	if (m == NULL)
		return API_DEAD_UNKNOWN;
	bit = 1u << (m - members);
	if ((g->seen & bit) != 0)
		(void)api_dead_refuse(g->c, NULL, arena_printf(arena, "\"%s\" was given twice", m->name));
	else if (!m->take(g, value))
		(void)api_dead_refuse(g->c, NULL, arena_printf(arena, "\"%s\": expected %s", m->name, m->expected));
	else if (time_is_empty(g))
		(void)api_dead_refuse(g->c, NULL, EMPTY_TIME);
	else {
		g->seen |= bit;
		return API_DEAD_TAKEN;
	}
	return API_DEAD_REFUSED;
}

/* --- an object ---------------------------------------------------------------------------------------------------------------- */

static bool
take_id_array(struct api_dead_filter *g, const json_t *value)
{
	size_t n = json_array_size(value);
	struct id *ids;

	if (n < 1 || n > STORE_DEAD_IDS)
		return false;
	ids = arena_alloc(http_arena(g->c->r), sizeof(*ids) * n);
	for (size_t i = 0; i < n; i++)
		if (!id_parse(span_of(json_string_value(json_array_get(value, i))), &ids[i]))
			return false;
	set_ids(g, ids, (int)n);
	return true;
}

static bool
take_value(struct api_dead_filter *g, const struct member *m, const json_t *value)
{
	struct arena *arena = http_arena(g->c->r);

	if (m == &members[IDS])
		return take_id_array(g, value);
	if (m == &members[CAUSE])
		return json_is_integer(value) &&
		       take_cause(g, span_of(arena_printf(arena, "%jd", (intmax_t)json_integer_value(value))));
	return json_is_string(value) &&
	       m->take(g, arena_span(arena, (struct span){ json_string_value(value), json_string_length(value) }));
}

static bool
take_member(struct api_dead_filter *g, const char *pointer, const char *name, const json_t *value)
{
	struct arena *arena = http_arena(g->c->r);
	const struct member *m = member_find(span_of(name));

	pointer = arena_printf(arena, "%s/%.64s", pointer, name);
	if (span_is(span_of(name), "all")) {
		g->f.all = json_is_true(value);
		return g->f.all || api_dead_refuse(g->c, pointer, "expected true, or no such member");
	}
	if (m == NULL)
		return api_dead_refuse(g->c, pointer, "unknown member; expected " API_DEAD_NAMES " or all");
	if (!take_value(g, m, value))
		return api_dead_refuse(g->c, pointer, arena_printf(arena, "expected %s", m->expected));
	return true;
}

/* It says what it means. */
static bool
is_clear(struct api_dead_filter *g, const char *pointer)
{
	struct http_problem p = { .status = 422, .code = "empty_filter", .pointer = pointer };
	bool empty = store_dead_filter_is_empty(&g->f);

	if (time_is_empty(g))
		return api_dead_refuse(g->c, pointer, EMPTY_TIME);
	if (g->f.all && !empty)
		return api_dead_refuse(g->c, pointer, "\"all\" stands beside other members; expected either");
	if (!empty || g->f.all)
		return true;
	p.detail = "the filter narrows nothing; expected " API_DEAD_NAMES ", or \"all\": true";
	http_reply_problem(g->c->r, &p);
	return false;
}

bool
api_dead_filter_object(struct api_dead_filter *g, const char *pointer, json_t *object)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return api_dead_refuse(g->c, pointer, "expected an object");
	json_object_foreach(object, name, value)
	{
		if (!take_member(g, pointer, name, value))
			return false;
	}
	return is_clear(g, pointer);
}

/* --- back ------------------------------------------------------------------------------------------------------------------- */

static void
put_text(struct buf *b, const char *name, struct span s)
{
	if (s.ptr == NULL || (s.len == 0 && strcmp(name, "schema_version") != 0))
		return;
	buf_printf(b, "%s\"%s\":", b->data[b->len - 1] == '{' ? "" : ",", name);
	buf_json_string(b, s);
}

static void
put_ids(struct http_request *r, struct buf *b, const struct store_dead_filter *f)
{
	if (f->nids == 0)
		return;
	buf_printf(b, "%s\"ids\":[", b->data[b->len - 1] == '{' ? "" : ",");
	for (int i = 0; i < f->nids; i++)
		buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", api_id(r, &f->ids[i]));
	buf_putc(b, ']');
}

void
api_dead_filter_put(struct http_request *r, struct buf *b, const struct store_dead_filter *f)
{
	struct arena *arena = http_arena(r);

	buf_putc(b, '{');
	if (f->all)
		buf_puts(b, "\"all\":true");
	put_text(b, "queue", f->queue);
	put_text(b, "task_type", f->task_type);
	put_text(b, "reason", f->reason);
	put_text(b, "class", span_of(task_class_name(f->class)));
	put_text(b, "code", f->code);
	if (!id_is_zero(&f->fingerprint))
		put_text(b, "fingerprint", span_of(api_id(r, &f->fingerprint)));
	if (f->cause != 0)
		buf_printf(b, "%s\"cause\":%d", b->data[b->len - 1] == '{' ? "" : ",", (int)f->cause);
	put_text(b, "schema_version", f->schema_version);
	if (f->label_name.len > 0)
		put_text(b, "label",
		    span_of(arena_printf(arena, "%.*s=%.*s", (int)f->label_name.len, f->label_name.ptr,
			(int)f->label_value.len, f->label_value.ptr)));
	if (f->died_after != 0)
		put_text(b, "died_after", span_of(api_time(r, f->died_after)));
	if (f->died_before != 0)
		put_text(b, "died_before", span_of(api_time(r, f->died_before)));
	put_ids(r, b, f);
	buf_putc(b, '}');
}
