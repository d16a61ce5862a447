/* api_pause.c - a queue, a task type or a handler is paused, and resumed; and the list of what is.
 *
 * Both may be sent again: the answer is how it stands, and `changed` tells whether this request made it so.  A name need not be known yet: a
 * queue can be paused before its first task; but a handler must be one of this configuration, for a misspelled one would seem to be
 * paused.  Next: store/store_pause.c.
 */
#include "http/api_int.h"

struct pausing {
	struct api_call *c;
	struct store_pause p;
};

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

static void
reply(struct pausing *g, bool paused, bool changed, const struct store_pause *p)
{
	struct http_request *r = g->c->r;
	struct buf b = { 0 };

	member_text(&b, "{\"what\":", span_of(store_paused_word(g->p.what)));
	member_text(&b, ",\"name\":", g->p.name);
	buf_printf(&b, ",\"paused\":%s,\"changed\":%s", paused ? "true" : "false", changed ? "true" : "false");
	member_text(&b, ",\"why\":", p != NULL ? p->why : SPAN(""));
	member_text(&b, ",\"by\":", p != NULL ? p->by : SPAN(""));
	member_time(&b, ",\"at\":", p != NULL ? p->at : 0);
	buf_putc(&b, '}');
	api_reply_json(r, &b);
}

static void
answer(struct pausing *g, enum store_status status, bool pauses, bool changed, const struct store_pause *p)
{
	if (status != STORE_OK)
		api_reply_later(g->c->r, status == STORE_UNSURE);
	else
		reply(g, pauses && p != NULL, changed, p);
}

static void
on_paused(void *arg, enum store_status status, bool changed, const struct store_pause *p)
{
	answer(arg, status, true, changed, p);
}

static void
on_resumed(void *arg, enum store_status status, bool changed, const struct store_pause *p)
{
	answer(arg, status, false, changed, p);
}

/* --- the question ---------------------------------------------------------------------------------------------------------- */

static bool
take_name(struct pausing *g)
{
	g->p.name = http_param(g->c->r, "name");
	if (g->p.name.len <= TASK_TYPE_MAX)
		return true;
	return api_refuse(g->c, "invalid_parameter", NULL, "expected a name of 1 to 64 bytes in the path");
}

static bool
take_body(struct pausing *g)
{
	struct store_who who = { 0 };

	if (!api_who_body(g->c, &who))
		return false;
	g->p.why = who.why;
	g->p.by = who.by;
	return true;
}

/* Null: answered. */
static struct pausing *
begin(void *app, struct http_request *r, enum store_paused what)
{
	struct pausing *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct pausing){ .c = api_call_new(app, r), .p = { .what = what } };
	return take_name(g) && take_body(g) ? g : NULL;
}

static void
begin_pause(void *app, struct http_request *r, enum store_paused what)
{
	struct pausing *g = begin(app, r, what);

	if (g == NULL)
		return;
	if (what == STORE_PAUSED_HANDLER && conf_handler_find(g->c->api->conf, g->p.name) == NULL)
		api_refuse_handler(r, g->p.name, "task types without one are paused by /v1/types");
	else
		store_pause(g->c->api->store, &g->p, on_paused, g);
}

static void
begin_resume(void *app, struct http_request *r, enum store_paused what)
{
	struct pausing *g = begin(app, r, what);

	if (g != NULL)
		store_resume(g->c->api->store, &g->p, on_resumed, g);
}

void
api_queue_pause(void *app, struct http_request *r)
{
	begin_pause(app, r, STORE_PAUSED_QUEUE);
}

void
api_queue_resume(void *app, struct http_request *r)
{
	begin_resume(app, r, STORE_PAUSED_QUEUE);
}

void
api_type_pause(void *app, struct http_request *r)
{
	begin_pause(app, r, STORE_PAUSED_TYPE);
}

void
api_type_resume(void *app, struct http_request *r)
{
	begin_resume(app, r, STORE_PAUSED_TYPE);
}

void
api_handler_pause(void *app, struct http_request *r)
{
	begin_pause(app, r, STORE_PAUSED_HANDLER);
}

void
api_handler_resume(void *app, struct http_request *r)
{
	begin_resume(app, r, STORE_PAUSED_HANDLER);
}

/* --- the list ---------------------------------------------------------------------------------------------------------------- */

static void
on_pauses(void *arg, enum store_status status, const struct store_pause *pauses, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (!api_items_begin(c, status, &b))
		return;
	for (int i = 0; i < n; i++) {
		member_text(&b, i > 0 ? ",{\"what\":" : "{\"what\":", span_of(store_paused_word(pauses[i].what)));
		member_text(&b, ",\"name\":", pauses[i].name);
		member_text(&b, ",\"why\":", pauses[i].why);
		member_text(&b, ",\"by\":", pauses[i].by);
		member_time(&b, ",\"at\":", pauses[i].at);
		buf_putc(&b, '}');
	}
	api_items_end(c, &b);
}

void
api_pauses(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	store_pauses(c->api->store, on_pauses, c);
}
