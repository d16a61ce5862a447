/* task_lease_read.c - what clients of leases send: that they want tasks, and what they say of those they have.
 *
 * The members of each body are rows of the tables below; what no row names is refused with its place, as in a submission.  A body that is not
 * there is an empty object.  Pure.  Next: task_lease.c, http/api_lease.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "task/task_int.h"

#define LEASE_MAX 604800 /* seconds: 7 days, as handler.lease_max at most */
#define WAIT_MAX 86400
#define TYPES_MAX 100
#define NAME_MAX_BYTES 128

struct reader {
	const struct json_scan *s;
	struct arena *arena;
	struct task_problem *p;
	void *into;
};

struct field {
	const char *name;
	bool (*take)(const struct reader *rd, const struct field *f, uint32_t value);
	unsigned verbs; /* bits of enum task_lease_verb */
	size_t place;
	int min, max;
};

static bool
refuse(const struct reader *rd, uint32_t value, const char *what)
{
	struct span whole = json_whole(rd->s, value);

	problem_set(rd->p, "invalid_field", (size_t)(whole.ptr - rd->s->text.ptr), "%s", what);
	problem_point_token(rd->p, rd->s, value);
	rd->p->input = whole;
	return false;
}

static void *
place_of(const struct reader *rd, const struct field *f)
{
	return (char *)rd->into + f->place;
}

/* --- values ------------------------------------------------------------------------------------------------------------ */

static bool
number_of(const struct reader *rd, const struct field *f, uint32_t value, int *n_r)
{
	struct span raw = json_raw(rd->s, value);
	char what[80];
	int n = 0;

	snprintf(what, sizeof(what), "expected an integer from %d to %d", f->min, f->max);
	if (!(rd->s->tokens[value].flags & JSON_INTEGER) || raw.len > 9)
		return refuse(rd, value, what);
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '-')
			return refuse(rd, value, what);
		n = 10 * n + (raw.ptr[i] - '0');
	}
	*n_r = n;
	return (n >= f->min && n <= f->max) || refuse(rd, value, what);
}

static bool
take_int(const struct reader *rd, const struct field *f, uint32_t value)
{
	return number_of(rd, f, value, place_of(rd, f));
}

static bool
take_seconds(const struct reader *rd, const struct field *f, uint32_t value)
{
	int seconds = 0;

	if (!number_of(rd, f, value, &seconds))
		return false;
	*(int64_t *)place_of(rd, f) = seconds * CLOCK_SECOND;
	return true;
}

static bool
take_text(const struct reader *rd, const struct field *f, uint32_t value)
{
	char what[96];

	if (request_text(rd->s, rd->arena, value, f->min, f->max, place_of(rd, f)))
		return true;
	snprintf(what, sizeof(what), "expected a string of %d to %d bytes without control characters", f->min, f->max);
	return refuse(rd, value, what);
}

static bool
take_types(const struct reader *rd, const struct field *f, uint32_t value)
{
	struct task_lease_ask *ask = rd->into;
	const struct json_token *tokens = rd->s->tokens;

	if (tokens[value].type != JSON_ARRAY || tokens[value].next == value + 1)
		return refuse(rd, value, "expected an array of 1 to 100 task types");
	ask->types = arena_alloc(rd->arena, sizeof(*ask->types) * TYPES_MAX);
	for (uint32_t item = value + 1; item < tokens[value].next; item = tokens[item].next) {
		if (ask->ntypes == TYPES_MAX)
			return refuse(rd, value, "expected an array of 1 to 100 task types");
		if (!request_text(rd->s, rd->arena, item, f->min, f->max, &ask->types[ask->ntypes++]))
			return refuse(rd, item, "expected a string of 1 to 64 bytes without control characters");
	}
	return true;
}

static bool
take_lease(const struct reader *rd, uint32_t value)
{
	struct task_lease_word *w = rd->into;

	if (rd->s->tokens[value].type != JSON_STRING || !task_lease_parse(json_raw(rd->s, value), &w->id, &w->lease_id))
		return refuse(rd, value, "expected a lease: 48 lower-case hexadecimal digits");
	return true;
}

static bool
take_json(const struct reader *rd, const struct field *f, uint32_t value)
{
	*(struct span *)place_of(rd, f) = json_whole(rd->s, value);
	return true;
}

/* Parts of a report are read where the reports of all handlers are read: here they must be of their types. */
static bool
take_said(const struct reader *rd, const struct field *f UNUSED, uint32_t value)
{
	const struct json_token *t = &rd->s->tokens[value];

	if (t->type != JSON_STRING || (t->flags & JSON_SURROGATE) != 0)
		return refuse(rd, value, "expected a string");
	return true;
}

static bool
take_after(const struct reader *rd, const struct field *f UNUSED, uint32_t value)
{
	if (rd->s->tokens[value].type != JSON_NUMBER || json_raw(rd->s, value).ptr[0] == '-')
		return refuse(rd, value, "expected a number of seconds, 0 or more");
	return true;
}

/* --- the tables -------------------------------------------------------------------------------------------------------- */

#define BEAT (1u << TASK_LEASE_HEARTBEAT)
#define COMPLETE (1u << TASK_LEASE_COMPLETE)
#define FAIL (1u << TASK_LEASE_FAIL)
#define RELEASE (1u << TASK_LEASE_RELEASE)
#define ANY (BEAT | COMPLETE | FAIL | RELEASE)
#define ASK(member) offsetof(struct task_lease_ask, member)
#define WORD(member) offsetof(struct task_lease_word, member)

static const struct field ask_fields[] = {
	{ "max", take_int, ANY, ASK(max), 1, TASK_LEASES_MAX },
	{ "wait", take_seconds, ANY, ASK(wait), 0, WAIT_MAX },
	{ "lease_seconds", take_seconds, ANY, ASK(ttl), 1, LEASE_MAX },
	{ "task_types", take_types, ANY, 0, 1, TASK_TYPE_MAX },
	{ "worker", take_text, ANY, ASK(worker), 1, NAME_MAX_BYTES },
};

static const struct field items_fields[] = {
	{ "items", NULL, ANY, 0, 0, 0 },
};

static const struct field word_fields[] = {
	{ "lease_seconds", take_seconds, BEAT, WORD(ttl), 1, LEASE_MAX },
	{ "progress", take_int, BEAT, WORD(percent), 0, 100 },
	{ "note", take_text, BEAT, WORD(note), 0, TASK_NOTE_MAX },
	{ "result", take_json, COMPLETE, WORD(result), 0, 0 },
	{ "error_class", take_said, FAIL, 0, 0, 0 },
	{ "error_code", take_said, FAIL, 0, 0, 0 },
	{ "message", take_said, FAIL, 0, 0, 0 },
	{ "retry_after", take_after, FAIL, 0, 0, 0 },
	{ "delay", take_seconds, RELEASE, WORD(delay), 0, TASK_DELAY_MAX },
};

/* --- objects ----------------------------------------------------------------------------------------------------------- */

static const struct field *
field_of(const struct reader *rd, const struct field *fields, size_t n, enum task_lease_verb verb, uint32_t name)
{
	for (size_t i = 0; i < n; i++)
		if ((fields[i].verbs & 1u << verb) != 0 && json_text_is(rd->s, name, fields[i].name))
			return &fields[i];
	return NULL;
}

static bool
refuse_unknown(
    const struct reader *rd, const struct field *fields, size_t n, enum task_lease_verb verb, bool named, uint32_t name)
{
	char what[200];
	size_t len = (size_t)snprintf(what, sizeof(what), "expected only%s", named ? " lease" : "");
	const char *comma = named ? "," : "";

	for (size_t i = 0; i < n; i++) {
		if ((fields[i].verbs & 1u << verb) == 0)
			continue;
		len += (size_t)snprintf(what + len, sizeof(what) - len, "%s %s", comma, fields[i].name);
		comma = ",";
	}
	problem_set(rd->p, "unknown_field", rd->s->tokens[name].start - 1, "%s", what);
	problem_point_token(rd->p, rd->s, name + 1);
	rd->p->input = json_whole(rd->s, name + 1);
	return false;
}

/* The object `root`; an item of a bulk request has its lease as a member. */
static bool
read_object(
    const struct reader *rd, const struct field *fields, size_t n, enum task_lease_verb verb, uint32_t root, bool item)
{
	const struct json_token *tokens = rd->s->tokens;
	bool named = false;

	if (tokens[root].type != JSON_OBJECT)
		return refuse(rd, root, "expected an object");
	for (uint32_t name = root + 1; name < tokens[root].next; name = tokens[name + 1].next) {
		const struct field *f = field_of(rd, fields, n, verb, name);

		if (item && json_text_is(rd->s, name, "lease")) {
			named = true;
			if (!take_lease(rd, name + 1))
				return false;
		} else if (f == NULL) {
			return refuse_unknown(rd, fields, n, verb, item, name);
		} else if (!f->take(rd, f, name + 1)) {
			return false;
		}
	}
	if (!item || named)
		return true;
	problem_set(rd->p, "missing_field", tokens[root].start, "expected lease, 48 lower-case hexadecimal digits");
	problem_point_token(rd->p, rd->s, root);
	problem_point_text(rd->p, "lease");
	return false;
}

static bool
read_word(const struct reader *rd, enum task_lease_verb verb, uint32_t root, bool item)
{
	struct task_lease_word *w = rd->into;

	w->percent = -1;
	if (!read_object(rd, word_fields, ARRAY_LEN(word_fields), verb, root, item))
		return false;
	if (verb == TASK_LEASE_FAIL)
		w->report = json_whole(rd->s, root);
	if (w->note.ptr == NULL || w->percent >= 0)
		return true;
	problem_set(rd->p, "missing_field", rd->s->tokens[root].start, "expected progress beside a note");
	problem_point_token(rd->p, rd->s, root);
	problem_point_text(rd->p, "progress");
	return false;
}

/* --- bodies ------------------------------------------------------------------------------------------------------------ */

static struct span
body_or_empty(struct span body)
{
	return body.len > 0 ? body : SPAN("{}");
}

bool
task_lease_ask_read(struct span body, struct arena *arena, struct task_lease_ask *ask_r, struct task_problem *problem_r)
{
	struct json_scan s;
	struct reader rd = { .s = &s, .arena = arena, .p = problem_r, .into = ask_r };
	bool good;

	*ask_r = (struct task_lease_ask){ .max = 1 };
	good = json_scan(&s, body_or_empty(body), problem_r) &&
	       read_object(&rd, ask_fields, ARRAY_LEN(ask_fields), TASK_LEASE_HEARTBEAT, 0, false);
	json_scan_free(&s);
	return good;
}

bool
task_lease_word_read(struct span body, enum task_lease_verb verb, struct arena *arena, struct task_lease_word *w_r,
    struct task_problem *problem_r)
{
	struct json_scan s;
	struct reader rd = { .s = &s, .arena = arena, .p = problem_r, .into = w_r };
	bool good;

	good = json_scan(&s, body_or_empty(body), problem_r) && read_word(&rd, verb, 0, false);
	json_scan_free(&s);
	return good;
}

/* The array of the only member, or 0. */
static uint32_t
items_of(const struct reader *rd)
{
	const struct json_token *tokens = rd->s->tokens;

	if (tokens[0].type != JSON_OBJECT)
		return refuse(rd, 0, "expected an object");
	for (uint32_t name = 1; name < tokens[0].next; name = tokens[name + 1].next) {
		if (json_text_is(rd->s, name, "items"))
			continue;
		return refuse_unknown(rd, items_fields, ARRAY_LEN(items_fields), TASK_LEASE_HEARTBEAT, false, name);
	}
	if (tokens[0].next == 1) {
		problem_set(rd->p, "missing_field", tokens[0].start, "expected items, an array of 1 to 1000 objects");
		problem_point_text(rd->p, "items");
		return 0;
	}
	if (tokens[2].type != JSON_ARRAY || tokens[2].next == 3)
		return refuse(rd, 2, "expected an array of 1 to 1000 objects");
	return 2;
}

static int
by_name(const void *a, const void *b)
{
	const struct task_lease_word *const *x = a, *const *y = b;
	int order = id_cmp(&(*x)->id, &(*y)->id);

	if (order == 0 && (*x)->lease_id != (*y)->lease_id)
		order = (*x)->lease_id < (*y)->lease_id ? -1 : 1;
	return order;
}

/* Of the same lease one thing can be said at a time. */
static bool
each_once(const struct reader *rd, const struct task_lease_word *words, int n)
{
	const struct task_lease_word **sorted = arena_alloc(rd->arena, sizeof(*sorted) * (size_t)n);

	for (int i = 0; i < n; i++)
		sorted[i] = &words[i];
	qsort(sorted, (size_t)n, sizeof(*sorted), by_name);
	for (int i = 1; i < n; i++) {
		if (by_name(&sorted[i - 1], &sorted[i]) != 0)
			continue;
		problem_set(rd->p, "invalid_field", 0, "expected each lease once");
		problem_point_text(rd->p, "items");
		problem_point_index(rd->p, (uint32_t)((sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1]) - words));
		problem_point_text(rd->p, "lease");
		return false;
	}
	return true;
}

static bool
read_items(struct reader *rd, enum task_lease_verb verb, struct task_lease_word **words_r, int *n_r)
{
	const struct json_token *tokens = rd->s->tokens;
	uint32_t items = items_of(rd), item;

	*n_r = 0;
	if (items == 0)
		return false;
	*words_r = arena_alloc(rd->arena, sizeof(**words_r) * TASK_LEASES_MAX);
	for (item = items + 1; item < tokens[items].next; item = tokens[item].next) {
		if (*n_r == TASK_LEASES_MAX)
			return refuse(rd, items, "expected an array of 1 to 1000 objects");
		rd->into = &(*words_r)[(*n_r)++];
		if (!read_word(rd, verb, item, true))
			return false;
	}
	return each_once(rd, *words_r, *n_r);
}

bool
task_lease_words_read(struct span body, enum task_lease_verb verb, struct arena *arena,
    struct task_lease_word **words_r, int *n_r, struct task_problem *problem_r)
{
	struct json_scan s;
	struct reader rd = { .s = &s, .arena = arena, .p = problem_r };
	bool good;

	good = json_scan(&s, body_or_empty(body), problem_r) && read_items(&rd, verb, words_r, n_r);
	json_scan_free(&s);
	return good;
}
