/* api_queues.c - GET /v1/queues: what is in each queue, what is paused, and what the configuration says of it. */
#include "base/clock.h"

#include "http/api_int.h"

static void
put_pause(struct buf *b, const struct store_queue *q)
{
	buf_puts(b, ",\"paused\":");
	if (!q->paused) {
		buf_puts(b, "null");
		return;
	}
	member_text(b, "{\"why\":", q->pause.why);
	member_text(b, ",\"by\":", q->pause.by);
	member_time(b, ",\"at\":", q->pause.at);
	buf_putc(b, '}');
}

/* In the words of the configuration, but for those that have the value of none. */
static void
put_limits(struct buf *b, const struct conf_queue *q)
{
	static const char *const names[] = { "concurrency", "group_concurrency", "rate", "burst", "group_rate",
		"group_burst", "result_max", "results" };
	struct buf value = { 0 };

	buf_puts(b, ",\"limits\":");
	if (q == NULL) {
		buf_puts(b, "null");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		buf_reset(&value);
		conf_queue_option(q, names[i], &value);
		buf_printf(b, "%c\"%s\":", i == 0 ? '{' : ',', names[i]);
		buf_json_string(b, buf_span(&value));
	}
	buf_putc(b, '}');
	buf_free(&value);
}

static void
put_queue(const struct api_call *c, struct buf *b, const struct store_queue *q)
{
	double age = q->oldest_at != 0 ? (double)(q->now - q->oldest_at) / (double)CLOCK_SECOND : 0;

	member_text(b, "{\"name\":", q->name);
	put_pause(b, q);
	buf_printf(b, ",\"ready\":%jd,\"waiting\":%jd,\"processing\":%jd,\"at_least\":%s", (intmax_t)q->ready,
	    (intmax_t)q->waiting, (intmax_t)q->processing, q->least ? "true" : "false");
	if (q->oldest_at != 0)
		buf_printf(b, ",\"oldest_ready_seconds\":%.3f", age > 0 ? age : 0);
	else
		buf_puts(b, ",\"oldest_ready_seconds\":null");
	member_time(b, ",\"next_due_at\":", q->due_at);
	put_limits(b, conf_queue_find(c->api->conf, q->name));
	buf_putc(b, '}');
}

static void
on_queues(void *arg, enum store_status status, const struct store_queue *queues, int n)
{
	struct api_call *c = api_call_of(arg);
	struct buf b = { 0 };
	int i;

	if (!api_items_begin(c, status, &b))
		return;
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&b, ',');
		put_queue(c, &b, &queues[i]);
	}
	api_items_end(c, &b);
}

void
api_queues(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	store_queues(c->api->store, on_queues, c);
}
