/* run_step.c - a step: outcomes, give-backs and the next claim, which travel to the database together.
 *
 * One is under way at a time.  What it carries is in state SENT until the answer says, for each outcome, written or stale.
 * An answer under another identity than the question brings nothing: its leases are not ours any more.
 *
 * A commit costs the server as much as many of its rows.  So while every slot is busy and enough waits here to keep them so, the next
 * step comes STEP_REST after the last one, or with STEP_ENOUGH outcomes: tasks that take a moment (commands) share it then.
 */
#include <stdlib.h>
#include <string.h>

#include "run/run_int.h"

#define STEP_OUTCOMES 4096 /* most in one commit */
#define STEP_ENOUGH 128    /* outcomes that share a commit well */
#define STEP_REST (20 * CLOCK_MS)

struct store_outcome
run_step_outcome(const struct run_task *t)
{
	const struct exec_end *end = &t->exec.end;

	return (struct store_outcome){
		.id = t->row.id,
		.lease = t->lease->lease,
		.kind = t->verdict.kind,
		.result = run_result_kept(t) ? end->result : SPAN(""),
		.failure = end->failure,
		.reason = t->verdict.reason,
		.delay = t->verdict.delay,
		.charge = t->verdict.charge,
		.crash = t->verdict.crash,
		.started_at = t->started_db,
	};
}

static void
step_put_outcome(struct run *r, struct run_task *t)
{
	struct store_outcome o = run_step_outcome(t);

	buf_put(&r->step.outcomes, &o, sizeof(o));
	buf_put(&r->step.tasks, &t, sizeof(t));
	run_task_move(t, RUN_SENT);
}

static int
step_outcomes(struct run *r)
{
	struct list *pos;
	int n = 0;

	while (n < STEP_OUTCOMES && (pos = list_first(&r->tasks[RUN_ENDED])) != NULL) {
		step_put_outcome(r, container_of(pos, struct run_task, node));
		n++;
	}
	return n;
}

static int
step_givebacks(struct run *r)
{
	struct list *pos;
	int n = 0;

	for (pos = r->leases.next; pos != &r->leases; pos = pos->next) {
		struct run_lease *l = container_of(pos, struct run_lease, node);
		struct store_giveback g;

		if (!run_lease_due(r, l, &g))
			continue;
		buf_put(&r->step.givebacks, &g, sizeof(g));
		buf_put(&r->step.leases, &l, sizeof(l));
		n++;
	}
	return n;
}

static void
step_reset(struct run *r)
{
	buf_reset(&r->step.outcomes);
	buf_reset(&r->step.tasks);
	buf_reset(&r->step.givebacks);
	buf_reset(&r->step.leases);
	r->step.flying = false;
}

/* --- the answer ----------------------------------------------------------------------------------------------------------------- */

static void
log_outcome(const struct run_task *t)
{
	const struct task_failure *f = t->exec.end.failure;
	int attempt = t->history.attempts + 1;

	if (t->verdict.kind == STORE_SUCCEEDED)
		log_debug("task finished", log_id("task_id", &t->row.id), log_span("trace_id", t->row.trace_id),
		    log_span("task_type", t->row.task_type), log_int("attempt", attempt),
		    log_seconds("seconds", t->ended_at - t->started_at));
	else if (t->verdict.kind == STORE_PUT_OFF)
		log_info("task put off", log_id("task_id", &t->row.id), log_span("trace_id", t->row.trace_id),
		    log_span("task_type", t->row.task_type), log_int("attempt", attempt),
		    log_seconds("for", t->verdict.delay));
	else if (t->verdict.kind == STORE_RETRY)
		log_info("task failed", log_id("task_id", &t->row.id), log_span("trace_id", t->row.trace_id),
		    log_span("task_type", t->row.task_type), log_int("attempt", attempt),
		    log_str("error_class", task_class_name(f->class)), log_str("error_code", f->code),
		    log_str("message", f->message), log_seconds("retry_in", t->verdict.delay));
	else
		log_info("task dead", log_id("task_id", &t->row.id), log_span("trace_id", t->row.trace_id),
		    log_span("task_type", t->row.task_type), log_int("attempt", attempt),
		    log_str("reason", t->verdict.reason), log_str("error_class", task_class_name(f->class)),
		    log_str("error_code", f->code), log_str("message", f->message));
}

static void
outcome_answered(struct run_task *t, bool accepted)
{
	if (accepted) {
		store_outcome_count(t->verdict.kind, t->row.queue, t->row.task_type, t->ended_at - t->started_at);
		log_outcome(t);
	} else {
		stats_inc(S_STALE);
		log_info("outcome refused: the task is not ours any more", log_id("task_id", &t->row.id),
		    log_span("trace_id", t->row.trace_id));
		t->lease->untidy = true;
	}
	run_task_leave(t);
}

/* The store is closing and nothing is known: they stay, to be counted as left behind. */
static void
outcomes_keep(struct run *r)
{
	struct list *pos;

	while ((pos = list_first(&r->tasks[RUN_SENT])) != NULL)
		run_task_move(container_of(pos, struct run_task, node), RUN_ENDED);
}

static void
outcomes_answered(struct run *r, const struct store_stepped *s)
{
	size_t n = r->step.tasks.len / sizeof(struct run_task *);
	struct run_task *t;

	for (size_t i = 0; i < n; i++) {
		memcpy(&t, r->step.tasks.data + i * sizeof(t), sizeof(t));
		outcome_answered(t, s->accepted[i]);
	}
}

static void
givebacks_answered(struct run *r)
{
	size_t n = r->step.leases.len / sizeof(struct run_lease *);
	struct run_lease *l;

	for (size_t i = 0; i < n; i++) {
		memcpy(&l, r->step.leases.data + i * sizeof(l), sizeof(l));
		run_lease_given(r, l);
	}
}

/* Places of the tasks in the order in which they start: turn by turn one of each, as if each had been claimed alone. */
struct place {
	int round, task;
};

static int
place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return (x->task > y->task) - (x->task < y->task);
}

static void
tasks_take(struct run *r, const struct store_stepped *s)
{
	struct place *places = mem_zalloc(sizeof(*places) * (size_t)(s->ntasks + 1));
	int rounds[RUN_TURNS + 1] = { 0 }; /* the first is of those whose turn is not known */

	for (int i = 0; i < s->ntasks; i++)
		places[i] = (struct place){ rounds[s->tasks[i].turn + 1]++, i };
	if (r->lanes.nturns > 1)
		qsort(places, (size_t)s->ntasks, sizeof(*places), place_cmp);
	for (int i = 0; i < s->ntasks; i++)
		run_task_claimed(r, &s->tasks[places[i].task]);
	mem_free(&places);
}

static void
claim_answered(struct run *r, const struct store_stepped *s)
{
	bool mine = !s->lost && (r->step.inc == 0 || r->step.inc == store_worker_inc(r->o.store));

	run_claim_answered(r, s);
	if (mine)
		tasks_take(r, s);
}

static void
step_answered(void *arg, const struct store_stepped *s)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	ASSERT(r->step.flying);
	if (s->status != STORE_OK) {
		outcomes_keep(r);
	} else {
		outcomes_answered(r, s);
		givebacks_answered(r);
		if (s->lost)
			run_lease_lose(r);
		run_exact_answered(r, s);
		if (r->lanes.nturns > 0)
			claim_answered(r, s);
	}
	step_reset(r);
	r->step.answered_at = clock_now();
	run_turn_soon(r);
}

/* --- the question ----------------------------------------------------------------------------------------------------------------- */

/* Nothing stands still for want of it, yet. */
static bool
step_can_wait(const struct run *r)
{
	return !r->step.urgent && r->phase == RUN_WORKING &&
	       r->count[RUN_RUNNING] - r->waiting >= r->conf->work.slots && r->count[RUN_QUEUED] > 0 &&
	       r->count[RUN_QUEUED] * 2 >= run_prefetch(r) && r->count[RUN_ENDED] < STEP_ENOUGH;
}

/* True: the next step is for later, and the timer is set. */
static bool
step_rest(struct run *r)
{
	int64_t most = r->conf->work.spool_after / 4, rest = STEP_REST < most ? STEP_REST : most;
	int64_t left = r->step.answered_at + rest - clock_now();

	r->step.resting = left > 0 && step_can_wait(r);
	if (r->step.resting && !loop_timer_is_set(r->step.rest))
		loop_timer_set(r->step.rest, left);
	return r->step.resting;
}

static void
step_rested(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	run_turn_soon(r);
}

void
run_step_open(struct run *r)
{
	r->step.rest = loop_timer_new(r->o.loop, step_rested, r);
	r->step.answered_at = clock_now() - STEP_REST;
}

void
run_step_send(struct run *r)
{
	struct store_step q = { 0 };

	if (r->step.flying || step_rest(r))
		return;
	step_reset(r);
	r->step.urgent = false;
	q.noutcomes = step_outcomes(r);
	q.ngivebacks = step_givebacks(r);
	run_exact_ended(r);
	run_choose(r);
	if (q.noutcomes == 0 && q.ngivebacks == 0 && r->lanes.nturns == 0)
		return;
	q.outcomes = (const struct store_outcome *)(void *)r->step.outcomes.data;
	q.givebacks = (const struct store_giveback *)(void *)r->step.givebacks.data;
	q.probes = r->lanes.probes;
	q.nprobes = r->lanes.nprobes;
	q.turns = r->lanes.turns;
	q.nturns = r->lanes.nturns;
	q.exact = q.nturns > 0 && r->exact.asked >= 0 ? &r->exact.claim : NULL;
	r->step.flying = true;
	r->step.inc = store_worker_inc(r->o.store);
	store_step(r->o.store, &q, step_answered, r);
}

bool
run_step_only_claims(const struct run *r)
{
	return r->step.outcomes.len == 0 && r->step.givebacks.len == 0;
}

void
run_step_free(struct run *r)
{
	buf_free(&r->step.outcomes);
	buf_free(&r->step.tasks);
	buf_free(&r->step.givebacks);
	buf_free(&r->step.leases);
	loop_timer_free(&r->step.rest);
}
