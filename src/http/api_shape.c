/* api_shape.c - GET /v1/queues/shape: age against queue, on one screen.  Next: store/store_shape.c. */
#include <inttypes.h>
#include <string.h>

#include "store/store_shape.h"

#include "http/api_int.h"

struct asking {
	struct api_call c; /* first: the call is the argument of parameters */
	struct span queue;
	bool by_type;
};

static bool
take_queue(struct api_call *c, struct span value)
{
	container_of(c, struct asking, c)->queue = value;
	return value.len >= 1 && value.len <= TASK_QUEUE_MAX && memchr(value.ptr, '\0', value.len) == NULL;
}

static bool
take_by(struct api_call *c, struct span value)
{
	container_of(c, struct asking, c)->by_type = true;
	return span_is(value, "type");
}

static const struct api_parameter parameters[] = {
	{ "queue", take_queue, "1 to 64 bytes" },
	{ "by", take_by, "type" },
};

static const char *
state_word(enum store_shape_state state)
{
	static const char *const words[] = {
		[STORE_SHAPE_READY] = "ready",
		[STORE_SHAPE_WAITS] = "waiting",
		[STORE_SHAPE_PROCESSING] = "processing",
		[STORE_SHAPE_DEAD] = "dead",
	};

	ASSERT((size_t)state < ARRAY_LEN(words) && words[state] != NULL);
	return words[state];
}

static void
put_shape(struct buf *b, const struct store_shape *s)
{
	int64_t total = 0;

	for (int i = 0; i < STORE_SHAPE_SPANS; i++)
		total += s->n[i];
	member_text(b, "{\"queue\":", s->queue);
	member_text(b, ",\"task_type\":", s->task_type);
	buf_printf(b, ",\"state\":\"%s\",\"total\":%" PRId64 ",\"ages\":[", state_word(s->state), total);
	for (int i = 0; i < STORE_SHAPE_SPANS; i++)
		buf_printf(b, "%s%" PRId64, i > 0 ? "," : "", s->n[i]);
	buf_puts(b, "]}");
}

static void
on_shape(void *arg, enum store_status status, const struct store_shape *shapes, int n, bool least)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };

	if (status != STORE_OK) {
		api_reply_later(c->r, false);
		return;
	}
	buf_puts(&b, "{\"minutes\":[");
	for (int i = 0; i < STORE_SHAPE_SPANS - 1; i++)
		buf_printf(&b, "%s%d", i > 0 ? "," : "", store_shape_minutes[i]);
	buf_printf(&b, "],\"at_least\":%s,\"items\":[", least ? "true" : "false");
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_shape(&b, &shapes[i]);
	}
	buf_puts(&b, "]}");
	api_reply_json(c->r, &b);
}

void
api_shape(void *app, struct http_request *r)
{
	struct asking *g = arena_alloc(http_arena(r), sizeof(*g));

	*g = (struct asking){ .c = *api_call_new(app, r) };
	if (api_query(&g->c, parameters, ARRAY_LEN(parameters)))
		store_shape(g->c.api->store, g->queue, g->by_type, on_shape, &g->c);
}
