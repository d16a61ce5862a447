/* api_metrics.c - the numbers of all processes, from shared memory: a scrape costs the database nothing. */
#include "base/clock.h"
#include "stats/stats.h"

#include "http/api_int.h"

void
api_put_label(struct buf *b, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			buf_putc(b, '\\');
		buf_putc(b, *value == '\n' ? 'n' : *value);
	}
}

/* As the keeper of this node saw it last. */
static void
paused_metrics(const struct api *a, struct buf *b)
{
	struct wake_paused all[WAKE_PAUSED];
	int i, n = a->wake != NULL ? wake_paused(a->wake, all) : 0;

	buf_puts(
	    b, "# HELP taskq_paused what is paused: a queue, a task type or a handler\n# TYPE taskq_paused gauge\n");
	for (i = 0; i < n; i++) {
		buf_printf(b, "taskq_paused{what=\"%s\",name=\"", store_paused_word((enum store_paused)all[i].what));
		api_put_label(b, all[i].name);
		buf_puts(b, "\"} 1\n");
	}
}

static void
dead_metrics(const struct api *a, struct buf *b)
{
	struct wake_dead *d = mem_zalloc(sizeof(*d));

	if (a->wake != NULL)
		wake_dead(a->wake, d);
	buf_puts(b, "# HELP taskq_dead_letters open dead letters\n# TYPE taskq_dead_letters gauge\n");
	for (int i = 0; i < d->n; i++) {
		buf_puts(b, "taskq_dead_letters{queue=\"");
		api_put_label(b, d->queues[i].name);
		buf_printf(b, "\"} %jd\n", (intmax_t)d->queues[i].open);
	}
	buf_puts(b, "# HELP taskq_dead_letters_oldest_timestamp_seconds when the oldest open one died\n"
		    "# TYPE taskq_dead_letters_oldest_timestamp_seconds gauge\n");
	for (int i = 0; i < d->n; i++) {
		if (d->queues[i].oldest_at == 0)
			continue;
		buf_puts(b, "taskq_dead_letters_oldest_timestamp_seconds{queue=\"");
		api_put_label(b, d->queues[i].name);
		buf_printf(b, "\"} %.3f\n", (double)d->queues[i].oldest_at / (double)CLOCK_SECOND);
	}
	buf_printf(b,
	    "# HELP taskq_dead_letters_unfiled dead letters that the keeper has not filed yet\n"
	    "# TYPE taskq_dead_letters_unfiled gauge\ntaskq_dead_letters_unfiled %jd\n",
	    (intmax_t)d->unfiled);
	mem_free(&d);
}

void
api_metrics(void *app, struct http_request *r)
{
	struct buf b = { 0 };

	stats_metrics_mine(&b);
	api_handlers_metrics(api_of(app), &b);
	paused_metrics(api_of(app), &b);
	dead_metrics(api_of(app), &b);
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_free(&b);
}
