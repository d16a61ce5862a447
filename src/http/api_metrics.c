/* api_metrics.c - the numbers of all processes, from shared memory: a scrape costs the database nothing. */
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

void
api_metrics(void *app, struct http_request *r)
{
	struct buf b = { 0 };

	stats_metrics_mine(&b);
	api_handlers_metrics(api_of(app), &b);
	paused_metrics(api_of(app), &b);
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_free(&b);
}
