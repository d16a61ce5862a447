/* api_metrics.c - the numbers of all processes, from shared memory: a scrape costs the database nothing. */
#include "stats/stats.h"

#include "http/api_int.h"

void
api_metrics(void *app, struct http_request *r)
{
	struct buf b = { 0 };

	stats_metrics_mine(&b);
	api_handlers_metrics(api_of(app), &b);
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_free(&b);
}
