/* run_exact.c - lanes with exact limits: those of a queue that the configuration limits, and those in order.
 *
 * Their tasks are claimed by a statement of their own, which counts what runs on all nodes and takes no more than there is room for.
 * When it is whose turn, and which lanes are asked, is decided as for all others (run_choose.c); but a claim is for lanes of one such
 * queue, and for no more tasks than there are free slots: a task that is counted does not wait in the prefetch.
 *
 * A queue that a limit holds back rests: until one of its tasks ended here or a bell told that one ended elsewhere on the node, until the
 * rate allows the next start, and without news for work.poll, after which another node may have made room.  A lane that has
 * something left while its queue has room (its group is full, or its first task runs) rests alone, for the same events.  Bells
 * wake a queue that rests, but not sooner than REST_LEAST after the last claim from it: submissions to a full queue are no reason to count.
 *
 * Whoever ends a task of such a queue and does not start the next one himself tells the other workers of the node.
 */
#include <limits.h>
#include <string.h>

#include "run/run_int.h"

#define REST_LEAST (20 * CLOCK_MS)
#define REST_BUSY (4 * CLOCK_MS) /* most, while somebody else counts: two statements and a commit */

bool
run_exact_limits(const struct conf *c, struct span queue, struct store_limits *limits_r)
{
	const struct conf_queue *q = conf_queue_find(c, queue);

	*limits_r = (struct store_limits){ 0 };
	if (q == NULL)
		return false;
	limits_r->concurrency = q->concurrency;
	limits_r->group_concurrency = q->group_concurrency;
	limits_r->interval = conf_rate_interval(q->rate);
	limits_r->group_interval = conf_rate_interval(q->group_rate);
	limits_r->burst = q->burst;
	limits_r->group_burst = q->group_burst;
	return limits_r->concurrency > 0 || limits_r->group_concurrency > 0 || limits_r->interval > 0 ||
	       limits_r->group_interval > 0;
}

/* --- which lanes -------------------------------------------------------------------------------------------------------------- */

static int
queue_find(const struct run_exact *x, struct span name)
{
	for (int i = 0; i < x->n; i++)
		if (span_is(name, x->all[i].name))
			return i;
	return -1;
}

int
run_exact_of(struct run *r, struct span queue, struct span ordering_key)
{
	struct run_exact *x = &r->exact;
	struct store_limits limits;
	bool limited = run_exact_limits(r->conf, queue, &limits);
	int i;

	if (!limited && ordering_key.len == 0)
		return -1;
	if ((i = queue_find(x, queue)) >= 0)
		return i;
	x->all = mem_resize(x->all, sizeof(*x->all) * (size_t)(x->n + 1));
	x->all[x->n] = (struct run_exact_queue){ .name = mem_spandup(queue), .limits = limits };
	return x->n++;
}

int
run_exact_room(const struct run *r, const struct run_lane *lane)
{
	int64_t now;

	if (lane->exact < 0)
		return INT_MAX;
	now = clock_now();
	if (r->exact.all[lane->exact].rest > now || lane->rest > now)
		return 0;
	return r->conf->work.slots - r->count[RUN_QUEUED] - r->count[RUN_RUNNING];
}

/* --- what ends a rest ------------------------------------------------------------------------------------------------------------ */

void
run_exact_rung(struct run *r, struct run_lane *lane)
{
	struct run_exact_queue *q;

	if (lane->exact < 0)
		return;
	q = &r->exact.all[lane->exact];
	lane->rest = 0;
	if (!q->rated && q->rest > q->asked_at + REST_LEAST)
		q->rest = q->asked_at + REST_LEAST;
}

/* One of its tasks leaves with the step that is being made, whose claim sees the room. */
static void
task_ended(struct run *r, const struct run_task *t)
{
	int i = run_exact_of(r, t->row.queue, t->row.ordering_key);
	struct run_lane *lane = run_lane_find(r, t->row.lane);
	struct run_exact_queue *q;

	if (i < 0)
		return;
	q = &r->exact.all[i];
	q->ended++;
	q->ended_lane = t->row.lane;
	if (!q->rated)
		q->rest = 0;
	if (lane != NULL)
		lane->rest = 0;
	for (i = 0; lane != NULL && q->limits.group_concurrency > 0 && i < r->lanes.n; i++)
		if (r->lanes.all[i].group_key == lane->group_key)
			r->lanes.all[i].rest = 0;
}

void
run_exact_ended(struct run *r)
{
	size_t n = r->step.tasks.len / sizeof(struct run_task *);
	struct run_task *t;

	for (int i = 0; i < r->exact.n; i++)
		r->exact.all[i].ended = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(&t, r->step.tasks.data + i * sizeof(t), sizeof(t));
		task_ended(r, t);
	}
}

/* --- the claim -------------------------------------------------------------------------------------------------------------------- */

void
run_exact_chosen(struct run *r, int queue, int room)
{
	struct run_exact *x = &r->exact;

	x->asked = queue;
	if (queue < 0)
		return;
	x->all[queue].asked_at = clock_now();
	x->claim = (struct store_exact){ .queue = span_of(x->all[queue].name), .limits = x->all[queue].limits };
	for (int i = 0; i < r->lanes.nprobes; i++)
		r->lanes.probes[i].turn = 0; /* the statement itself lets groups take turns */
	r->lanes.turns[0] = room;
	r->lanes.nturns = 1;
}

static bool
is_held(const struct store_stepped *s, int32_t lane)
{
	for (int i = 0; i < s->nheld; i++)
		if (s->held[i] == lane)
			return true;
	return false;
}

static int64_t
queue_rest(struct run *r, const struct store_stepped *s)
{
	if (s->busy)
		return (int64_t)((double)REST_BUSY * (0.2 + 0.8 * run_dice(r)));
	return s->next > 0 ? s->next : r->conf->work.poll;
}

static int64_t
lane_rest(const struct run *r, const struct store_stepped *s)
{
	return s->group_next > 0 && s->group_next < r->conf->work.poll ? s->group_next : r->conf->work.poll;
}

/* What the claim left is hot, and rests. */
static void
lanes_left(struct run *r, const struct store_stepped *s, int64_t rest)
{
	for (int i = 0; i < r->lanes.nprobes; i++) {
		struct run_lane *lane = run_lane_find(r, r->lanes.probes[i].lane);
		struct run_head *head = lane != NULL ? run_lane_head(lane, r->lanes.probes[i].prio) : NULL;

		if (lane == NULL || !(s->busy || s->lost || is_held(s, lane->lane)))
			continue;
		if (head != NULL && r->lanes.were_hot[i])
			head->hot = true;
		else
			lane->news = true;
		lane->rest = rest;
	}
}

static void
tasks_taken(struct run *r, const struct store_stepped *s)
{
	for (int i = 0; i < s->ntasks; i++) {
		struct run_lane *lane = run_lane_find(r, s->tasks[i].row.lane);

		if (lane == NULL)
			continue;
		run_lane_took(r, lane, &s->tasks[i], is_held(s, lane->lane));
		run_order_took(&r->lanes.takers, lane->taker, 1);
	}
}

/* Those who have slots may know of what this worker did not take: a lane each would be too many. */
static void
tell_others(struct run *r, int32_t lane)
{
	if (r->o.wake == NULL)
		return;
	wake_lane_ready(r->o.wake, lane);
	wake_workers_ring(r->o.wake);
}

static void
timer_set(struct run *r)
{
	int64_t now = clock_now(), first = INT64_MAX;

	for (int i = 0; i < r->exact.n; i++)
		if (r->exact.all[i].left && r->exact.all[i].rest > now && r->exact.all[i].rest < first)
			first = r->exact.all[i].rest;
	for (int i = 0; i < r->lanes.n; i++)
		if (r->lanes.all[i].rest > now && r->lanes.all[i].rest < first)
			first = r->lanes.all[i].rest;
	if (first < INT64_MAX)
		loop_timer_set(r->exact.timer, first - now);
}

static void
claim_answered(struct run *r, struct run_exact_queue *q, const struct store_stepped *s)
{
	int64_t now = clock_now();
	bool limited = s->busy || (s->room < r->lanes.turns[0] && s->ntasks >= s->room);
	bool full = s->full != NULL && s->full[0];

	tasks_taken(r, s);
	lanes_left(r, s, limited || full || s->lost ? 0 : now + lane_rest(r, s));
	q->left = s->busy || s->lost || s->nheld > 0;
	q->rated = !s->busy && limited && s->next > 0;
	if (full || s->lost)
		q->rest = 0;
	else if (limited)
		q->rest = now + queue_rest(r, s);
	else
		q->rest = s->ntasks == 0 ? now + REST_LEAST : 0;
	if (full)
		tell_others(r, s->held[0]);
	timer_set(r);
}

/* After a step with outcomes, a claim or both. */
void
run_exact_answered(struct run *r, const struct store_stepped *s)
{
	for (int i = 0; i < r->exact.n; i++) {
		struct run_exact_queue *q = &r->exact.all[i];
		bool asked = r->lanes.nturns > 0 && i == r->exact.asked;

		if (asked)
			claim_answered(r, q, s);
		if (q->ended > (asked ? s->ntasks : 0) && !(asked && s->busy)) /* then it is asked again at once */
			tell_others(r, q->ended_lane);
		q->ended = 0;
	}
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

static void
rested(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	timer_set(r);
	run_turn_soon(r);
}

void
run_exact_open(struct run *r)
{
	r->exact.asked = -1;
	r->exact.timer = loop_timer_new(r->o.loop, rested, r);
}

void
run_exact_close(struct run *r)
{
	for (int i = 0; i < r->exact.n; i++)
		mem_free(&r->exact.all[i].name);
	mem_free(&r->exact.all);
	loop_timer_free(&r->exact.timer);
}
