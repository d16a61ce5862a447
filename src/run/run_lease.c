/* run_lease.c - leases: what is given back of them, the heartbeat, the loss of identity.
 *
 * Tasks of a lease start in the order of their ids (a lease is of one lane, so of one handler), so what has not started is always a
 * tail, and a give-back "from this id on" is exact.  A give-back waits until nothing of what it covers runs, and until the
 * outcomes of its lease are acknowledged: then the whole rest can be named, and the lease disappears with it.
 *
 * The heartbeat keeps the worker's row young and brings the ids of running tasks that were cancelled.  When the row is
 * gone, somebody declared this worker dead: its tasks belong to others, so all handlers are killed and everything is forgotten.
 */
#include <signal.h>

#include "run/run_int.h"

#define QUEUE_PATIENCE (500 * CLOCK_MS)        /* unstarted beside a slow neighbour */
#define QUEUE_AWAY_PATIENCE (5 * CLOCK_SECOND) /* unstarted while its kind of work cannot start anything */
#define BEAT_BUSY CLOCK_SECOND
#define BEAT_IDLE (10 * CLOCK_SECOND)
#define BEATS_OF_LEASE 4      /* at least so many in the time that a silent worker is allowed */
#define BEATS_OF_LEASE_IDLE 3 /* who has nothing loses nothing but its name */

struct run_lease *
run_lease_take(struct run *r, const struct store_lease *lease)
{
	struct run_lease *l;
	struct list *pos;

	/* The newest are last, and tasks arrive lease by lease. */
	for (pos = r->leases.prev; pos != &r->leases; pos = pos->prev) {
		l = container_of(pos, struct run_lease, node);
		if (l->lease.lease_id == lease->lease_id && id_eq(&l->lease.lo, &lease->lo)) {
			l->tasks++;
			return l;
		}
	}
	l = mem_zalloc(sizeof(*l));
	l->lease = *lease;
	l->tasks = 1;
	list_push(&r->leases, &l->node);
	return l;
}

/* Nobody here needs it any more: free it, or first see to the rest of its row. */
static void
lease_settle(struct run *r, struct run_lease *l)
{
	if (l->tasks > 0 || l->sent)
		return;
	if (l->untidy && !l->give_back)
		run_lease_give_back(l, &l->lease.lo, false);
	if (l->give_back) {
		run_turn_soon(r);
		return;
	}
	list_remove(&l->node);
	mem_free(&l);
}

void
run_lease_release(struct run *r, struct run_lease *l)
{
	ASSERT(l->tasks > 0);
	l->tasks--;
	lease_settle(r, l);
}

void
run_lease_give_back(struct run_lease *l, const struct id *from, bool started)
{
	if (!l->give_back || id_cmp(from, &l->from) < 0)
		l->from = *from;
	l->give_back = true;
	l->started = l->started || started;
}

static bool
lease_has(const struct run *r, enum run_task_state state, const struct run_lease *l, const struct id *from)
{
	const struct list *head = &r->tasks[state], *pos;

	for (pos = head->next; pos != head; pos = pos->next) {
		const struct run_task *t = container_of(pos, const struct run_task, node);

		if (t->lease == l && (from == NULL || id_cmp(&t->row.id, from) >= 0))
			return true;
	}
	return false;
}

bool
run_lease_due(struct run *r, struct run_lease *l, struct store_giveback *g_r)
{
	if (!l->give_back || l->sent || lease_has(r, RUN_RUNNING, l, &l->from) || lease_has(r, RUN_ENDED, l, NULL) ||
	    lease_has(r, RUN_SENT, l, NULL))
		return false;
	if (l->tasks == 0)
		l->from = l->lease.lo;
	*g_r = (struct store_giveback){ .lease = l->lease, .from = l->from, .started = l->started };
	l->untidy = l->tasks > 0;
	l->give_back = l->started = false;
	l->sent = true;
	return true;
}

void
run_lease_given(struct run *r, struct run_lease *l)
{
	l->sent = false;
	lease_settle(r, l);
}

/* --- the queue ------------------------------------------------------------------------------------------------------------------ */

static int64_t
task_patience(const struct run_task *t)
{
	if (t->run->phase != RUN_WORKING || run_guard_holds(t->run, t->handler))
		return 0;
	return exec_ready(&t->run->env, &t->run->conf->handlers[t->handler]) ? QUEUE_PATIENCE : QUEUE_AWAY_PATIENCE;
}

/* What has waited too long goes back, and with it what is behind it in its lease. */
void
run_lease_queue(struct run *r)
{
	int64_t now = clock_now(), next = INT64_MAX;
	struct list *pos, *tmp;

	LIST_FOREACH_SAFE (pos, tmp, &r->tasks[RUN_QUEUED]) {
		struct run_task *t = container_of(pos, struct run_task, node);
		int64_t left = t->queued_at + task_patience(t) - now;

		if (left > 0 && !(t->lease->give_back && id_cmp(&t->row.id, &t->lease->from) >= 0)) {
			next = left < next ? left : next;
			continue;
		}
		run_lease_give_back(t->lease, &t->row.id, false);
		run_task_leave(t);
	}
	if (next == INT64_MAX)
		loop_timer_clear(r->queue);
	else
		loop_timer_set(r->queue, next);
}

/* --- identity ------------------------------------------------------------------------------------------------------------------- */

static void
tasks_leave(struct run *r, enum run_task_state state)
{
	struct list *pos, *next;

	LIST_FOREACH_SAFE (pos, next, &r->tasks[state])
		run_task_leave(container_of(pos, struct run_task, node));
}

void
run_lease_lose(struct run *r)
{
	struct list *pos, *next;

	log_warning("this worker was declared dead: its tasks are forgotten", log_int("running", r->count[RUN_RUNNING]),
	    log_int("unwritten", r->count[RUN_ENDED]), log_int("unstarted", r->count[RUN_QUEUED]));
	LIST_FOREACH_SAFE (pos, next, &r->leases) {
		struct run_lease *l = container_of(pos, struct run_lease, node);

		l->give_back = l->untidy = false;
		lease_settle(r, l);
	}
	tasks_leave(r, RUN_QUEUED);
	tasks_leave(r, RUN_ENDED);
	LIST_FOREACH_SAFE (pos, next, &r->tasks[RUN_RUNNING])
		run_task_stop(container_of(pos, struct run_task, node), RUN_STOP_LOST);
	if (r->env.launch != NULL && r->count[RUN_RUNNING] > 0)
		launch_cut(r->env.launch, "what runs belongs to others now");
	run_turn_soon(r);
}

static void
task_cancelled(struct run *r, const struct id *id)
{
	struct run_task *t = run_task_find(r, RUN_RUNNING, id);

	if (t != NULL && t->stop != RUN_STOP_CANCELLED) {
		log_info("task cancelled while running", log_id("task_id", id), log_span("trace_id", t->row.trace_id));
		run_task_stop(t, RUN_STOP_CANCELLED);
		return;
	}
	t = run_task_find(r, RUN_QUEUED, id);
	if (t != NULL) {
		t->lease->untidy = true;
		run_task_leave(t);
	}
}

static void
beat_answered(void *arg, const struct store_beat *b)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	r->beating = false;
	if (b->lost)
		run_lease_lose(r);
	for (int i = 0; i < b->ncancelled; i++)
		task_cancelled(r, &b->cancelled[i]);
	run_turn_soon(r);
}

void
run_lease_on_beat(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	if (r->beating || r->phase == RUN_DRAINED)
		return;
	r->beating = true;
	store_beat(r->o.store, beat_answered, r);
}

/* The next beat is due by what is here now; one that is due earlier stays. */
void
run_lease_beat(struct run *r)
{
	bool busy = list_first(&r->leases) != NULL;
	int64_t period = busy ? BEAT_BUSY : BEAT_IDLE,
		most = r->conf->work.lease / (busy ? BEATS_OF_LEASE : BEATS_OF_LEASE_IDLE);

	period = period < most ? period : most;
	if (r->beating || (loop_timer_is_set(r->beat) && r->beat_period <= period))
		return;
	r->beat_period = period;
	loop_timer_set(r->beat, period);
}
