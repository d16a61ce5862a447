/* api_admin.c - is it alive, is it ready.
 *
 * Alive means that this process answers; it never asks the database, so that nobody restarts a daemon because Postgres is down.  Ready
 * means that a submission would be taken now.
 */
#include "http/api_int.h"

static void
reply_ok(struct http_request *r)
{
	http_reply_header(r, "Cache-Control", SPAN("no-store"));
	http_reply(r, 200, "application/json", SPAN("{\"status\":\"ok\"}"));
}

void
api_healthz(void *app UNUSED, struct http_request *r)
{
	reply_ok(r);
}

void
api_readyz(void *app, struct http_request *r)
{
	const struct api *a = api_of(app);
	struct http_problem p = { .status = 503, .code = "not_ready", .retry_after = API_RETRY_AFTER };

	p.detail = store_not_ready(a->store);
	if (p.detail == NULL && wake_namesake(a->wake))
		p.detail = "another taskqd runs under the name of this node, give each its own by the option node";
	if (*a->draining) {
		p.code = "draining";
		p.detail = "draining: this process ends when its last answer is out";
	}
	if (p.detail == NULL) {
		reply_ok(r);
		return;
	}
	http_reply_header(r, "Cache-Control", SPAN("no-store"));
	http_reply_problem(r, &p);
}
