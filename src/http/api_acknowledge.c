/* api_acknowledge.c - POST /v1/dead/acknowledge: somebody sees to a cause, or to all that a filter of causes tells, and until when.
 *
 * It is an act on causes, so what only tells letters apart (label, time, ids) is refused.  Next: store/store_owner.c.
 */
#include <inttypes.h>

#include "base/clock.h"

#include "http/api_dead.h"

#define NOTE_MAX 1000
#define DUE_MAX (366 * 86400)

struct acking {
	struct api_call *c;
	struct api_dead_filter f;
	struct store_ack a;
	bool told; /* which causes */
};

/* --- the body -------------------------------------------------------------------------------------------------------------- */

static bool
refuse(struct acking *g, const char *pointer, const char *expected)
{
	return api_refuse(g->c, "invalid_field", pointer, expected);
}

static bool
take_cause(struct acking *g, json_t *value)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 1 || n > INT32_MAX)
		return refuse(g, "/cause", "expected the number of a cause");
	if (g->told)
		return refuse(g, "/cause", "expected either cause or filter");
	g->f.f.cause = (int32_t)n;
	g->told = true;
	return true;
}

static bool
take_filter(struct acking *g, json_t *value)
{
	const struct store_dead_filter *f = &g->f.f;

	if (g->told)
		return refuse(g, "/filter", "expected either cause or filter");
	g->told = true;
	if (!api_dead_filter_object(&g->f, "/filter", value))
		return false;
	if (f->label_name.len == 0 && f->died_after == 0 && f->died_before == 0 && f->nids == 0)
		return true;
	return api_dead_refuse(
	    g->c, "/filter", "whole causes are acknowledged; expected none of label, died_after, died_before, ids");
}

static bool
take_note(struct acking *g, json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) > NOTE_MAX)
		return refuse(g, "/note", "expected a string of at most 1000 bytes");
	g->a.note = arena_span(http_arena(g->c->r), span_of(json_string_value(value)));
	return true;
}

static bool
take_due_at(struct acking *g, json_t *value)
{
	if (json_is_string(value) && clock_parse(span_of(json_string_value(value)), &g->a.due_at) &&
	    g->a.due_at > clock_wall() && g->a.due_in == 0)
		return true;
	return refuse(g, "/due_at", "expected a time to come, by RFC 3339, and not due_in as well");
}

static bool
take_due_in(struct acking *g, json_t *value)
{
	if (api_seconds(value, DUE_MAX, &g->a.due_in) && g->a.due_at == 0)
		return true;
	return refuse(g, "/due_in", "expected seconds, more than 0 and at most 31622400, and not due_at as well");
}

static const struct member {
	const char *name;
	bool (*take)(struct acking *g, json_t *value); /* false: answered */
} members[] = {
	{ "cause", take_cause },
	{ "filter", take_filter },
	{ "note", take_note },
	{ "due_at", take_due_at },
	{ "due_in", take_due_in },
};

static bool
take_member(struct acking *g, const char *name, json_t *value)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (span_is(span_of(name), members[i].name))
			return members[i].take(g, value);
	return api_who_member(
	    g->c, name, value, &g->a.who, "expected only cause, filter, note, due_at, due_in, by, why");
}

static bool
take_members(struct acking *g, json_t *body)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		if (!take_member(g, name, value))
			return false;
	}
	if (!g->told)
		return api_refuse(g->c, "missing_field", "/filter", "expected cause or filter; nothing was done");
	return api_who_told(g->c, &g->a.who);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------------- */

static void
reply(struct acking *g, const struct store_acked *causes, int n)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"acknowledged\":%d,\"items\":[", n);
	for (int i = 0; i < n; i++) {
		buf_printf(&b, "%s{\"cause\":%" PRId32, i > 0 ? "," : "", causes[i].cause);
		member_text(&b, ",\"owner\":", causes[i].owner);
		member_time(&b, ",\"due_at\":", causes[i].due_at);
		buf_putc(&b, '}');
	}
	buf_puts(&b, "]}");
	api_reply_json(g->c->r, &b);
}

static void
on_acked(void *arg, enum store_status status, const struct store_acked *causes, int n)
{
	struct acking *g = arg;
	struct http_problem none = { .status = 404, .code = "unknown_cause" };

	none.detail = "no cause with open letters fits; nothing was changed. GET /v1/dead/summary lists them";
	if (status != STORE_OK)
		api_reply_later(g->c->r, status == STORE_UNSURE);
	else if (n == 0)
		http_reply_problem(g->c->r, &none);
	else
		reply(g, causes, n);
}

void
api_acknowledge(void *app, struct http_request *r)
{
	struct acking *g = arena_alloc(http_arena(r), sizeof(*g));
	struct buf target = { 0 };
	json_t *body = NULL;
	bool good;

	*g = (struct acking){ .c = api_call_new(app, r) };
	g->f.c = g->c;
	g->a.filter = &g->f.f;
	if (!api_call_body(g->c, &body))
		return;
	good = take_members(g, body);
	json_decref(body);
	if (!good)
		return;
	buf_puts(&target, "{\"filter\":");
	api_dead_filter_put(r, &target, &g->f.f);
	buf_putc(&target, '}');
	g->a.target = buf_span(&target);
	store_acknowledge(g->c->api->store, &g->a, on_acked, g);
	buf_free(&target);
}
