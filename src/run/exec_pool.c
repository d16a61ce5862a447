/* exec_pool.c - commands that stay: each handler of this kind has some children in every worker process, each runs one task after
 * the other, or as many as `pipeline` says.
 *
 * Every turn of the machine compares the children that should be with those that are, and starts the difference.  When children
 * die before they have done anything, the next start waits, longer each time, and then one goes first; no task is claimed meanwhile.
 * A child that runs too long keeps its place until it is gone.
 *
 * pool.h         what a child may be      pool_child.c  one child        pool_job.c  its tasks
 * pool_wire.[ch] what is said to it       taskq-handler(7) for those who write one
 */
#include <signal.h>

#include "base/clock.h"
#include "log/log.h"

#include "run/pool.h"

#define PAUSE_MIN (100 * CLOCK_MS)
#define PAUSE_MAX (30 * CLOCK_SECOND)
#define AHEAD (20 * CLOCK_MS) /* tasks that wait beside the children are worth about so much time */

struct pools {
	bool leaving;
	int n;
	struct pool *by_handler[];
};

/* --- what should be -------------------------------------------------------------------------------------------------------------- */

static int
pool_children(const struct conf *c, const struct conf_handler *h)
{
	int want = h->children, cores = conf_cores();

	if (want == 0)
		want = c->workers > 0 && cores > c->workers ? cores / c->workers : 1;
	return h->concurrency > 0 && h->concurrency < want ? h->concurrency : want;
}

static void
pool_nudge(void *arg)
{
	struct pool *p = arg;

	p->env->changed(p->env->arg);
}

static struct pool *
pool_new(const struct exec_env *env, const struct conf_handler *h)
{
	struct pool *p = mem_zalloc(sizeof(*p));

	p->env = env;
	p->handler = h;
	p->want = pool_children(env->conf, h);
	list_init(&p->children);
	list_init(&p->open);
	list_init(&p->unsaid);
	p->timer = loop_timer_new(env->loop, pool_nudge, p);
	return p;
}

/* Those that are leaving have a successor at once, but not without end: a child may take its time. */
static bool
pool_wants_more(const struct pool *p)
{
	int most = p->fails > 0 ? 1 : p->want, here = 0;
	struct list *pos, *next;

	if (p->total >= 2 * most)
		return false;
	LIST_FOREACH_SAFE (pos, next, &p->children)
		here += container_of(pos, struct pool_child, node)->state != POOL_LEAVING;
	return here < most;
}

static void
pool_turn_one(struct pool *p)
{
	int64_t left = p->not_before - clock_now();

	if (p->up == p->want)
		return;
	if (left > 0) {
		loop_timer_set(p->timer, left);
		return;
	}
	while (pool_wants_more(p))
		if (pool_child_new(p) == NULL) {
			p->not_before = clock_now() + PAUSE_MIN;
			loop_timer_set(p->timer, PAUSE_MIN);
			return;
		}
}

static void
pool_turn(struct exec_env *env)
{
	struct pools *all = env->pools;

	if (all->leaving || env->launch == NULL || !launch_ready(env->launch))
		return;
	for (int i = 0; i < all->n; i++)
		if (all->by_handler[i] != NULL)
			pool_turn_one(all->by_handler[i]);
}

/* --- what children tell ---------------------------------------------------------------------------------------------------------- */

void
pool_moved(struct pool_child *c)
{
	c->pool->env->changed(c->pool->env->arg);
}

void
pool_worked(struct pool_child *c, int64_t took)
{
	struct pool *p = c->pool;

	p->typical = p->typical == 0 ? took + 1 : (p->typical * 7 + took) / 8 + 1;
	p->fails = 0;
}

void
pool_bereft(struct pool_child *c, const char *why)
{
	struct pool *p = c->pool;
	int64_t now = clock_now(), pause = PAUSE_MIN;

	if (c->done == 0 && now >= p->not_before) {
		for (int i = 0; i < p->fails && pause < PAUSE_MAX; i++)
			pause *= 2;
		p->fails++;
		p->not_before = now + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
	}
	log_warning("pool child ended", log_str("handler", p->handler->title), log_int("child", c->pid),
	    log_str("why", why), log_int("tasks", c->done), log_str("stderr", c->said[0] != '\0' ? c->said : NULL),
	    log_seconds("pause", p->not_before > now ? p->not_before - now : 0));
}

/* --- the kind -------------------------------------------------------------------------------------------------------------------- */

static struct pool *
pool_of(const struct exec_env *env, const struct conf_handler *h)
{
	struct pool *p = env->pools->by_handler[h - env->conf->handlers];

	ASSERT(p != NULL);
	return p;
}

static bool
pool_ready(const struct exec_env *env, const struct conf_handler *h)
{
	return env->launch != NULL && launch_ready(env->launch) && pool_of(env, h)->up > 0;
}

static bool
pool_idle(const struct exec_env *env, const struct conf_handler *h)
{
	return !list_empty(&pool_of(env, h)->open);
}

/* Beside those that each child may have as many as it does in AHEAD: the next one need not wait for the database. */
static int
pool_width(const struct exec_env *env, const struct conf_handler *h)
{
	const struct pool *p = pool_of(env, h);
	int64_t ahead = p->typical > 0 ? p->want * (AHEAD / p->typical) : 0;

	return p->want * h->pipeline + (int)(ahead < env->conf->work.prefetch ? ahead : env->conf->work.prefetch);
}

/* The one with the fewest jobs; null: none has a place. */
static struct pool_child *
pool_freest(const struct pool *p)
{
	struct pool_child *best = NULL;
	const struct list *pos;

	for (pos = p->open.next; pos != &p->open && (best == NULL || best->njobs > 0); pos = pos->next) {
		struct pool_child *c = container_of(pos, struct pool_child, of_open);

		if (best == NULL || c->njobs < best->njobs)
			best = c;
	}
	return best;
}

/* It gets no more. */
static void
pool_retire(struct pool_child *c)
{
	if (c->njobs == 0)
		pool_child_leave(c);
	else
		list_remove(&c->of_open);
	pool_moved(c);
}

static enum exec_begin
pool_start(struct exec_run *x)
{
	struct pool *p = pool_of(x->env, x->handler);
	struct pool_child *c;

	if (!pool_ready(x->env, x->handler))
		return EXEC_LATER;
	while ((c = pool_freest(p)) != NULL && pool_child_overdue(c))
		pool_retire(c);
	if (c == NULL)
		return EXEC_LATER;
	pool_job_give(c, x);
	if (list_empty(&c->of_unsaid))
		list_push(&p->unsaid, &c->of_unsaid);
	return EXEC_BEGUN;
}

static void
pool_flush(struct exec_env *env)
{
	struct list *pos;

	for (int i = 0; i < env->pools->n; i++)
		while (
		    env->pools->by_handler[i] != NULL && (pos = list_first(&env->pools->by_handler[i]->unsaid)) != NULL)
			pool_child_say(container_of(pos, struct pool_child, of_unsaid));
}

static void
pool_stop(struct exec_run *x, int sig)
{
	struct pool_job *j = x->state;

	MAGIC_CHECK(j, POOL_JOB_MAGIC);
	j->stopped = true;
	pool_child_stop(j->child, sig);
}

static void
pool_drop(struct exec_run *x)
{
	pool_job_forget(x->state);
}

/* --- the life of the process ----------------------------------------------------------------------------------------------------- */

static void
pools_open(struct exec_env *env)
{
	const struct conf *c = env->conf;

	env->pools = mem_zalloc(sizeof(*env->pools) + sizeof(struct pool *) * (size_t)c->nhandlers);
	env->pools->n = c->nhandlers;
	for (int i = 0; i < c->nhandlers; i++)
		if (c->handlers[i].kind == CONF_HANDLER_POOL)
			env->pools->by_handler[i] = pool_new(env, &c->handlers[i]);
}

static void
pool_leave(struct pool *p, int64_t grace)
{
	struct list *pos, *next;

	p->leaving = true;
	LIST_FOREACH_SAFE (pos, next, &p->children) {
		struct pool_child *c = container_of(pos, struct pool_child, node);

		if (c->state == POOL_IDLE)
			pool_child_leave(c);
		if (c->state == POOL_STARTING)
			pool_child_stop(c, SIGKILL);
		if (c->state == POOL_LEAVING && grace >= 0)
			pool_child_hurry(c, grace);
	}
}

static void
pools_leave(struct exec_env *env, int64_t grace)
{
	env->pools->leaving = true;
	for (int i = 0; i < env->pools->n; i++)
		if (env->pools->by_handler[i] != NULL)
			pool_leave(env->pools->by_handler[i], grace);
}

static bool
pools_gone(const struct exec_env *env)
{
	for (int i = 0; i < env->pools->n; i++)
		if (env->pools->by_handler[i] != NULL && env->pools->by_handler[i]->total > 0)
			return false;
	return true;
}

static void
pools_close(struct exec_env *env)
{
	struct list *pos;

	for (int i = 0; i < env->pools->n; i++) {
		struct pool *p = env->pools->by_handler[i];

		if (p == NULL)
			continue;
		while ((pos = list_first(&p->children)) != NULL) {
			struct pool_child *c = container_of(pos, struct pool_child, node);

			pool_child_free(&c);
		}
		loop_timer_free(&p->timer);
		mem_free(&p);
	}
	mem_free(&env->pools);
}

const struct exec_kind exec_pool = {
	.name = "pool",
	.ready = pool_ready,
	.idle = pool_idle,
	.width = pool_width,
	.start = pool_start,
	.flush = pool_flush,
	.stop = pool_stop,
	.drop = pool_drop,
	.open = pools_open,
	.turn = pool_turn,
	.leave = pools_leave,
	.gone = pools_gone,
	.close = pools_close,
};
