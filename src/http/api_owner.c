/* api_owner.c - whose dead letters they are: GET, PUT and DELETE /v1/dead/owners, the routing table.
 *
 * A row is named by queue, task_type and fingerprint; what is left out is any, and a row without the three is for all.  A member that is unknown
 * is refused: a misspelled one would make an owner of everything.  Next: store/store_owner.c.
 */
#include <string.h>

#include "base/clock.h"

#include "http/api_dead.h"

#define SLA_MAX (366 * 86400)

struct routing {
	struct api_call *c;
	struct store_owner o;
	struct store_who who;
	bool drops;
};

/* --- the body -------------------------------------------------------------------------------------------------------------- */

static bool
take_text(struct routing *g, const json_t *value, size_t max, struct span *s_r)
{
	if (!json_is_string(value) || json_string_length(value) < 1 || json_string_length(value) > max)
		return false;
	*s_r = arena_span(http_arena(g->c->r), (struct span){ json_string_value(value), json_string_length(value) });
	return true;
}

static bool
take_queue(struct routing *g, const json_t *value)
{
	return take_text(g, value, TASK_QUEUE_MAX, &g->o.queue);
}

static bool
take_type(struct routing *g, const json_t *value)
{
	return take_text(g, value, TASK_TYPE_MAX, &g->o.task_type);
}

static bool
take_fingerprint(struct routing *g, const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && id_parse(span_of(text), &g->o.fingerprint) && !id_is_zero(&g->o.fingerprint);
}

static bool
take_owner(struct routing *g, const json_t *value)
{
	return !g->drops && take_text(g, value, STORE_OWNER_MAX, &g->o.owner);
}

static bool
take_sla(struct routing *g, const json_t *value)
{
	return !g->drops && api_seconds(value, SLA_MAX, &g->o.sla);
}

static const struct member {
	const char *name;
	bool (*take)(struct routing *g, const json_t *value);
	const char *expected;
} members[] = {
	{ "queue", take_queue, "expected 1 to 64 bytes; left out: any" },
	{ "task_type", take_type, "expected 1 to 64 bytes; left out: any" },
	{ "fingerprint", take_fingerprint, "expected a fingerprint as a letter shows it; left out: any" },
	{ "owner", take_owner, "expected 1 to 100 bytes, and only where an owner is set" },
	{ "sla_seconds", take_sla,
	    "expected seconds, more than 0 and at most 31622400, and only where an owner is set" },
};

static bool
take_member(struct routing *g, const char *name, const json_t *value)
{
	struct arena *arena = http_arena(g->c->r);

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (span_is(span_of(name), members[i].name))
			return members[i].take(g, value) ||
			       api_refuse(g->c, "invalid_field", arena_printf(arena, "/%s", name), members[i].expected);
	return api_who_member(
	    g->c, name, value, &g->who, "expected only queue, task_type, fingerprint, owner, sla_seconds, by, why");
}

static bool
take_members(struct routing *g, json_t *body)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		if (!take_member(g, name, value))
			return false;
	}
	if (!g->drops && g->o.owner.len == 0)
		return api_refuse(g->c, "missing_field", "/owner", "expected owner, 1 to 100 bytes");
	if (!g->drops && g->o.sla == 0)
		return api_refuse(g->c, "missing_field", "/sla_seconds", members[4].expected);
	return api_who_told(g->c, &g->who);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------------- */

static void
put_row(struct buf *b, const struct store_owner *o)
{
	member_text(b, "\"queue\":", o->queue);
	member_text(b, ",\"task_type\":", o->task_type);
	member_id(b, ",\"fingerprint\":", id_is_zero(&o->fingerprint) ? NULL : &o->fingerprint);
	if (o->sla > 0) {
		member_text(b, ",\"owner\":", o->owner);
		buf_printf(b, ",\"sla_seconds\":%.15g", (double)o->sla / (double)CLOCK_SECOND);
	}
}

static void
on_changed(void *arg, enum store_status status, bool changed)
{
	struct routing *g = arg;
	struct http_problem full = { .status = 409, .code = "too_many_owners" };
	struct buf b = { 0 };

	if (status == STORE_REFUSED) {
		full.detail =
		    arena_printf(http_arena(g->c->r), "there are %d rows already; nothing was changed", STORE_OWNERS);
		http_reply_problem(g->c->r, &full);
		return;
	}
	if (status != STORE_OK) {
		api_reply_later(g->c->r, status == STORE_UNSURE);
		return;
	}
	buf_putc(&b, '{');
	put_row(&b, &g->o);
	buf_printf(&b, ",\"changed\":%s}", changed ? "true" : "false");
	api_reply_json(g->c->r, &b);
}

static void
route(void *app, struct http_request *r, bool drops)
{
	struct routing *g = arena_alloc(http_arena(r), sizeof(*g));
	struct buf target = { 0 };
	json_t *body = NULL;
	bool good;

	*g = (struct routing){ .c = api_call_new(app, r), .drops = drops };
	if (!api_call_body(g->c, &body))
		return;
	good = take_members(g, body);
	json_decref(body);
	if (!good)
		return;
	buf_putc(&target, '{');
	put_row(&target, &g->o);
	buf_putc(&target, '}');
	if (drops)
		store_owner_drop(g->c->api->store, &g->o, &g->who, buf_span(&target), on_changed, g);
	else
		store_owner_set(g->c->api->store, &g->o, &g->who, buf_span(&target), on_changed, g);
	buf_free(&target);
}

void
api_owner_set(void *app, struct http_request *r)
{
	route(app, r, false);
}

void
api_owner_drop(void *app, struct http_request *r)
{
	route(app, r, true);
}

static void
on_owners(void *arg, enum store_status status, const struct store_owner *owners, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (!api_items_begin(c, status, &b))
		return;
	for (int i = 0; i < n; i++) {
		buf_puts(&b, i > 0 ? ",{" : "{");
		put_row(&b, &owners[i]);
		buf_putc(&b, '}');
	}
	api_items_end(c, &b);
}

void
api_owners(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	store_owners(c->api->store, on_owners, c);
}
