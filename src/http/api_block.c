/* api_block.c - what must not be replayed: task types, and single schema versions of them; set, taken away, listed.
 *
 * A block holds for replays that run already, from their next step on, and for retries by hand.  Both acts may be sent again.
 */
#include "http/api_int.h"
#include "store/store_sweep.h"

struct blocking {
	struct api_call c; /* first: it is the argument of callbacks */
	struct store_block b;
	bool sets;
};

static bool
take_name(struct blocking *g, const char *name, const json_t *value, size_t min, size_t max, struct span *s_r)
{
	struct arena *arena = http_arena(g->c.r);
	struct span s = span_of(json_string_value(value));

	if (!json_is_string(value) || s.len != json_string_length(value) || s.len < min || s.len > max)
		return api_refuse(&g->c, "invalid_field", arena_printf(arena, "/%s", name),
		    arena_printf(arena, "expected a string of %zu to %zu bytes", min, max));
	*s_r = arena_span(arena, s);
	return true;
}

static bool
take_member(struct blocking *g, const char *name, const json_t *value)
{
	if (span_is(span_of(name), "task_type"))
		return take_name(g, name, value, 1, TASK_TYPE_MAX, &g->b.task_type);
	if (span_is(span_of(name), "schema_version"))
		return take_name(g, name, value, 1, TASK_SCHEMA_MAX, &g->b.schema_version);
	return api_who_member(&g->c, name, value, &g->b.who, "expected only task_type, schema_version, by, why");
}

static bool
take_body(struct blocking *g)
{
	json_t *body, *value;
	const char *name;
	bool good = true;

	if (!api_call_body(&g->c, &body))
		return false;
	json_object_foreach(body, name, value)
	{
		good = good && take_member(g, name, value);
	}
	json_decref(body);
	if (good && g->b.task_type.len == 0)
		return api_refuse(&g->c, "missing_field", "/task_type", "expected task_type; nothing was done");
	return good && api_who_told(&g->c, &g->b.who);
}

static void
on_done(void *arg, enum store_status status, bool changed)
{
	struct blocking *g = container_of(api_call_of(arg), struct blocking, c);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(g->c.r, status == STORE_UNSURE);
		return;
	}
	member_text(&b, "{\"task_type\":", g->b.task_type);
	member_text(&b, ",\"schema_version\":", g->b.schema_version);
	buf_printf(&b, ",\"blocked\":%s,\"changed\":%s}", g->sets ? "true" : "false", changed ? "true" : "false");
	api_reply_json(g->c.r, &b);
}

/* Null: answered. */
static struct blocking *
begin(void *app, struct http_request *r, bool sets)
{
	struct blocking *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct blocking){ .c = *api_call_new(app, r), .sets = sets };
	return take_body(g) ? g : NULL;
}

void
api_dead_block(void *app, struct http_request *r)
{
	struct blocking *g = begin(app, r, true);

	if (g != NULL)
		store_block(g->c.api->store, &g->b, on_done, &g->c);
}

void
api_dead_unblock(void *app, struct http_request *r)
{
	struct blocking *g = begin(app, r, false);

	if (g != NULL)
		store_unblock(g->c.api->store, &g->b, on_done, &g->c);
}

static void
on_list(void *arg, enum store_status status, const struct store_block *blocks, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (!api_items_begin(c, status, &b))
		return;
	for (int i = 0; i < n; i++) {
		member_text(&b, i > 0 ? ",{\"task_type\":" : "{\"task_type\":", blocks[i].task_type);
		member_text(&b, ",\"schema_version\":", blocks[i].schema_version);
		member_text(&b, ",\"by\":", blocks[i].who.by);
		member_text(&b, ",\"why\":", blocks[i].who.why);
		member_time(&b, ",\"at\":", blocks[i].at);
		buf_putc(&b, '}');
	}
	api_items_end(c, &b);
}

void
api_dead_blocks(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	store_blocks(c->api->store, on_list, c);
}
