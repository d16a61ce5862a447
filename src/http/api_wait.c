/* api_wait.c - clients that wait for the end of their task (Prefer: wait=N).
 *
 * Those who wait stand in a list.  One timer serves them all: it asks about everybody whose turn it is in one statement, sooner for
 * those who have just come and less and less often for the others.  Whoever is told "final", or has waited long enough, or has
 * hung up, gets the task as one more read finds it.  Nobody waits: no timer is set and nothing is asked.
 *
 * Waiting is a favour: beyond WAITS_MAX, and while the process drains, nobody begins to wait.  A state that cannot be read is no reason
 * to wait longer; `instead` answers then.  Logs nothing.  Next: api_task.c, sql/queries/settled.sql.
 */
#include "base/clock.h"
#include "base/list.h"
#include "stats/stats.h"

#include "http/api_int.h"

#define WAITS_MAX 1000
#define WAITS_BYTES (64 * 1024 * 1024) /* of the answers that are kept meanwhile */
#define PAUSE_MIN (2 * CLOCK_MS)
#define PAUSE_MAX (250 * CLOCK_MS)
#define WAIT_MAGIC 0x41776169u

/* In the arena of its request. */
struct api_wait {
	unsigned magic;
	struct list node;
	struct api_call *c;
	int seconds;
	int slot;            /* in the question under way; -1: not in it */
	int64_t until;       /* then it is answered in any case */
	int64_t next, pause; /* when it is asked about again, and how much later then */
	size_t bytes;        /* that it keeps */
	void (*instead)(struct api_call *c);
};

struct api_waits {
	struct api *api;
	struct list all;
	int n;
	size_t bytes;
	struct loop_timer *timer;
	bool asking;
	struct id ids[WAITS_MAX]; /* of the question */
};

static struct api_wait *
wait_of(struct list *node)
{
	struct api_wait *w = container_of(node, struct api_wait, node);

	MAGIC_CHECK(w, WAIT_MAGIC);
	return w;
}

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

void
api_reply_waited(struct api_call *c, const struct task_row *row, int seconds)
{
	http_reply_header(c->r, "Preference-Applied", span_of(arena_printf(http_arena(c->r), "wait=%d", seconds)));
	api_reply_task(c, row);
}

static void
on_state(void *arg, enum store_status status, const struct task_row *row)
{
	struct api_wait *w = arg;

	MAGIC_CHECK(w, WAIT_MAGIC);
	if (status == STORE_OK && row != NULL)
		api_reply_waited(w->c, row, w->seconds);
	else
		w->instead(w->c);
}

static void
wait_end(struct api_waits *ws, struct api_wait *w)
{
	list_remove(&w->node);
	ws->n--;
	ws->bytes -= w->bytes;
	stats_add(S_HTTP_WAITING, -1);
}

static void
finish(struct api_waits *ws, struct api_wait *w)
{
	wait_end(ws, w);
	store_get(ws->api->store, &w->c->id, on_state, w);
}

/* --- the timer ------------------------------------------------------------------------------------------------------------- */

static void
arm(struct api_waits *ws)
{
	int64_t first = INT64_MAX, now = clock_now();
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &ws->all) {
		struct api_wait *w = wait_of(pos);
		int64_t at = ws->asking || w->until < w->next ? w->until : w->next;

		if (at < first)
			first = at;
	}
	if (first != INT64_MAX)
		loop_timer_set(ws->timer, first > now ? first - now : 0);
}

static void
later(struct api_wait *w, int64_t now)
{
	w->slot = -1;
	w->pause = w->pause * 3 / 2 < PAUSE_MAX ? w->pause * 3 / 2 : PAUSE_MAX;
	w->next = now + w->pause;
}

static void
on_settled(void *arg, enum store_status status, const bool *settled)
{
	struct api_waits *ws = arg;
	int64_t now = clock_now();
	struct list *pos, *tmp;

	ws->asking = false;
	LIST_FOREACH_SAFE (pos, tmp, &ws->all) {
		struct api_wait *w = wait_of(pos);

		if (w->slot >= 0 && status == STORE_OK && settled[w->slot])
			finish(ws, w);
		else if (w->slot >= 0)
			later(w, now);
	}
	arm(ws);
}

/* Whose turn is near is asked about with those whose turn it is. */
static void
ask(struct api_waits *ws, int64_t now)
{
	struct list *pos, *tmp;
	int n = 0;

	LIST_FOREACH_SAFE (pos, tmp, &ws->all) {
		struct api_wait *w = wait_of(pos);

		if (w->next > now + w->pause / 4)
			continue;
		w->slot = n;
		ws->ids[n++] = w->c->id;
	}
	ws->asking = n > 0;
	if (n > 0)
		store_settled(ws->api->store, ws->ids, n, on_settled, ws);
}

static void
turn(void *arg)
{
	struct api_waits *ws = arg;
	int64_t now = clock_now();
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &ws->all) {
		struct api_wait *w = wait_of(pos);

		if (*ws->api->draining || w->until <= now || http_client_left(w->c->r))
			finish(ws, w);
	}
	if (!ws->asking)
		ask(ws, now);
	arm(ws);
}

/* --- who waits ------------------------------------------------------------------------------------------------------------- */

int
api_wait_wanted(const struct api_call *c, size_t bytes)
{
	const struct api_waits *ws = c->api->waits;
	int64_t most = c->api->conf->http.wait_max / CLOCK_SECOND;
	int i, seconds = 0, lines = http_header_count(c->r, "prefer");
	bool seen = false, good = false;

	if (lines == 0 || c->surface != &api_surface_v1)
		return -1;
	for (i = 0; i < lines && !seen; i++)
		good = api_prefer_wait(http_header_line(c->r, "prefer", i), &seen, &seconds);
	if (!good || most == 0 || ws->n == WAITS_MAX || ws->bytes + bytes > WAITS_BYTES || *c->api->draining)
		return -1;
	return seconds < most ? seconds : (int)most;
}

void
api_wait_begin(struct api_call *c, int seconds, size_t bytes, void (*instead)(struct api_call *c))
{
	struct api_waits *ws = c->api->waits;
	struct api_wait *w = arena_alloc(http_arena(c->r), sizeof(*w));
	int64_t now = clock_now();

	ASSERT(ws->n < WAITS_MAX);
	*w = (struct api_wait){ .magic = WAIT_MAGIC, .c = c, .seconds = seconds, .slot = -1, .instead = instead };
	w->until = now + seconds * CLOCK_SECOND;
	w->pause = PAUSE_MIN;
	w->next = now + w->pause;
	w->bytes = bytes;
	list_push(&ws->all, &w->node);
	ws->n++;
	ws->bytes += bytes;
	stats_add(S_HTTP_WAITING, 1);
	http_body_drop(c->r);
	arm(ws);
}

void
api_drain(struct api *a)
{
	MAGIC_CHECK(a, API_MAGIC);
	loop_timer_set(a->waits->timer, 0);
	api_pulls_drain(a->pulls);
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

struct api_waits *
api_waits_new(struct api *a)
{
	struct api_waits *ws = mem_zalloc(sizeof(*ws));

	ws->api = a;
	list_init(&ws->all);
	ws->timer = loop_timer_new(a->loop, turn, ws);
	return ws;
}

/* Their connections are closed: what is said now only frees them. */
void
api_waits_free(struct api_waits **ws)
{
	struct list *node;

	while ((node = list_first(&(*ws)->all)) != NULL) {
		struct api_wait *w = wait_of(node);

		wait_end(*ws, w);
		w->instead(w->c);
	}
	loop_timer_free(&(*ws)->timer);
	mem_free(ws);
}
