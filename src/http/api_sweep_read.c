/* api_sweep_read.c - the body of an act for many dead letters: which, how, who and why; see api_sweep.h.
 *
 * A member that means nothing for the act is refused as any other that is unknown: a discard has no canaries.  A new payload is for letters of
 * one task type, and must fit the schema of its handler as a submission would.  Next: api_sweep.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "task/task_schema.h"

#include "http/api_sweep.h"

#define RATE_MAX 10000
#define COUNT_MAX 1000000
#define MOST_MAX 1000000000000
#define SLOW_MAX 3600

static bool
take_whole(const json_t *value, int64_t min, int64_t max, int64_t *n_r)
{
	*n_r = json_integer_value(value);
	return json_is_integer(value) && *n_r >= min && *n_r <= max;
}

static bool
take_count(const json_t *value, int min, int max, int *n_r)
{
	int64_t n;

	if (!take_whole(value, min, max, &n))
		return false;
	*n_r = (int)n;
	return true;
}

static bool
take_rate(struct api_sweep *g, const json_t *value)
{
	double rate = json_number_value(value);

	g->wish.how.rate = rate >= 0.001 && rate <= RATE_MAX ? (int64_t)(rate * 1000 + 0.5) : 0;
	return json_is_number(value) && g->wish.how.rate > 0;
}

static bool
take_limit(struct api_sweep *g, const json_t *value)
{
	return take_whole(value, 1, MOST_MAX, &g->wish.how.most);
}

static bool
take_concurrency(struct api_sweep *g, const json_t *value)
{
	return take_count(value, 1, COUNT_MAX, &g->wish.how.concurrency);
}

static bool
take_canary(struct api_sweep *g, const json_t *value)
{
	return take_count(value, 0, COUNT_MAX, &g->wish.how.canary);
}

static bool
take_stop_share(struct api_sweep *g, const json_t *value)
{
	return take_count(value, 0, 100, &g->wish.how.stop_share);
}

static bool
take_stop_least(struct api_sweep *g, const json_t *value)
{
	return take_count(value, 1, COUNT_MAX, &g->wish.how.stop_least);
}

static bool
take_slow_start(struct api_sweep *g, const json_t *value)
{
	double seconds = json_number_value(value);

	if (!json_is_number(value) || !(seconds >= 0 && seconds <= SLOW_MAX))
		return false;
	g->wish.how.slow = (int64_t)(seconds * (double)CLOCK_SECOND);
	return true;
}

static bool
take_dry_run(struct api_sweep *g, const json_t *value)
{
	g->dry_run = json_is_true(value);
	return json_is_boolean(value);
}

static bool
take_payload(struct api_sweep *g, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text == NULL)
		return false;
	g->wish.payload = arena_span(http_arena(g->c.r), span_of(text));
	free(text);
	return true;
}

/* --- members ---------------------------------------------------------------------------------------------------------------- */

static const struct member {
	const char *name;
	bool (*take)(struct api_sweep *g, const json_t *value);
	bool replays; /* of those only */
	const char *expected;
} members[] = {
	{ "rate", take_rate, false, "letters per second, a number from 0.001 to 10000" },
	{ "limit", take_limit, false, "letters at most, an integer above 0" },
	{ "dry_run", take_dry_run, false, "true or false" },
	{ "concurrency", take_concurrency, true, "tasks in flight at most, an integer from 1 to 1000000" },
	{ "canary", take_canary, true, "an integer from 0 to 1000000: so many must succeed before the rest" },
	{ "stop_share", take_stop_share, true, "per cent of failures, an integer from 0 to 100" },
	{ "stop_least", take_stop_least, true, "an integer from 1 to 1000000: ends before stop_share counts" },
	{ "slow_start", take_slow_start, true, "seconds until the whole rate, a number from 0 to 3600" },
	{ "payload", take_payload, true, "a JSON value" },
};

static bool
take_member(struct api_sweep *g, const char *name, json_t *value)
{
	struct arena *arena = http_arena(g->c.r);
	const char *pointer = arena_printf(arena, "/%.200s", name);

	if (strcmp(name, "filter") == 0) {
		g->filtered = true;
		return api_dead_filter_object(&g->filter, pointer, value);
	}
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strcmp(name, members[i].name) != 0 || (members[i].replays && g->wish.act != STORE_ACT_REPLAY))
			continue;
		return members[i].take(g, value) || api_refuse(&g->c, "invalid_field", pointer,
							arena_printf(arena, "expected %s", members[i].expected));
	}
	return api_who_member(&g->c, name, value, &g->wish.who,
	    g->wish.act == STORE_ACT_REPLAY ? "expected filter, rate, limit, dry_run, concurrency, canary, stop_share, "
					      "stop_least, slow_start, payload, by or why"
					    : "expected filter, rate, limit, dry_run, by or why");
}

/* --- together --------------------------------------------------------------------------------------------------------------- */

static bool
payload_fits(struct api_sweep *g)
{
	const struct conf *conf = g->c.api->conf;
	const struct conf_handler *h;
	const struct task_schema *schema;
	struct task_problem problem = { .status = 0 };

	if (g->wish.payload.len == 0)
		return true;
	if (g->filter.f.task_type.len == 0)
		return api_dead_refuse(
		    &g->c, "/filter", "a new payload is for letters of one task type: the filter must name it");
	h = conf_handler_find(conf, g->filter.f.task_type);
	schema = h != NULL ? conf_handler_schema(conf, h) : NULL;
	if (schema == NULL || task_schema_check(schema, g->wish.payload, &problem))
		return true;
	api_refuse_body(g->c.r, &problem);
	return false;
}

static bool
take_token(struct api_sweep *g)
{
	struct span key = http_header(g->c.r, "idempotency-key");
	struct id id = id_random();

	if (key.ptr == NULL)
		key = span_of(api_id(g->c.r, &id));
	for (size_t i = 0; i < key.len; i++)
		if (key.ptr[i] < ' ' || key.ptr[i] > '~')
			key.len = 0;
	if (key.len < 1 || key.len > 255)
		return api_refuse(&g->c, "invalid_key", NULL, "expected 1 to 255 printable ASCII characters");
	g->wish.token = arena_span(http_arena(g->c.r), key);
	return true;
}

static void
set_defaults(struct api_sweep *g)
{
	const struct conf *c = g->c.api->conf;

	g->wish.how = (struct store_sweep_how){ .stop_share = -1 };
	if (g->wish.act != STORE_ACT_REPLAY)
		return;
	g->wish.how.rate = c->dead.replay_rate * INT64_C(1000);
	g->wish.how.slow = c->dead.replay_slow_start;
	g->wish.how.concurrency = c->dead.replay_concurrency;
	g->wish.how.stop_least = 20;
}

static bool
take_members(struct api_sweep *g, json_t *body)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		if (!take_member(g, name, value))
			return false;
	}
	if (!g->filtered)
		return api_dead_filter_object(&g->filter, "/filter", json_object_get(body, "filter"));
	return (g->dry_run || api_who_told(&g->c, &g->wish.who)) && payload_fits(g) && take_token(g);
}

bool
api_sweep_read(struct api_sweep *g)
{
	json_t *body;
	bool good;

	set_defaults(g);
	if (!api_call_body(&g->c, &body))
		return false;
	good = body != NULL ? take_members(g, body) : api_refuse(&g->c, "missing_field", "/filter", "expected filter");
	json_decref(body);
	return good;
}
