/* task_request.c - a submitted body becomes a struct task_request.
 *
 * The fields of /v1 are the table below: name, reader, place, bounds.  A new field is a row here, a place in struct
 * task_request, and a line in take_fingerprint() that writes nothing when the field has its default: then older
 * fingerprints stay.  The compatible surface has its own reader (task_request_compat.c) and shares the fingerprint.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/member.h"
#include "task/task_int.h"

struct reader {
	const struct json_scan *s;
	struct arena *arena;
	struct task_request *r;
	struct task_problem *p;
	struct span *key; /* of an item of a bulk request; null: a body has none */
};

struct field {
	const char *name;
	bool (*take)(const struct reader *rd, const struct field *f, uint32_t value);
	size_t place;
	int min, max; /* of a number; of the bytes of a string */
};

/* Sets a problem at the field and is false, so that a reader can return it. */
static bool
refuse(const struct reader *rd, const struct field *f, uint32_t value, const char *what)
{
	struct span whole = json_whole(rd->s, value);

	problem_set(rd->p, "invalid_field", (size_t)(whole.ptr - rd->s->text.ptr), "%s", what);
	problem_point_text(rd->p, f->name);
	rd->p->input = whole;
	return false;
}

static bool
refuse_text(const struct reader *rd, const struct field *f, uint32_t value, const char *of_what)
{
	char what[160];

	snprintf(what, sizeof(what), "expected a string of %d to %d %s", f->min, f->max, of_what);
	return refuse(rd, f, value, what);
}

bool
request_text(const struct json_scan *s, struct arena *arena, uint32_t token, int min, int max, struct span *text_r)
{
	const struct json_token *t = &s->tokens[token];

	if (t->type != JSON_STRING || (t->flags & JSON_SURROGATE) || t->len > 6u * (unsigned)max)
		return false;
	*text_r = json_text(s, token, arena);
	if (text_r->len < (size_t)min || text_r->len > (size_t)max)
		return false;
	for (size_t i = 0; i < text_r->len; i++)
		if ((unsigned char)text_r->ptr[i] < 0x20 || text_r->ptr[i] == 0x7f)
			return false;
	return true;
}

static bool
text_of(const struct reader *rd, uint32_t token, int min, int max, struct span *text_r)
{
	return request_text(rd->s, rd->arena, token, min, max, text_r);
}

static bool
take_text(const struct reader *rd, const struct field *f, uint32_t value)
{
	struct span *text = (struct span *)(void *)((char *)rd->r + f->place);

	if (!text_of(rd, value, f->min, f->max, text))
		return refuse_text(rd, f, value, "bytes without control characters");
	return true;
}

static bool
is_word(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
			c == '.' || c == ':' || c == '-'))
			return false;
	}
	return true;
}

static bool
take_word(const struct reader *rd, const struct field *f, uint32_t value)
{
	struct span *word = (struct span *)(void *)((char *)rd->r + f->place);

	if (!text_of(rd, value, f->min, f->max, word) || !is_word(*word))
		return refuse_text(rd, f, value, "characters of A-Z a-z 0-9 _ . : -");
	return true;
}

static bool
take_payload(const struct reader *rd, const struct field *f, uint32_t value)
{
	if (rd->s->tokens[value].type != JSON_OBJECT)
		return refuse(rd, f, value, "expected an object");
	rd->r->payload = json_raw(rd->s, value);
	return true;
}

/* Digits only; what does not fit into the bounds is as wrong as what is no number. */
static bool
take_number(const struct reader *rd, const struct field *f, uint32_t value, int *n_r)
{
	struct span raw = json_raw(rd->s, value);
	bool negative = raw.ptr[0] == '-';
	char what[80];
	int n = 0;

	snprintf(what, sizeof(what), "expected an integer from %d to %d", f->min, f->max);
	if (!(rd->s->tokens[value].flags & JSON_INTEGER) || raw.len > 10)
		return refuse(rd, f, value, what);
	for (size_t i = negative; i < raw.len; i++) {
		if (n > 100 * 1000 * 1000)
			return refuse(rd, f, value, what);
		n = 10 * n + (raw.ptr[i] - '0');
	}
	n = negative ? -n : n;
	if (n < f->min || n > f->max)
		return refuse(rd, f, value, what);
	*n_r = n;
	return true;
}

static bool
take_int(const struct reader *rd, const struct field *f, uint32_t value)
{
	return take_number(rd, f, value, (int *)(void *)((char *)rd->r + f->place));
}

static bool
take_seconds(const struct reader *rd, const struct field *f, uint32_t value)
{
	int seconds = 0;

	if (!take_number(rd, f, value, &seconds))
		return false;
	*(int64_t *)(void *)((char *)rd->r + f->place) = seconds * CLOCK_SECOND;
	return true;
}

static bool
take_time(const struct reader *rd, const struct field *f, uint32_t value)
{
	int64_t *time = (int64_t *)(void *)((char *)rd->r + f->place);
	struct span text;

	if (!text_of(rd, value, f->min, f->max, &text) || !clock_parse(text, time))
		return refuse(
		    rd, f, value, "expected a time of RFC 3339, like 2030-01-31T08:00:00Z, in the years 1970 to 9999");
	return true;
}

static bool
take_labels(const struct reader *rd, const struct field *f, uint32_t value)
{
	const struct json_token *tokens = rd->s->tokens;
	struct task_label *label = rd->r->labels;

	if (tokens[value].type != JSON_OBJECT)
		return refuse(rd, f, value, "expected an object of strings");
	for (uint32_t name = tokens[value].link; name != 0; name = tokens[name].link, label++) {
		bool good = true;

		if (label == rd->r->labels + TASK_LABELS_MAX)
			return refuse(rd, f, value, "expected at most 16 labels");
		if (!text_of(rd, name, 1, TASK_LABEL_MAX, &label->name))
			good = refuse(rd, f, name, "expected names of 1 to 64 bytes without control characters");
		else if (!text_of(rd, name + 1, 1, TASK_LABEL_MAX, &label->value))
			good = refuse(rd, f, name + 1, "expected a string of 1 to 64 bytes without control characters");
		if (!good) {
			problem_point_name(rd->p, rd->s, name);
			return false;
		}
	}
	rd->r->nlabels = (int)(label - rd->r->labels);
	return true;
}

static bool
take_unique(const struct reader *rd, const struct field *f UNUSED, uint32_t value)
{
	return unique_read(rd->s, rd->arena, value, &rd->r->unique, rd->p);
}

#define PLACE(member) offsetof(struct task_request, member)

static const struct field fields[] = {
	{ "task_type", take_word, PLACE(task_type), 1, TASK_TYPE_MAX },
	{ "queue", take_word, PLACE(queue), 1, TASK_QUEUE_MAX },
	{ "payload", take_payload, PLACE(payload), 0, 0 },
	{ "max_attempts", take_int, PLACE(max_attempts), 1, TASK_ATTEMPTS_MAX },
	{ "priority", take_int, PLACE(priority), TASK_PRIORITY_MIN, TASK_PRIORITY_MAX },
	{ "run_at", take_time, PLACE(run_at), 1, 64 },
	{ "delay", take_seconds, PLACE(delay), 0, TASK_DELAY_MAX },
	{ "expires_at", take_time, PLACE(expires_at), 1, 64 },
	{ "expires_in", take_seconds, PLACE(expires_in), 1, TASK_EXPIRES_MAX },
	{ "schema_version", take_text, PLACE(schema_version), 1, TASK_SCHEMA_MAX },
	{ "trace_id", take_text, PLACE(trace_id), 1, TASK_TRACE_MAX },
	{ "group", take_text, PLACE(group), 1, TASK_GROUP_MAX },
	{ "ordering_key", take_text, PLACE(ordering_key), 1, TASK_GROUP_MAX },
	{ "labels", take_labels, PLACE(labels), 0, 0 },
	{ "unique", take_unique, PLACE(unique), 0, 0 },
};

static const struct field *
field_of(const struct reader *rd, uint32_t name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (json_text_is(rd->s, name, fields[i].name))
			return &fields[i];
	return NULL;
}

static bool
refuse_unknown(const struct reader *rd, uint32_t name)
{
	problem_set(rd->p, "unknown_field", rd->s->tokens[name].start - 1,
	    "expected only task_type, queue, payload, max_attempts, priority, run_at, delay, expires_at, expires_in, "
	    "schema_version, trace_id, "
	    "group, ordering_key, labels, unique");
	problem_point_name(rd->p, rd->s, name);
	rd->p->input = json_whole(rd->s, name + 1);
	return false;
}

/* Its form is checked by task_key_check(), like that of a header. */
static bool
take_key(const struct reader *rd, uint32_t value)
{
	const struct json_token *t = &rd->s->tokens[value];
	static const struct field key = { .name = TASK_KEY_MEMBER };

	if (t->type != JSON_STRING || (t->flags & JSON_SURROGATE) != 0) {
		(void)refuse(rd, &key, value, "expected a string of 1 to 255 printable ASCII characters");
		rd->p->code = "invalid_key";
		return false;
	}
	*rd->key = json_text(rd->s, value, rd->arena);
	return true;
}

/* Where the times stand: tokens of their names; 0: they are not there. */
struct times {
	uint32_t run_at, delay, expires_at, expires_in;
};

static void
times_note(struct times *at, const struct field *f, uint32_t name)
{
	if (f->place == PLACE(run_at))
		at->run_at = name;
	else if (f->place == PLACE(delay))
		at->delay = name;
	else if (f->place == PLACE(expires_at))
		at->expires_at = name;
	else if (f->place == PLACE(expires_in))
		at->expires_in = name;
}

static bool
refuse_time(const struct reader *rd, uint32_t name, const char *field, const char *what)
{
	problem_set(rd->p, "invalid_field", rd->s->tokens[name].start - 1, "%s", what);
	problem_point_text(rd->p, field);
	return false;
}

/* A time and a number of seconds cannot be compared without a clock, which a request that may come again must not depend on: such a task
 * may expire before it may run. */
static bool
times_fit(const struct reader *rd, const struct times *at)
{
	const struct task_request *r = rd->r;

	if (at->delay != 0 && at->run_at != 0)
		return refuse_time(rd, at->delay, "delay", "expected run_at or delay, not both");
	if (at->expires_at != 0 && at->expires_in != 0)
		return refuse_time(rd, at->expires_in, "expires_in", "expected expires_at or expires_in, not both");
	if (at->expires_at != 0 && at->run_at != 0 && r->expires_at <= r->run_at)
		return refuse_time(
		    rd, at->expires_at, "expires_at", "expected a time after run_at: it could never start in time");
	if (at->expires_in != 0 && at->delay != 0 && r->expires_in <= r->delay)
		return refuse_time(rd, at->expires_in, "expires_in",
		    "expected more seconds than delay has: it could never start in time");
	return true;
}

static bool
read_v1(const struct reader *rd)
{
	const struct json_token *root = rd->s->tokens;
	struct times at = { 0 };

	if (root->type != JSON_OBJECT) {
		problem_set(rd->p, "invalid_field", root->start, "expected an object");
		return false;
	}
	for (uint32_t name = 1; name < root->next; name = rd->s->tokens[name + 1].next) {
		const struct field *f = field_of(rd, name);

		if (f == NULL && rd->key != NULL && json_text_is(rd->s, name, TASK_KEY_MEMBER)) {
			if (!take_key(rd, name + 1))
				return false;
			continue;
		}
		if (f == NULL)
			return refuse_unknown(rd, name);
		if (!f->take(rd, f, name + 1))
			return false;
		times_note(&at, f, name);
	}
	if (rd->r->task_type.len == 0) {
		problem_set(rd->p, "missing_field", root->start, "expected task_type, a string of 1 to %d characters",
		    TASK_TYPE_MAX);
		problem_point_text(rd->p, "task_type");
		return false;
	}
	return times_fit(rd, &at);
}

/* --- the fingerprint ----------------------------------------------------------------------------------------------- */

static void
put_text(struct buf *b, const char *before, struct span text)
{
	buf_puts(b, before);
	if (text.len == 0)
		buf_puts(b, "null");
	else
		json_canon_text(b, text);
}

static void
put_labels(struct buf *b, const char *before, const struct task_request *r)
{
	buf_puts(b, before);
	for (int i = 0; i < r->nlabels; i++) {
		buf_putc(b, i == 0 ? '{' : ',');
		json_canon_text(b, r->labels[i].name);
		buf_putc(b, ':');
		json_canon_text(b, r->labels[i].value);
	}
	buf_puts(b, r->nlabels == 0 ? "{}" : "}");
}

#define TEXT_KEEP (16 * 1024)

/* SHA-256 of version 1, "submit", NUL, and the whole task as canonical JSON.  Frozen: kept keys hold this digest.
 * `payload` is its token; 0 when there is none. */
static void
take_fingerprint(const struct json_scan *s, uint32_t payload, struct task_request *r)
{
	static const char prefix[] = "\001submit";
	static struct buf b; /* kept from one request to the next, unless it grew long */

	buf_reset(&b);
	buf_reserve(&b, r->payload.len + 1024);
	buf_put(&b, prefix, sizeof(prefix));
	member_int(&b, "{\"delay\":", r->delay);
	if (r->expires_at != 0)
		member_int(&b, ",\"expires_at\":", r->expires_at);
	if (r->expires_in != 0)
		member_int(&b, ",\"expires_in\":", r->expires_in);
	put_text(&b, ",\"group\":", r->group);
	put_labels(&b, ",\"labels\":", r);
	member_int(&b, ",\"max_attempts\":", r->max_attempts);
	if (r->ordering_key.len > 0)
		put_text(&b, ",\"ordering_key\":", r->ordering_key);
	buf_puts(&b, ",\"payload\":");
	if (payload != 0)
		json_canon(&b, s, payload);
	else
		buf_puts(&b, "{}");
	member_int(&b, ",\"priority\":", r->priority);
	put_text(&b, ",\"queue\":", r->queue);
	member_int(&b, ",\"run_at\":", r->run_at);
	put_text(&b, ",\"schema_version\":", r->schema_version);
	put_text(&b, ",\"task_type\":", r->task_type);
	put_text(&b, ",\"trace_id\":", r->trace_id);
	if (r->unique.name.len > 0) {
		buf_puts(&b, ",\"unique\":");
		unique_canon(&b, &r->unique);
	}
	buf_putc(&b, '}');
	digest_sha256(b.data, b.len, r->fingerprint);
	if (b.cap > TEXT_KEEP)
		buf_free(&b);
}

/* The payload's token by its place in the body; 0 when the default stands there. */
static uint32_t
payload_token(const struct json_scan *s, const struct task_request *r)
{
	for (uint32_t name = 1; name < s->tokens[0].next; name = s->tokens[name + 1].next)
		if (s->text.ptr + s->tokens[name + 1].start == r->payload.ptr)
			return name + 1;
	return 0;
}

static bool
request_read(struct span body, enum task_surface surface, struct arena *arena, struct task_request *r_r,
    struct span *key_r, struct task_problem *problem_r)
{
	struct json_scan s;
	struct reader rd = { .s = &s, .arena = arena, .r = r_r, .p = problem_r, .key = key_r };
	bool good;

	*r_r = (struct task_request){ .queue = SPAN("default"), .payload = SPAN("{}") };
	r_r->max_attempts = surface == TASK_SURFACE_V1 ? 5 : 3;
	good = json_scan(&s, body, problem_r);
	if (surface == TASK_SURFACE_V1)
		good = good && read_v1(&rd);
	else if (good)
		good = request_read_compat(&s, arena, r_r, problem_r);
	else
		problem_compat(problem_r, body.len == 0);
	if (good)
		take_fingerprint(&s, payload_token(&s, r_r), r_r);
	json_scan_free(&s);
	return good;
}

bool
task_request_read(struct span body, enum task_surface surface, struct arena *arena, struct task_request *r_r,
    struct task_problem *problem_r)
{
	return request_read(body, surface, arena, r_r, NULL, problem_r);
}

bool
task_item_read(
    struct span item, struct arena *arena, struct task_request *r_r, struct span *key_r, struct task_problem *problem_r)
{
	*key_r = (struct span){ 0 };
	return request_read(item, TASK_SURFACE_V1, arena, r_r, key_r, problem_r);
}
