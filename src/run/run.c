/* run.c - the life of the machine: made, turning, draining, drained; see run.h.
 *
 * Everything that happens asks for a turn; a turn looks at the whole and does what is possible.  So the order in which things happen
 * matters nowhere.
 */
#include <stdlib.h>
#include <string.h>

#include "call/call.h"

#include "run/run_int.h"

#define LATELY (250 * CLOCK_MS)
#define PREFETCH_AT_ONCE 16                /* whatever their size */
#define PREFETCH_BYTES (8.0 * 1024 * 1024) /* of payloads */
#define WEIGH_GAIN 16                      /* one task moves the average size by a sixteenth */

static void
run_finish(struct run *r, bool clean)
{
	r->phase = RUN_DRAINED;
	loop_timer_clear(r->last_call);
	loop_timer_clear(r->beat);
	r->o.drained(r->o.arg, clean);
}

/* Nothing is here and nothing under way.  A claim that cannot reach its database need not be waited for: should it have
 * been heard, its leases go with this worker. */
static bool
run_is_empty(const struct run *r)
{
	for (int i = 0; i < RUN_TASK_STATES; i++)
		if (r->count[i] > 0)
			return false;
	if (!exec_gone(&r->env))
		return false;
	if (r->step.flying)
		return run_step_only_claims(r) && store_not_ready(r->o.store) != NULL;
	return list_first(&r->leases) == NULL;
}

static void
run_turn(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	if (r->phase == RUN_DRAINED)
		return;
	if (r->env.launch != NULL)
		launch_hello(r->env.launch, store_worker_inc(r->o.store));
	if (r->phase != RUN_WORKING)
		exec_leave(&r->env, -1);
	exec_turn(&r->env);
	run_claim_listen(r);
	run_pause_give_back(r);
	run_task_fill(r);
	run_lease_queue(r);
	run_step_send(r);
	run_claim_rest(r);
	run_guard_rest(r);
	run_spool_turn(r);
	stats_set(S_RUNNING, r->count[RUN_RUNNING] - r->waiting);
	if (r->phase != RUN_WORKING && run_is_empty(r))
		run_finish(r, true);
	else
		run_lease_beat(r);
}

void
run_turn_soon(struct run *r)
{
	if (!loop_timer_is_set(r->turn))
		loop_timer_set(r->turn, 0);
}

/* Counts an end. */
void
run_pace(struct run *r, int64_t now)
{
	if (now - r->lately_since > LATELY) {
		r->before = now - r->lately_since > 2 * LATELY ? 0 : r->lately;
		r->lately = 0;
		r->lately_since = now;
	}
	r->lately++;
}

/* Ends in a window, of late. */
static int
run_lately(const struct run *r)
{
	int64_t age = clock_now() - r->lately_since;

	return age > 2 * LATELY ? 0 : age > LATELY ? r->lately : r->lately > r->before ? r->lately : r->before;
}

int
run_each_second(const struct run *r)
{
	return run_lately(r) * (int)(CLOCK_SECOND / LATELY);
}

/* The prefetch follows the pace, so that nothing waits beside a slow task: few tasks, then what ends in a quarter of a window.  It
 * follows the size of tasks too: what waits here is in memory. */
int
run_prefetch(const struct run *r)
{
	int pace = run_lately(r);
	int fit = (int)(PREFETCH_BYTES / (r->bytes_each > 1 ? r->bytes_each : 1));

	if (pace > PREFETCH_AT_ONCE)
		pace = pace / 4 > PREFETCH_AT_ONCE ? pace / 4 : PREFETCH_AT_ONCE;
	if (pace > PREFETCH_AT_ONCE && pace > fit)
		pace = fit > PREFETCH_AT_ONCE ? fit : PREFETCH_AT_ONCE;
	return pace < r->conf->work.prefetch ? pace : r->conf->work.prefetch;
}

/* One more came, of so many bytes. */
void
run_weigh(struct run *r, size_t bytes)
{
	r->bytes_each += ((double)bytes - r->bytes_each) / WEIGH_GAIN;
}

int
run_room(const struct run *r)
{
	int room = r->conf->work.slots + run_prefetch(r) - r->count[RUN_QUEUED] - r->count[RUN_RUNNING];

	return r->phase == RUN_WORKING && room > 0 ? room : 0;
}

/* A kind that knows how many it can run at once counts with those that wait, whatever the limit. */
int
run_limit(const struct run *r, int handler)
{
	int width = exec_width(&r->env, &r->conf->handlers[handler]);

	return width > 0 ? width : r->handlers[handler].limit;
}

/* splitmix64: good enough for jitter. */
double
run_dice(struct run *r)
{
	uint64_t z = (r->dice += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ (z >> 31)) >> 11) / (double)(UINT64_C(1) << 53);
}

static void
run_last_call(void *arg)
{
	struct run *r = arg;
	int kept;

	MAGIC_CHECK(r, RUN_MAGIC);
	if (r->phase == RUN_DRAINED)
		return;
	kept = run_spool_flush(r);
	log_warning("tasks are left behind", log_int("running", r->count[RUN_RUNNING]),
	    log_int("unwritten", r->count[RUN_ENDED] + r->count[RUN_SENT]), log_int("kept_on_disk", kept),
	    log_int("unstarted", r->count[RUN_QUEUED]));
	run_finish(r, false);
}

static void
run_handlers(struct run *r)
{
	r->handlers = mem_zalloc(sizeof(*r->handlers) * (size_t)(r->conf->nhandlers + 1));
	for (int i = 0; i < r->conf->nhandlers; i++)
		if (r->conf->handlers[i].concurrency < r->conf->work.slots)
			r->handlers[i].limit = r->conf->handlers[i].concurrency;
}

/* Only a worker with somebody to call pays for it. */
static struct call_client *
run_calls(const struct run *r)
{
	for (int i = 0; i < r->conf->nhandlers; i++)
		if (r->conf->handlers[i].kind == CONF_HANDLER_HTTP)
			return call_client_new(r->o.loop, r->conf);
	return NULL;
}

static void
run_nudge(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	run_turn_soon(r);
}

struct run *
run_new(const struct run_options *o)
{
	struct run *r = mem_zalloc(sizeof(*r));
	struct id seed = id_random();

	r->magic = RUN_MAGIC;
	r->o = *o;
	r->conf = o->conf;
	r->grace = o->conf->kill_grace;
	memcpy(&r->dice, seed.b, sizeof(r->dice));
	r->env = (struct exec_env){ .loop = o->loop, .conf = o->conf, .changed = run_nudge, .arg = r };
	r->env.calls = run_calls(r);
	if (o->launch_path != NULL)
		r->env.launch = launch_new(o->loop, o->launch_path, run_nudge, r);
	for (int i = 0; i < RUN_TASK_STATES; i++)
		list_init(&r->tasks[i]);
	list_init(&r->leases);
	r->turn = loop_timer_new(o->loop, run_turn, r);
	r->last_call = loop_timer_new(o->loop, run_last_call, r);
	r->queue = loop_timer_new(o->loop, run_nudge, r);
	r->beat = loop_timer_new(o->loop, run_lease_on_beat, r);
	r->guarded = loop_timer_new(o->loop, run_nudge, r);
	exec_open(&r->env);
	run_handlers(r);
	run_time_open(r);
	run_step_open(r);
	run_guard_open(r);
	run_claim_open(r);
	run_progress_open(r);
	run_spool_open(r);
	stats_set(S_SLOTS, r->conf->work.slots);
	run_turn_soon(r);
	return r;
}

void
run_free(struct run **rp)
{
	struct run *r = *rp;
	struct list *pos;

	if (r == NULL)
		return;
	MAGIC_CHECK(r, RUN_MAGIC);
	run_mark_leave(r);
	run_spool_close(r);
	for (int i = 0; i < RUN_TASK_STATES; i++)
		while ((pos = list_first(&r->tasks[i])) != NULL)
			run_task_drop(container_of(pos, struct run_task, node));
	while ((pos = list_first(&r->leases)) != NULL) {
		struct run_lease *l = container_of(pos, struct run_lease, node);

		list_remove(pos);
		mem_free(&l);
	}
	run_claim_close(r);
	run_progress_close(r);
	run_step_free(r);
	exec_close(&r->env);
	launch_free(&r->env.launch);
	call_client_free(&r->env.calls);
	loop_timer_free(&r->turn);
	loop_timer_free(&r->last_call);
	loop_timer_free(&r->queue);
	loop_timer_free(&r->guarded);
	loop_timer_free(&r->beat);
	run_time_close(r);
	mem_free(&r->handlers);
	r->magic = 0;
	mem_free(rp);
}

void
run_drain(struct run *r)
{
	if (r->phase != RUN_WORKING)
		return;
	r->phase = RUN_DRAINING;
	stats_set(S_SLOTS, 0);
	run_claim_stop(r);
	run_turn_soon(r);
}

void
run_now(struct run *r, int64_t grace)
{
	struct list *pos, *next;

	run_drain(r);
	if (r->phase == RUN_DRAINED)
		return;
	r->phase = RUN_STOPPING;
	r->grace = grace;
	LIST_FOREACH_SAFE (pos, next, &r->tasks[RUN_RUNNING])
		run_task_stop(container_of(pos, struct run_task, node), RUN_STOP_DRAIN);
	exec_leave(&r->env, grace);
	loop_timer_set(r->last_call, grace + RUN_NOW_PATIENCE);
	run_turn_soon(r);
}
