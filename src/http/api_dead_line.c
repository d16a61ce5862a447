/* api_dead_line.c - a dead letter out of the line that an export made of it.
 *
 * What a client may submit is read as a submission is, by the same rules; the rest by the table below.  Members that are not of the letter
 * itself (its cause, who saw to it) are passed over: they are found out anew.  A member that nobody knows is refused, for it may matter.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_dead_line.h"

struct reading {
	struct arena *arena;
	struct api_dead_line *l;
	struct buf body; /* the submission */
	struct span payload_text;
	const char *before; /* of pointers: "", "/history/3" */
};

/* Where a member goes, and of which kind. */
enum kind { TASK, TEXT, TIME, NUMBER, CLASS, REASON, ID, EXIT, STATUS, SIGNAL, HOW, PAYLOAD, HISTORY, SKIP };
struct member {
	const char *name;
	enum kind kind;
	size_t place;
	int64_t min, max; /* of a number; of a text: bytes */
};

#define LETTER(member) offsetof(struct store_letter, member)
#define ATTEMPT(member) offsetof(struct store_attempt, member)
#define NODE_MAX 255

static const struct member letter_members[] = {
	{ "id", ID, LETTER(id), 0, 0 },
	{ "queue", TASK, 0, 0, 0 },
	{ "task_type", TASK, 0, 0, 0 },
	{ "group", TASK, 0, 0, 0 },
	{ "ordering_key", TASK, 0, 0, 0 },
	{ "priority", TASK, 0, 0, 0 },
	{ "schema_version", TASK, 0, 0, 0 },
	{ "trace_id", TASK, 0, 0, 0 },
	{ "labels", TASK, 0, 0, 0 },
	{ "payload", PAYLOAD, 0, 0, 0 },
	{ "payload_text", PAYLOAD, 0, 1, 0 },
	{ "reason", REASON, LETTER(reason), 0, 0 },
	{ "error_class", CLASS, LETTER(class), 0, 0 },
	{ "error_code", TEXT, LETTER(code), 0, 63 },
	{ "message", TEXT, LETTER(message), 0, TASK_ERROR_MAX },
	{ "exit", EXIT, LETTER(exit), 0, 255 },
	{ "http_status", STATUS, LETTER(exit), 100, 999 },
	{ "signal", SIGNAL, LETTER(exit), 0, 0 },
	{ "stderr", TEXT, LETTER(tail), 0, TASK_TAIL_MAX },
	{ "run", NUMBER, LETTER(run), 1, TASK_RUN_MAX },
	{ "attempts", NUMBER, LETTER(attempts), 0, TASK_RUN_MAX },
	{ "max_attempts", NUMBER, LETTER(max_attempts), 1, TASK_RUN_MAX },
	{ "crashes", NUMBER, LETTER(crashes), 0, TASK_RUN_MAX },
	{ "created_at", TIME, LETTER(created_at), 0, 0 },
	{ "died_at", TIME, LETTER(died_at), 0, 0 },
	{ "run_at", TIME, LETTER(run_at), 0, 0 },
	{ "expires_at", TIME, LETTER(expires_at), 0, 0 },
	{ "history", HISTORY, 0, 0, 0 },
	{ "cause", SKIP, 0, 0, 0 },
	{ "fingerprint", SKIP, 0, 0, 0 },
	{ "first_seen", SKIP, 0, 0, 0 },
	{ "acknowledged_by", SKIP, 0, 0, 0 },
	{ "note", SKIP, 0, 0, 0 },
	{ "owner", SKIP, 0, 0, 0 },
	{ "due_at", SKIP, 0, 0, 0 },
	{ "resolution", SKIP, 0, 0, 0 },
	{ "resolved_at", SKIP, 0, 0, 0 },
	{ "by", SKIP, 0, 0, 0 },
	{ "why", SKIP, 0, 0, 0 },
	{ "replay", SKIP, 0, 0, 0 },
};

static const struct member attempt_members[] = {
	{ "run", NUMBER, ATTEMPT(run), 0, TASK_RUN_MAX }, { "outcome", HOW, ATTEMPT(how), 0, 0 },
	{ "started_at", TIME, ATTEMPT(started_at), 0, 0 }, { "ended_at", TIME, ATTEMPT(ended_at), 0, 0 },
	{ "error_class", CLASS, ATTEMPT(class), 0, 0 }, { "error_code", TEXT, ATTEMPT(code), 0, 63 },
	{ "message", TEXT, ATTEMPT(message), 0, TASK_ERROR_MAX }, { "exit", EXIT, ATTEMPT(exit), 0, 255 },
	{ "http_status", STATUS, ATTEMPT(exit), 100, 999 }, { "signal", SIGNAL, ATTEMPT(exit), 0, 0 },
	{ "stderr", TEXT, ATTEMPT(tail), 0, TASK_TAIL_MAX }, { "node", TEXT, ATTEMPT(node), 0, NODE_MAX },
	{ "worker", SKIP, 0, 0, 0 }, /* a number of that database */
};

/* --- saying no ------------------------------------------------------------------------------------------------------------- */

static bool
refuse(struct reading *g, const char *code, const char *name, const char *detail)
{
	struct task_problem *p = &g->l->problem;

	g->l->code = code;
	(void)snprintf(p->pointer, sizeof(p->pointer), "%s%s%.200s", g->before, *name != '\0' ? "/" : "", name);
	(void)snprintf(p->detail, sizeof(p->detail), "%s", detail);
	return false;
}

static bool
refuse_value(struct reading *g, const struct member *m, const char *expected)
{
	return refuse(g, "invalid_field", m->name, arena_printf(g->arena, "expected %s", expected));
}

/* --- values ---------------------------------------------------------------------------------------------------------------- */

static bool
is_string(struct span value)
{
	return value.ptr[0] == '"';
}

/* The text of a string.  False: it is none, or has a NUL, which no text of the database can have. */
static bool
text_of(struct reading *g, struct span value, struct span *text_r)
{
	struct buf b = { 0 };

	if (!is_string(value))
		return false;
	task_json_text(&b, value);
	*text_r = arena_span(g->arena, buf_span(&b));
	buf_free(&b);
	return text_r->len == 0 || memchr(text_r->ptr, '\0', text_r->len) == NULL;
}

static bool
number_of(struct span value, int64_t min, int64_t max, int64_t *n_r)
{
	char text[24], *end;

	if (value.len >= sizeof(text) || value.ptr[0] == '"')
		return false;
	memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	*n_r = strtoll(text, &end, 10);
	return *end == '\0' && *n_r >= min && *n_r <= max;
}

static bool
take_text(struct reading *g, const struct member *m, void *to, struct span value)
{
	if (text_of(g, value, to) && ((struct span *)to)->len <= (size_t)m->max)
		return true;
	return refuse_value(
	    g, m, arena_printf(g->arena, "a string of at most %jd bytes without NUL, or null", (intmax_t)m->max));
}

static bool
take_time(struct reading *g, const struct member *m, void *to, struct span value)
{
	struct span text;

	if (text_of(g, value, &text) && clock_parse(text, to) && *(int64_t *)to > 0)
		return true;
	return refuse_value(g, m, "a time by RFC 3339 such as 2026-01-31T12:00:00Z");
}

static bool
take_number(struct reading *g, const struct member *m, void *to, struct span value)
{
	int64_t n;

	if (!number_of(value, m->min, m->max, &n))
		return refuse_value(
		    g, m, arena_printf(g->arena, "an integer from %jd to %jd", (intmax_t)m->min, (intmax_t)m->max));
	*(int *)to = m->kind == EXIT ? (int)n << 8 : m->kind == STATUS ? (int)n + TASK_EXIT_HTTP : (int)n;
	return true;
}

/* As api_put_exit() writes it: SIGKILL, or a number of one without a name. */
static bool
take_signal(struct reading *g, const struct member *m, void *to, struct span value)
{
	struct span text;
	const char *name;

	if (!text_of(g, value, &text))
		return refuse_value(g, m, "the name of a signal, such as SIGKILL");
	for (int sig = 1; sig < 65; sig++) {
		name = sigabbrev_np(sig);
		name = name != NULL ? arena_printf(g->arena, "SIG%s", name) : arena_printf(g->arena, "%d", sig);
		if (span_is(text, name)) {
			*(int *)to = sig;
			return true;
		}
	}
	return refuse_value(g, m, "the name of a signal, such as SIGKILL");
}

static bool
take_word(struct reading *g, const struct member *m, void *to, struct span value)
{
	struct span text;
	enum store_attempt_how how;

	if (m->kind == CLASS && text_of(g, value, &text) && task_class_parse(text, to))
		return true;
	if (m->kind == CLASS)
		return refuse_value(g, m, "TRANSIENT, PERSISTENT, NON_RETRYABLE, AUTH, RATE_LIMITED, CRASH or null");
	if (m->kind == REASON) {
		if (text_of(g, value, to) && task_dead_reason_known(*(struct span *)to))
			return true;
		return refuse_value(g, m, "a reason, such as RETRY_EXHAUSTED");
	}
	if (!text_of(g, value, &text) || !api_attempt_how(text, &how) || how > STORE_ATTEMPT_PUT_OFF)
		return refuse_value(g, m, "retry, dead_letter, failed or put_off");
	*(enum store_attempt_how *)to = how;
	return true;
}

static bool
take_id(struct reading *g, const struct member *m, void *to, struct span value)
{
	struct span text;

	if (text_of(g, value, &text) && id_parse(text, to) && !id_is_zero(to))
		return true;
	return refuse_value(g, m, "the id of a task: 8-4-4-4-12 hexadecimal digits");
}

/* --- members ---------------------------------------------------------------------------------------------------------------- */

static bool take_history(struct reading *g, const struct member *m, struct span value);

static void
put_body(struct reading *g, const char *name, struct span value)
{
	buf_printf(&g->body, "%s\"%s\":", g->body.len == 0 ? "{" : ",", name);
	buf_putspan(&g->body, value);
}

/* Exactly as it came; a text, which is there where the line could not hold it, counts more. */
static bool
take_payload(struct reading *g, const struct member *m, struct span value)
{
	bool text = m->min == 1;

	if (text && !text_of(g, value, &g->payload_text))
		return refuse_value(g, m, "a string that holds JSON");
	if (!text)
		g->l->in.letter.payload = value;
	return true;
}

static bool
take(struct reading *g, const struct member *m, void *base, struct span value)
{
	void *to = (char *)base + m->place;

	if (span_is(value, "null") && m->kind != PAYLOAD)
		return true;
	switch (m->kind) {
	case TASK:
		put_body(g, m->name, value);
		return true;
	case TEXT:
		return take_text(g, m, to, value);
	case TIME:
		return take_time(g, m, to, value);
	case NUMBER:
	case EXIT:
	case STATUS:
		return take_number(g, m, to, value);
	case SIGNAL:
		return take_signal(g, m, to, value);
	case CLASS:
	case REASON:
	case HOW:
		return take_word(g, m, to, value);
	case ID:
		return take_id(g, m, to, value);
	case PAYLOAD:
		return take_payload(g, m, value);
	case HISTORY:
		return take_history(g, m, value);
	case SKIP:
		return true;
	}
	UNREACHABLE("no such kind");
}

/* All members of an object, by a table. */
static bool
take_members(struct reading *g, const struct member *table, size_t n, void *base, struct span object)
{
	struct span rest = task_json_inside(object), name, value, text;
	size_t i;

	while (task_json_next(&rest, &name, &value)) {
		if (!text_of(g, name, &text))
			text = (struct span){ 0 };
		for (i = 0; i < n && !span_is(text, table[i].name); i++)
			;
		if (i == n)
			return refuse(g, "unknown_field",
			    arena_printf(g->arena, "%.*s", (int)(text.len < 100 ? text.len : 100), text.ptr),
			    "no letter has such a member");
		if (!take(g, &table[i], base, value))
			return false;
	}
	return true;
}

static bool
take_history(struct reading *g, const struct member *m, struct span value)
{
	struct span rest = value.ptr[0] == '[' ? task_json_inside(value) : (struct span){ 0 }, item;
	struct store_attempt *all = arena_alloc(g->arena, sizeof(*all) * API_HISTORY_MAX);
	int n = 0;

	if (value.ptr[0] != '[')
		return refuse_value(g, m, "an array of attempts");
	while (task_json_next(&rest, NULL, &item)) {
		g->before = arena_printf(g->arena, "/history/%d", n);
		if (n == API_HISTORY_MAX || item.ptr[0] != '{')
			return refuse(g, "invalid_field", "",
			    arena_printf(g->arena, "expected an object, at most %d of them", API_HISTORY_MAX));
		all[n] = (struct store_attempt){ .exit = -1, .run = -1 };
		if (!take_members(g, attempt_members, ARRAY_LEN(attempt_members), &all[n], item))
			return false;
		if (all[n].run < 0 || all[n].how == 0 || all[n].ended_at == 0)
			return refuse(g, "missing_field", "", "expected run, outcome and ended_at");
		n++;
	}
	g->before = "";
	g->l->in.history = all;
	g->l->in.nhistory = n;
	return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------- */

/* The part that a client might have submitted, by the rules for that. */
static bool
read_submission(struct reading *g)
{
	struct store_letter *to = &g->l->in.letter;
	struct task_request r;
	struct buf options = { 0 };

	put_body(g, "payload", g->payload_text.len > 0 ? g->payload_text : to->payload);
	buf_putc(&g->body, '}');
	if (!task_request_read(
		arena_span(g->arena, buf_span(&g->body)), TASK_SURFACE_V1, g->arena, &r, &g->l->problem)) {
		g->l->code = g->l->problem.code;
		return false;
	}
	to->queue = r.queue;
	to->task_type = r.task_type;
	to->group = r.group;
	to->ordering_key = r.ordering_key;
	to->priority = r.priority;
	to->payload = r.payload;
	r.expires_at = to->expires_at;
	task_options_pack(&options, &r);
	g->l->in.options = arena_span(g->arena, buf_span(&options));
	buf_free(&options);
	return true;
}

static bool
check(struct reading *g)
{
	struct store_letter *l = &g->l->in.letter;

	if (id_is_zero(&l->id))
		return refuse(g, "missing_field", "id", "expected the id of a task");
	if (l->reason.len == 0)
		return refuse(g, "missing_field", "reason", "expected a reason, such as RETRY_EXHAUSTED");
	if (l->died_at == 0)
		return refuse(g, "missing_field", "died_at", "expected a time by RFC 3339");
	if (l->payload.len == 0 && g->payload_text.len == 0)
		return refuse(g, "missing_field", "payload", "expected the payload of the task");
	if (l->created_at == 0)
		l->created_at = l->died_at;
	return true;
}

/* {"end": true, "letters": n} */
static bool
read_end(struct api_dead_line *l, struct span line)
{
	struct span rest = task_json_inside(line), name, value;

	while (task_json_next(&rest, &name, &value)) {
		if (span_is(name, "\"end\"") && span_is(value, "true"))
			l->end = true;
		else if (!span_is(name, "\"letters\"") || !number_of(value, 0, INT64_MAX, &l->letters))
			return false;
	}
	return l->end;
}

bool
api_dead_line_read(struct span line, struct arena *arena, struct api_dead_line *l_r)
{
	struct reading g = { .arena = arena, .l = l_r, .before = "" };
	struct buf canonical = { 0 };
	bool good;

	*l_r = (struct api_dead_line){ .in.letter = { .exit = -1, .run = 1, .max_attempts = 5 } };
	good = task_json_canonical(line, &canonical, &l_r->problem);
	buf_free(&canonical);
	if (!good) {
		l_r->code = l_r->problem.code;
		return false;
	}
	line.len -= line.len > 0 && line.ptr[line.len - 1] == '\n';
	while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
		line = (struct span){ line.ptr + 1, line.len - 1 };
	if (line.len == 0 || line.ptr[0] != '{')
		return refuse(&g, "invalid_field", "", "expected an object: a dead letter");
	if (read_end(l_r, line))
		return true;
	good = take_members(&g, letter_members, ARRAY_LEN(letter_members), &l_r->in.letter, line) && check(&g) &&
	       read_submission(&g);
	buf_free(&g.body);
	return good;
}
