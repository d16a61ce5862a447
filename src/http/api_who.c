/* api_who.c - who acts, and why: the members by and why of every request that does something to what others own.
 *
 * Requests under /v1/dead must have both (api_who_told); the acts on one task, on queues, types and handlers may.  What was told goes into the
 * audit (store/store_audit.h), in the transaction of the act.
 */
#include "http/api_int.h"

static bool
take_text(struct api_call *c, const char *name, const json_t *value, size_t max, struct span *text_r)
{
	const char *text = json_string_value(value);
	struct span s;

	if (text == NULL || (s = span_of(text)).len > max)
		return api_refuse(c, "invalid_field", arena_printf(http_arena(c->r), "/%s", name),
		    arena_printf(http_arena(c->r), "expected a string of at most %zu bytes", max));
	*text_r = arena_span(http_arena(c->r), s);
	return true;
}

bool
api_who_member(struct api_call *c, const char *name, const json_t *value, struct store_who *who, const char *expected)
{
	struct span s = span_of(name);

	if (span_is(s, "why"))
		return take_text(c, name, value, STORE_WHY_MAX, &who->why);
	if (span_is(s, "by"))
		return take_text(c, name, value, STORE_BY_MAX, &who->by);
	return api_refuse(c, "unknown_field", arena_printf(http_arena(c->r), "/%.200s", name), expected);
}

bool
api_who_told(struct api_call *c, const struct store_who *who)
{
	if (who->by.len == 0)
		return api_refuse(
		    c, "missing_field", "/by", "expected by: who does it, 1 to 100 bytes; nothing was done");
	if (who->why.len == 0)
		return api_refuse(
		    c, "missing_field", "/why", "expected why: the reason, 1 to 500 bytes; nothing was done");
	return true;
}

static bool
take_members(struct api_call *c, json_t *body, struct store_who *who)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		if (!api_who_member(c, name, value, who, "expected only why, by"))
			return false;
	}
	return true;
}

bool
api_who_body(struct api_call *c, struct store_who *who)
{
	json_t *body;
	bool good;

	if (!api_call_body(c, &body))
		return false;
	good = body == NULL || take_members(c, body, who);
	json_decref(body);
	return good;
}
