/* http_wait.c - deadlines of connections.
 *
 * A list per kind of wait, oldest first; the timer is set to the earliest deadline and, when it comes, looks at the heads of the
 * lists only.  A wait that ends early leaves the timer alone: it then finds nothing and is set again.  After a reload that
 * changed a length, a wait begun before may end with one begun after it.
 */
#include "base/clock.h"

#include "http/http_int.h"

static void
wait_arm(struct http_server *s, int64_t deadline)
{
	int64_t now;

	if (loop_timer_is_set(s->clock) && s->clock_at <= deadline)
		return;
	now = clock_now();
	s->clock_at = deadline;
	loop_timer_set(s->clock, deadline > now ? deadline - now : 0);
}

void
http_wait_begin(struct http_server *s, struct http_wait *w, enum http_wait_kind kind)
{
	ASSERT(kind > HTTP_WAIT_NONE && kind < HTTP_WAITS);
	list_remove(&w->node);
	w->kind = kind;
	w->deadline = clock_now() + s->wait_us[kind];
	list_push(&s->waits[kind], &w->node);
	wait_arm(s, w->deadline);
}

void
http_wait_end(struct http_wait *w)
{
	list_remove(&w->node);
	w->kind = HTTP_WAIT_NONE;
}

void
http_wait_sweep(void *server)
{
	struct http_server *s = server;
	int64_t now = clock_now();
	struct list *node;
	int kind;

	MAGIC_CHECK(s, HTTP_SERVER_MAGIC);
	for (kind = HTTP_WAIT_NONE + 1; kind < HTTP_WAITS; kind++) {
		while ((node = list_first(&s->waits[kind])) != NULL) {
			struct http_wait *w = container_of(node, struct http_wait, node);

			if (w->deadline > now) {
				wait_arm(s, w->deadline);
				break;
			}
			http_wait_end(w);
			http_conn_expired(w->c, (enum http_wait_kind)kind);
		}
	}
}
