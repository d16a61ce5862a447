/* run_task.c - one task in the machine: copied out of the store's answer, started, begun, ended.  Its limit of time: run_time.c.
 *
 * Most tasks are begun when they are started.  One whose handler has something else to do first waits: it is running for whoever gives
 * leases back and is told of cancellations, but has no slot, no mark and no time that runs; should its handler never begin it, it is queued
 * again as if nothing had happened.
 */
#include <stdio.h>
#include <string.h>

#include "task/task_schema.h"

#include "run/run_int.h"

#define TASK_ARENA 512

static bool
state_is_busy(enum run_task_state s)
{
	return s == RUN_QUEUED || s == RUN_RUNNING;
}

static void
task_count(struct run_task *t, enum run_task_state s, int n)
{
	t->run->count[s] += n;
	if (t->handler >= 0 && state_is_busy(s))
		t->run->handlers[t->handler].busy += n;
	if (t->handler >= 0 && s == RUN_QUEUED)
		t->run->handlers[t->handler].queued += n;
}

/* The one place where a task changes its state. */
void
run_task_move(struct run_task *t, enum run_task_state to)
{
	list_remove(&t->node);
	task_count(t, t->state, -1);
	t->state = to;
	list_push(&t->run->tasks[to], &t->node);
	task_count(t, to, 1);
}

static void
waits_set(struct run_task *t, bool waits)
{
	t->run->waiting += waits - t->waits;
	t->waits = waits;
}

static void
task_free(struct run_task *t)
{
	struct arena *a = t->arena;

	list_remove(&t->node);
	task_count(t, t->state, -1);
	run_unmark(t);
	run_spool_left(t);
	run_time_leave(t);
	waits_set(t, false);
	t->magic = 0;
	arena_free(&a); /* the task lives in it */
}

void
run_task_leave(struct run_task *t)
{
	struct run *r;
	struct run_lease *l;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	ASSERT(t->exec.state == NULL);
	r = t->run;
	l = t->lease;
	task_free(t);
	run_lease_release(r, l);
}

void
run_task_drop(struct run_task *t)
{
	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	if (t->state == RUN_RUNNING)
		exec_drop(&t->exec);
	run_task_leave(t);
}

struct run_task *
run_task_find(struct run *r, enum run_task_state state, const struct id *id)
{
	struct list *head = &r->tasks[state], *pos;

	for (pos = head->next; pos != head; pos = pos->next) {
		struct run_task *t = container_of(pos, struct run_task, node);

		if (id_eq(&t->row.id, id))
			return t;
	}
	return NULL;
}

/* --- the end -------------------------------------------------------------------------------------------------------------------- */

static void
task_timed_out(struct run_task *t)
{
	char message[96];
	double seconds = (double)t->exec.handler->timeout / (double)CLOCK_SECOND;

	snprintf(message, sizeof(message), "timed out after %g s", seconds);
	(void)exec_fail(&t->exec, TASK_TRANSIENT, "TIMEOUT", span_of(message));
	t->exec.end.retry_after = -1;
	t->exec.end.snooze = -1;
}

static void
task_count_end(const struct run_task *t, enum stats_outcome as)
{
	double seconds = (double)(t->ended_at - t->started_at) / (double)CLOCK_SECOND;

	stats_finished(stats_series(t->row.queue, t->row.task_type), as, seconds);
}

/* False: nobody here waits for it any more. */
static bool
task_may_wait(struct run_task *t)
{
	if (t->stop == RUN_STOP_LOST)
		return false;
	if (t->stop == RUN_STOP_CANCELLED) {
		t->lease->untidy = true;
		return false;
	}
	if (exec_ready(&t->run->env, t->exec.handler))
		return true;
	run_lease_give_back(t->lease, &t->row.id, false);
	return false;
}

/* Nobody has begun it, or it was interrupted through no fault of its own.  It is the first of the queue again, from where a worker that drains
 * gives it back; where it cannot start soon, others may have it. */
static void
task_wait_again(struct run_task *t)
{
	run_guard_forget(t);
	run_unmark(t);
	run_time_leave(t);
	waits_set(t, false);
	run_turn_soon(t->run);
	if (!task_may_wait(t)) {
		run_task_leave(t);
		return;
	}
	t->stop = RUN_STOP_NONE;
	t->killed = false;
	t->queued_at = clock_now();
	run_task_move(t, RUN_QUEUED);
	list_remove(&t->node);
	list_unshift(&t->run->tasks[RUN_QUEUED], &t->node);
}

static void
task_over(struct run_task *t)
{
	struct run *r = t->run;

	if (t->stop == RUN_STOP_TIMEOUT)
		task_timed_out(t);
	run_result_check(t);
	run_outcome_judge(conf_handler_rules(r->conf, t->exec.handler), &t->exec.end);
	run_time_leave(t);
	t->ended_at = clock_now();
	run_pace(r, t->ended_at);
	run_turn_soon(r);
	if (t->stop != RUN_STOP_NONE && t->stop != RUN_STOP_TIMEOUT)
		run_guard_forget(t);
	switch (t->stop) {
	case RUN_STOP_CANCELLED:
		task_count_end(t, STATS_CANCELLED);
		t->lease->untidy = true;
		run_task_leave(t);
		return;
	case RUN_STOP_LOST:
		run_task_leave(t);
		return;
	case RUN_STOP_DRAIN:
		task_count_end(t, STATS_RELEASED);
		run_lease_give_back(t->lease, &t->row.id, true);
		run_task_leave(t);
		return;
	case RUN_STOP_TIMEOUT:
	case RUN_STOP_NONE:
		break;
	}
	t->verdict = run_outcome_decide(&t->history, &t->exec.end, run_dice(r));
	if (t->verdict.pause)
		run_auth_failed(t);
	run_guard_ended(t);
	if (run_exact_of(t->run, t->row.queue, t->row.ordering_key) >= 0)
		t->run->step.urgent = true;
	run_task_move(t, RUN_ENDED);
}

static void
task_ended(struct exec_run *x)
{
	struct run_task *t = x->arg;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	if (x->end.ending == EXEC_UNBEGUN)
		task_wait_again(t);
	else
		task_over(t);
}

/* From the moment it became ready, for the first time or again. */
static void
task_waited(const struct run_task *t)
{
	double waited = (double)(t->started_db - t->row.updated_at) / (double)CLOCK_SECOND;

	stats_waited(stats_series(t->row.queue, t->row.task_type), waited > 0 ? waited : 0);
}

/* Of the machine's contract with the kinds: exec_run.begun. */
static void
task_begun(struct exec_run *x, int64_t since)
{
	struct run_task *t = x->arg;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	waits_set(t, false);
	run_mark(t);
	t->started_at = since;
	t->started_db = store_db_now(t->run->o.store) - (clock_now() - since);
	task_waited(t);
	run_turn_soon(t->run);
	run_time_begin(t);
}

/* --- the end before a start ----------------------------------------------------------------------------------------------------- */

/* Dead without a start. */
static void
task_bury(struct run_task *t, enum task_class class, const char *code, const char *message)
{
	t->exec.arena = t->arena;
	exec_fail(&t->exec, class, code, span_of(message));
	t->exec.end.retry_after = -1;
	t->exec.end.snooze = -1;
	t->started_at = t->ended_at = clock_now();
	t->started_db = store_db_now(t->run->o.store);
}

/* It came too late to its turn: not started, not charged. */
static void
task_bury_expired(struct run_task *t)
{
	task_bury(t, TASK_NON_RETRYABLE, "EXPIRED", "not started in time");
	t->verdict = (struct run_verdict){ .kind = STORE_BURY, .reason = "EXPIRED" };
	stats_inc(S_EXPIRED);
	run_task_move(t, RUN_ENDED);
}

/* --- the start ------------------------------------------------------------------------------------------------------------------ */

static void
task_prepare(struct run_task *t)
{
	struct run *r = t->run;
	struct exec_run *x = &t->exec;

	*x = (struct exec_run){
		.magic = EXEC_RUN_MAGIC,
		.env = &r->env,
		.row = &t->row,
		.handler = &r->conf->handlers[t->handler],
		.attempt = t->history.attempts + 1,
		.lease_id = t->lease->lease.lease_id,
		.arena = t->arena,
		.ended = task_ended,
		.begun = task_begun,
		.progress = run_progress_heard,
		.arg = t,
	};
	t->started_at = clock_now();
	t->started_db = store_db_now(r->o.store);
	x->deadline = t->started_db + x->handler->timeout;
}

/* False when it must wait. */
static bool
task_start(struct run_task *t)
{
	enum exec_begin begin;

	if (task_is_expired(&t->row, store_db_now(t->run->o.store))) {
		task_bury_expired(t);
		return true;
	}
	if (t->run->handlers[t->handler].barred || !exec_idle(&t->run->env, &t->run->conf->handlers[t->handler]) ||
	    !run_guard_start(t))
		return false;
	task_prepare(t);
	run_mark(t);
	begin = exec_start(&t->exec);
	if (begin == EXEC_LATER) {
		run_unmark(t);
		run_guard_forget(t);
		return false;
	}
	run_task_move(t, RUN_RUNNING);
	if (t->exec.waits) {
		run_unmark(t);
		waits_set(t, true);
		return true;
	}
	task_waited(t);
	if (begin == EXEC_ENDED)
		task_over(t);
	else
		run_time_begin(t);
	return true;
}

void
run_task_fill(struct run *r)
{
	struct list *pos, *next;

	if (r->phase != RUN_WORKING || run_pause_unseen(r))
		return;
	LIST_FOREACH_SAFE (pos, next, &r->tasks[RUN_QUEUED]) {
		if (r->count[RUN_RUNNING] - r->waiting >= r->conf->work.slots)
			break;
		/* One that must wait does not hold up those of other handlers. */
		(void)task_start(container_of(pos, struct run_task, node));
	}
	exec_flush(&r->env);
}

/* --- the arrival ---------------------------------------------------------------------------------------------------------------- */

static void
row_copy(struct arena *a, struct task_row *to, const struct task_row *from)
{
	*to = *from;
	to->queue = arena_span(a, from->queue);
	to->task_type = arena_span(a, from->task_type);
	to->group = arena_span(a, from->group);
	to->ordering_key = arena_span(a, from->ordering_key);
	to->payload = arena_span(a, from->payload);
	to->schema_version = arena_span(a, from->schema_version);
	to->trace_id = arena_span(a, from->trace_id);
	for (int i = 0; i < from->nlabels; i++) {
		to->labels[i].name = arena_span(a, from->labels[i].name);
		to->labels[i].value = arena_span(a, from->labels[i].value);
	}
	to->result = arena_span(a, from->result);
	to->last_error = arena_span(a, from->last_error);
	to->error_code = arena_span(a, from->error_code);
	to->error_class = arena_span(a, from->error_class);
}

static struct run_task *
task_new(struct run *r, const struct store_claimed *c)
{
	struct arena *a = arena_new(sizeof(struct run_task) + c->row.payload.len + TASK_ARENA);
	struct run_task *t = arena_alloc(a, sizeof(*t));
	const struct conf_handler *h = conf_handler_find(r->conf, c->row.task_type);

	t->magic = RUN_TASK_MAGIC;
	t->run = r;
	t->arena = a;
	t->handler = h != NULL ? (int)(h - r->conf->handlers) : -1;
	run_weigh(r, c->row.payload.len);
	row_copy(a, &t->row, &c->row);
	t->history = (struct run_history){
		.run = c->run,
		.attempts = c->attempts,
		.crashes = c->crashes,
		.max_attempts = c->row.max_attempts,
		.crash_max = r->conf->work.crash_max,
		.backoff = run_outcome_backoff(h),
	};
	t->lease = run_lease_take(r, &c->lease);
	t->queued_at = clock_now();
	list_init(&t->node);
	list_init(&t->of_limit);
	t->state = RUN_QUEUED;
	list_push(&r->tasks[RUN_QUEUED], &t->node);
	task_count(t, RUN_QUEUED, 1);
	return t;
}

/* No handler in this configuration: dead at once, counted as its attempt. */
static void
task_bury_unknown(struct run_task *t)
{
	char message[64 + TASK_TYPE_MAX * 4];

	snprintf(message, sizeof(message), "no handler registered for task_type='%.*s'", (int)t->row.task_type.len,
	    t->row.task_type.ptr);
	task_bury(t, TASK_NON_RETRYABLE, "NO_HANDLER", message);
	t->verdict = run_outcome_decide(&t->history, &t->exec.end, 0);
	run_task_move(t, RUN_ENDED);
}

/* It came by another way than this node's admission, or before the schema did.  Trying again would not make it fit. */
static void
task_bury_misfit(struct run_task *t, const struct task_problem *p)
{
	char message[sizeof(p->pointer) + sizeof(p->detail) + 64];

	snprintf(
	    message, sizeof(message), "payload does not fit the schema of its handler: %s: %s", p->pointer, p->detail);
	task_bury(t, TASK_NON_RETRYABLE, "INVALID_PAYLOAD", message);
	t->verdict = run_outcome_decide(&t->history, &t->exec.end, 0);
	run_task_move(t, RUN_ENDED);
}

/* It was alone each time that its worker was lost: it does not get another one. */
static void
task_bury_poison(struct run_task *t)
{
	char message[96];

	snprintf(message, sizeof(message), "took %d processes with it", t->history.crashes);
	task_bury(t, TASK_CRASH, "WORKER_LOST", message);
	t->verdict = (struct run_verdict){ .kind = STORE_BURY, .reason = "QUARANTINED" };
	run_task_move(t, RUN_ENDED);
}

void
run_task_claimed(struct run *r, const struct store_claimed *c)
{
	struct run_task *t = task_new(r, c);
	const struct task_schema *schema;
	struct task_problem problem;

	if (t->handler < 0) {
		task_bury_unknown(t);
		return;
	}
	if (t->history.crashes >= t->history.crash_max) {
		task_bury_poison(t);
		return;
	}
	schema = conf_handler_schema(r->conf, &r->conf->handlers[t->handler]);
	if (schema != NULL && !task_schema_check(schema, t->row.payload, &problem))
		task_bury_misfit(t, &problem);
}
