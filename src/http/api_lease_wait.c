/* api_lease_wait.c - clients that wait for tasks.
 *
 * Those whose claim found nothing, and who are willing to wait, stand in a list; whoever commits a task rings this process's bell.  Then one
 * query for all tells which queues have something, and those who wait for these claim one after the other, the first that came
 * first, until a claim comes back empty.  Who stands behind another one on his connection is not served: his answer could not be sent, and
 * his tasks would be leased to nobody.  Bells are hints: without one the same look is taken every work.poll, and when a rate that
 * holds somebody lets go.  Looks rest
 * LOOK_SHARE times as long as they took, so a busy node does not make them a load.  Nobody waits: no timer is set.
 *
 * Next: api_lease_take.c, sys/wake.h.
 */
#include "base/clock.h"
#include "base/list.h"
#include "stats/stats.h"
#include "sys/wake.h"

#include "http/api_int.h"

#define WAITS_MAX 1000
#define LOOK_AGAIN (10 * CLOCK_MS)
#define LOOK_SHARE 20
#define LOOK_REST (5 * CLOCK_SECOND)

struct api_pulls {
	struct api *api;
	struct list waiting;
	int n;
	struct loop_timer *timer;
	struct loop_fd *bell;
	bool rung; /* something may be ready: look as soon as may be */
	bool busy; /* a look, or the claims after it, are under way */
	int64_t looked_at, rest;
	int64_t again; /* a limit that holds somebody may let go then; INT64_MAX: not known */
	struct arena *arena;
	struct store_pull_ready *ready; /* what the last look saw and nobody has found empty */
	int nready;
};

static struct api_pull *
pull_of(struct list *node)
{
	struct api_pull *p = container_of(node, struct api_pull, node);

	MAGIC_CHECK(p, API_PULL_MAGIC);
	return p;
}

/* --- what they want ------------------------------------------------------------------------------------------------------- */

static bool
is_over(const struct api_pull *p, int64_t now)
{
	return *p->api->draining || p->until <= now || http_client_left(p->r);
}

static bool
wants(const struct api_pull *p, const struct store_pull_ready *ready)
{
	int i;

	if (!span_eq(p->queue, ready->queue))
		return false;
	for (i = 0; i < p->ntypes; i++)
		if (span_eq(p->types[i], ready->task_type))
			return true;
	return p->ntypes == 0;
}

/* There is nothing more of what it wants: the others who want the same need not ask. */
static void
forget_ready(struct api_pull *p)
{
	struct api_pulls *ps = p->api->pulls;
	int i, left = 0;

	for (i = 0; i < ps->nready; i++)
		if (!wants(p, &ps->ready[i]))
			ps->ready[left++] = ps->ready[i];
	ps->nready = left;
}

/* --- those who wait ---------------------------------------------------------------------------------------------------------------- */

static void
leave(struct api_pull *p)
{
	list_remove(&p->node);
	p->api->pulls->n--;
	stats_add(S_HTTP_WAITING, -1);
}

static int64_t
look_at(const struct api_pulls *ps)
{
	int64_t pause = ps->rung ? LOOK_AGAIN : ps->api->conf->work.poll;
	int64_t at = ps->looked_at + (pause > ps->rest ? pause : ps->rest);

	return ps->again < at ? ps->again : at;
}

static void
arm(struct api_pulls *ps)
{
	int64_t first = ps->busy ? INT64_MAX : look_at(ps), now = clock_now();
	struct list *pos, *tmp;

	if (ps->n == 0)
		return;
	LIST_FOREACH_SAFE (pos, tmp, &ps->waiting)
		if (pull_of(pos)->until < first)
			first = pull_of(pos)->until;
	loop_timer_set(ps->timer, first > now ? first - now : 0);
}

void
api_pulls_serve(struct api_pulls *ps)
{
	struct list *pos, *tmp;
	int i;

	LIST_FOREACH_SAFE (pos, tmp, &ps->waiting) {
		struct api_pull *p = pull_of(pos);

		for (i = 0; i < ps->nready && !wants(p, &ps->ready[i]);)
			i++;
		if (i == ps->nready || !http_is_next(p->r))
			continue;
		leave(p);
		p->served = true;
		if (is_over(p, clock_now()))
			api_pull_end(p, STORE_OK); /* and comes back here */
		else
			api_pull_claim(p);
		return;
	}
	ps->busy = false;
	ps->nready = 0;
	arm(ps);
}

static void
on_ready(void *arg, enum store_status status, struct store_pull_ready *ready, int n)
{
	struct api_pulls *ps = arg;
	int i;

	ps->rest = (clock_now() - ps->looked_at) * LOOK_SHARE;
	if (ps->rest > LOOK_REST)
		ps->rest = LOOK_REST;
	arena_reset(ps->arena);
	ps->nready = status == STORE_OK ? n : 0;
	ps->ready = arena_alloc(ps->arena, sizeof(*ps->ready) * (size_t)(n + 1));
	for (i = 0; i < ps->nready; i++) {
		ps->ready[i].queue = arena_span(ps->arena, ready[i].queue);
		ps->ready[i].task_type = arena_span(ps->arena, ready[i].task_type);
	}
	api_pulls_serve(ps);
}

/* First hungry, then the look: what is committed after it rings. */
static void
look(struct api_pulls *ps)
{
	if (ps->api->wake != NULL)
		wake_acceptor_hungry(ps->api->wake, ps->api->index, true);
	ps->busy = true;
	ps->rung = false;
	ps->again = INT64_MAX;
	ps->looked_at = clock_now();
	store_pull_ready(ps->api->store, on_ready, ps);
}

static void
turn(void *arg)
{
	struct api_pulls *ps = arg;
	int64_t now = clock_now();
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &ps->waiting) {
		struct api_pull *p = pull_of(pos);

		if (!is_over(p, now))
			continue;
		leave(p);
		api_pull_end(p, STORE_OK);
	}
	if (ps->n > 0 && !ps->busy && look_at(ps) <= now)
		look(ps);
	else
		arm(ps);
}

static void
bell_rang(void *arg, int events UNUSED)
{
	struct api_pulls *ps = arg;

	wake_hush(wake_acceptor_fd(ps->api->wake, ps->api->index));
	ps->rung = true;
	arm(ps);
}

/* --- who begins to wait, or goes on ----------------------------------------------------------------------------------------- */

void
api_pull_wait(struct api_pull *p)
{
	struct api_pulls *ps = p->api->pulls;
	bool served = p->served;

	if (served)
		forget_ready(p);
	if (is_over(p, clock_now()) || (!served && ps->n == WAITS_MAX)) {
		api_pull_end(p, STORE_OK);
		return;
	}
	p->served = false;
	if (p->again < ps->again)
		ps->again = p->again;
	list_push(&ps->waiting, &p->node);
	ps->n++;
	stats_add(S_HTTP_WAITING, 1);
	if (served) {
		api_pulls_serve(ps);
		return;
	}
	ps->rung = true; /* it may have come between the claim and now */
	loop_timer_set(ps->timer, 0);
}

/* --- life --------------------------------------------------------------------------------------------------------------------------- */

void
api_pulls_drain(struct api_pulls *ps)
{
	loop_timer_set(ps->timer, 0);
}

struct api_pulls *
api_pulls_new(struct api *a)
{
	struct api_pulls *ps = mem_zalloc(sizeof(*ps));

	ps->api = a;
	ps->again = INT64_MAX;
	list_init(&ps->waiting);
	ps->arena = arena_new(1024);
	ps->timer = loop_timer_new(a->loop, turn, ps);
	if (a->wake != NULL)
		ps->bell = loop_fd_new(a->loop, wake_acceptor_fd(a->wake, a->index), LOOP_READ, bell_rang, ps);
	return ps;
}

/* Their connections are closed: what is said now only frees them. */
void
api_pulls_free(struct api_pulls **ps)
{
	struct list *node;

	(*ps)->busy = false;
	(*ps)->nready = 0;
	while ((node = list_first(&(*ps)->waiting)) != NULL) {
		struct api_pull *p = pull_of(node);

		leave(p);
		p->served = false;
		api_pull_end(p, STORE_OK);
	}
	if ((*ps)->api->wake != NULL)
		wake_acceptor_hungry((*ps)->api->wake, (*ps)->api->index, false);
	loop_fd_free(&(*ps)->bell);
	loop_timer_free(&(*ps)->timer);
	arena_free(&(*ps)->arena);
	mem_free(ps);
}
