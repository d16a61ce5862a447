/* fake_store.h - a store in memory with the verbs that run/ uses, for tests of the machine alone: leases, fencing and the order
 * outcomes, give-backs, claim are as in the real one.  Answers come on a later turn; while `away` they wait.
 */
#ifndef T_UNIT_FAKE_STORE_H
#define T_UNIT_FAKE_STORE_H

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/store.h"
#include "store/store_deliver.h"

#define FAKE_TASKS 1000
#define FAKE_LANES 8

enum fake_state { FAKE_READY, FAKE_LEASED, FAKE_SUCCEEDED, FAKE_WAITING, FAKE_DEAD, FAKE_CANCELLED };

struct fake_task {
	struct id id;
	int lane;
	int priority;
	enum fake_state state;
	struct store_lease lease; /* when LEASED */
	int run, attempts, crashes;
	int finished; /* accepted ends: never more than one */
	char payload[128], result[128], code[64], message[128], reason[64];
	int64_t delay;
};

struct store {
	struct loop *loop;
	struct loop_timer *answer;
	struct fake_task tasks[FAKE_TASKS];
	int ntasks;
	char lane_type[FAKE_LANES][65];
	char lane_group[FAKE_LANES][65];
	bool lane_paused[FAKE_LANES];
	int nlanes;
	int64_t inc, lease_ids;
	bool away;
	bool lost;   /* tell the next step or beat */
	bool refuse; /* the next outcomes are stale */
	struct {
		store_pause_fn *fn; /* asked and not answered yet; by fake_pause_answer() */
		void *arg;
		char name[65], why[128], by[16];
		int asked;
	} pause;
	/* the question under way */
	store_step_fn *step_fn;
	void *step_arg;
	struct store_step step;
	store_beat_fn *beat_fn;
	void *beat_arg;
	store_look_fn *lanes_fn;
	void *lanes_arg;
	int steps, claims, looks, beats, most_claimed, givebacks, started_givebacks;
	int64_t leases; /* lease rows that exist */
	struct store_lease rows[FAKE_TASKS];
};

static struct store fake;

static inline int
fake_lane(const char *type)
{
	for (int i = 0; i < fake.nlanes; i++)
		if (strcmp(fake.lane_type[i], type) == 0)
			return i;
	snprintf(fake.lane_type[fake.nlanes], sizeof(fake.lane_type[0]), "%s", type);
	return fake.nlanes++;
}

static inline struct fake_task *
fake_submit(const char *type, const char *payload)
{
	struct fake_task *t = &fake.tasks[fake.ntasks];

	ASSERT(fake.ntasks < FAKE_TASKS);
	memset(t, 0, sizeof(*t));
	t->lane = fake_lane(type);
	snprintf(t->payload, sizeof(t->payload), "%s", payload);
	t->id.b[0] = 1;
	t->id.b[14] = (uint8_t)(fake.ntasks >> 8);
	t->id.b[15] = (uint8_t)fake.ntasks;
	fake.ntasks++;
	return t;
}

static inline int
fake_count(enum fake_state state)
{
	int n = 0;

	for (int i = 0; i < fake.ntasks; i++)
		n += fake.tasks[i].state == state;
	return n;
}

static inline struct fake_task *
fake_find(const struct id *id)
{
	for (int i = 0; i < fake.ntasks; i++)
		if (id_eq(&fake.tasks[i].id, id))
			return &fake.tasks[i];
	UNREACHABLE("unknown task");
}

static inline bool
fake_fenced(const struct fake_task *t, const struct store_lease *l)
{
	return t->state == FAKE_LEASED && t->lease.lease_id == l->lease_id && id_eq(&t->lease.lo, &l->lo);
}

static inline bool
fake_outcome(const struct store_outcome *o)
{
	struct fake_task *t = fake_find(&o->id);

	if (!fake_fenced(t, &o->lease) || fake.refuse)
		return false;
	t->finished++;
	t->run++;
	t->attempts += o->charge;
	t->crashes += o->crash;
	t->delay = o->delay;
	t->state = o->kind == STORE_SUCCEEDED                           ? FAKE_SUCCEEDED
		   : o->kind == STORE_RETRY || o->kind == STORE_PUT_OFF ? FAKE_WAITING
									: FAKE_DEAD;
	snprintf(t->result, sizeof(t->result), "%.*s", (int)o->result.len, o->result.ptr != NULL ? o->result.ptr : "");
	if (o->failure != NULL) {
		snprintf(t->code, sizeof(t->code), "%s", o->failure->code);
		snprintf(t->message, sizeof(t->message), "%.100s", o->failure->message);
	}
	snprintf(t->reason, sizeof(t->reason), "%s", o->reason != NULL ? o->reason : "");
	return true;
}

static inline void
fake_giveback(const struct store_giveback *g)
{
	fake.givebacks++;
	fake.started_givebacks += g->started;
	for (int i = 0; i < fake.ntasks; i++)
		if (fake_fenced(&fake.tasks[i], &g->lease) && id_cmp(&fake.tasks[i].id, &g->from) >= 0) {
			fake.tasks[i].state = FAKE_READY;
			fake.tasks[i].run += g->started;
		}
}

static inline void
fake_take(struct fake_task *t, struct store_claimed *c)
{
	memset(c, 0, sizeof(*c));
	c->lease = t->lease;
	c->run = t->run;
	c->attempts = t->attempts;
	c->crashes = t->crashes;
	c->row.id = t->id;
	c->row.lane = t->lane;
	c->row.priority = t->priority;
	c->row.queue = SPAN("default");
	c->row.task_type = span_of(fake.lane_type[t->lane]);
	c->row.payload = span_of(t->payload);
	c->row.max_attempts = 3;
}

/* Tasks of one probe into one lease; a task knows its turn by the place of that. */
static inline int
fake_claim_probe(const struct store_probe *p, int most, struct store_claimed *out)
{
	struct store_lease lease = { .lease_id = ++fake.lease_ids };
	int n = 0;

	for (int i = 0; i < fake.ntasks && n < most; i++) {
		struct fake_task *t = &fake.tasks[i];

		if (t->state != FAKE_READY || t->lane != p->lane || -t->priority < p->prio || -t->priority >= p->below)
			continue;
		if (n++ == 0)
			lease.lo = t->id;
		lease.hi = t->id;
		t->state = FAKE_LEASED;
		t->lease = lease;
	}
	for (int i = 0, at = 0; i < fake.ntasks && at < n; i++)
		if (fake.tasks[i].state == FAKE_LEASED && fake.tasks[i].lease.lease_id == lease.lease_id) {
			fake.tasks[i].lease.hi = lease.hi;
			fake_take(&fake.tasks[i], &out[at]);
			out[at++].turn = p->turn;
		}
	return n;
}

static inline int
fake_claim(struct store_claimed *out, bool *full)
{
	int n = 0;

	fake.claims++;
	for (int turn = 0; turn < fake.step.nturns; turn++) {
		int left = fake.step.turns[turn];

		for (int i = 0; i < fake.step.nprobes; i++)
			if (fake.step.probes[i].turn == turn) {
				int got = fake_claim_probe(&fake.step.probes[i], left, out + n);

				left -= got;
				n += got;
			}
		full[turn] = left == 0;
	}
	if (n > fake.most_claimed)
		fake.most_claimed = n;
	return n;
}

static inline void
fake_lose(void)
{
	fake.inc++;
	fake.lost = false;
	for (int i = 0; i < fake.ntasks; i++)
		if (fake.tasks[i].state == FAKE_LEASED) {
			fake.tasks[i].state = FAKE_READY;
			fake.tasks[i].run++;
		}
}

static inline void
fake_answer_step(void)
{
	static struct store_claimed tasks[FAKE_TASKS];
	static bool accepted[FAKE_TASKS];
	store_step_fn *fn = fake.step_fn;
	static bool full[1000];
	struct store_stepped s = { .status = STORE_OK, .accepted = accepted, .tasks = tasks, .full = full };

	fake.step_fn = NULL;
	s.lost = fake.lost;
	if (fake.lost)
		fake_lose();
	for (int i = 0; i < fake.step.noutcomes; i++)
		accepted[i] = !s.lost && fake_outcome(&fake.step.outcomes[i]);
	fake.refuse = fake.refuse && fake.step.noutcomes == 0;
	for (int i = 0; i < fake.step.ngivebacks; i++)
		fake_giveback(&fake.step.givebacks[i]);
	if (s.lost)
		s.full = NULL;
	else if (fake.step.nturns > 0)
		s.ntasks = fake_claim(tasks, full);
	fn(fake.step_arg, &s);
}

static inline void
fake_answer_beat(void)
{
	static struct id ids[FAKE_TASKS];
	store_beat_fn *fn = fake.beat_fn;
	struct store_beat b = { .status = STORE_OK, .cancelled = ids };

	fake.beat_fn = NULL;
	b.lost = fake.lost;
	if (fake.lost)
		fake_lose();
	for (int i = 0; i < fake.ntasks; i++)
		if (fake.tasks[i].state == FAKE_CANCELLED)
			ids[b.ncancelled++] = fake.tasks[i].id;
	fn(fake.beat_arg, &b);
}

static inline const struct fake_task *
fake_head(int lane, int prio)
{
	for (int i = 0; i < fake.ntasks; i++)
		if (fake.tasks[i].lane == lane && fake.tasks[i].priority == -prio && fake.tasks[i].state == FAKE_READY)
			return &fake.tasks[i];
	return NULL;
}

/* A lane without heads has one row that says so. */
static inline void
fake_answer_lanes(void)
{
	static struct store_lane lanes[FAKE_LANES * 201];
	store_look_fn *fn = fake.lanes_fn;
	struct store_look look = { .status = STORE_OK, .lanes = lanes, .last = INT32_MAX };

	fake.lanes_fn = NULL;
	for (int l = 0; l < fake.nlanes; l++) {
		struct store_lane *in = &lanes[look.nlanes];

		for (int prio = -100; prio <= 101; prio++) {
			const struct fake_task *head = fake_head(l, prio);

			if (head == NULL && (prio <= 100 || in < &lanes[look.nlanes]))
				continue;
			lanes[look.nlanes++] = (struct store_lane){ .lane = l,
				.queue = SPAN("default"),
				.task_type = span_of(fake.lane_type[l]),
				.group = span_of(fake.lane_group[l]),
				.paused = fake.lane_paused[l],
				.ready = head != NULL,
				.prio = head != NULL ? prio : 0,
				.head = head != NULL ? head->id : (struct id){ { 0 } } };
		}
	}
	fn(fake.lanes_arg, &look);
}

static inline void
fake_answer(void *arg UNUSED)
{
	if (fake.away)
		return;
	if (fake.step_fn != NULL)
		fake_answer_step();
	if (fake.beat_fn != NULL)
		fake_answer_beat();
	if (fake.lanes_fn != NULL)
		fake_answer_lanes();
}

static inline void
fake_open(struct loop *loop)
{
	memset(&fake, 0, sizeof(fake));
	fake.loop = loop;
	fake.inc = 1;
	fake.answer = loop_timer_new(loop, fake_answer, NULL);
}

static inline void
fake_back(void)
{
	fake.away = false;
	loop_timer_set(fake.answer, 0);
}

/* Like store_close(): what is unanswered is answered FAILED. */
static inline void
fake_close(void)
{
	struct store_stepped s = { .status = STORE_FAILED };
	struct store_beat b = { .status = STORE_FAILED };

	if (fake.step_fn != NULL)
		fake.step_fn(fake.step_arg, &s);
	if (fake.beat_fn != NULL)
		fake.beat_fn(fake.beat_arg, &b);
	if (fake.lanes_fn != NULL)
		fake.lanes_fn(fake.lanes_arg, &(struct store_look){ .status = STORE_FAILED });
	loop_timer_free(&fake.answer);
}

/* --- the verbs ------------------------------------------------------------------------------------------------------------------ */

void
store_step(struct store *s, const struct store_step *step, store_step_fn *fn, void *arg)
{
	ASSERT(s->step_fn == NULL); /* one at a time */
	s->step = *step;
	s->step_fn = fn;
	s->step_arg = arg;
	s->steps++;
	loop_timer_set(s->answer, 0);
}

void
store_beat(struct store *s, store_beat_fn *fn, void *arg)
{
	ASSERT(s->beat_fn == NULL);
	s->beat_fn = fn;
	s->beat_arg = arg;
	s->beats++;
	loop_timer_set(s->answer, 0);
}

void
store_look(
    struct store *s, int32_t after UNUSED, const int32_t *known UNUSED, int nknown UNUSED, store_look_fn *fn, void *arg)
{
	ASSERT(s->lanes_fn == NULL);
	s->lanes_fn = fn;
	s->lanes_arg = arg;
	s->looks++;
	loop_timer_set(s->answer, 0);
}

int64_t
store_worker_inc(const struct store *s)
{
	return s->inc;
}

int64_t
store_db_now(const struct store *s UNUSED)
{
	return clock_wall();
}

int64_t
store_result_max(const struct conf *c UNUSED, struct span queue UNUSED)
{
	return INT64_MAX;
}

int64_t
store_result_life(const struct conf *c UNUSED, struct span queue UNUSED)
{
	return INT64_MAX;
}

uint64_t
store_place(const struct store *s UNUSED)
{
	return 1;
}

const char *
store_not_ready(const struct store *s)
{
	return s->away ? "away" : NULL;
}

void
store_progress(struct store *s UNUSED, const struct store_progress *p UNUSED, int n UNUSED,
    store_progress_fn *fn UNUSED, void *arg UNUSED)
{
	UNREACHABLE("no handler of these tests says how far it is");
}

static inline void
fake_keep(char *to, size_t size, struct span s)
{
	snprintf(to, size, "%.*s", (int)s.len, s.ptr);
}

void
store_pause(struct store *s, const struct store_pause *p, store_pause_fn *fn, void *arg)
{
	ASSERT(s->pause.fn == NULL);
	s->pause.fn = fn;
	s->pause.arg = arg;
	s->pause.asked++;
	fake_keep(s->pause.name, sizeof(s->pause.name), p->name);
	fake_keep(s->pause.why, sizeof(s->pause.why), p->why);
	fake_keep(s->pause.by, sizeof(s->pause.by), p->by);
}

/* The rows are as they would be: the lane of that name is paused. */
static inline void
fake_pause_answer(enum store_status status)
{
	struct store_pause p = { .what = STORE_PAUSED_HANDLER, .name = span_of(fake.pause.name) };
	store_pause_fn *fn = fake.pause.fn;

	ASSERT(fn != NULL);
	fake.pause.fn = NULL;
	if (status == STORE_OK)
		fake.lane_paused[fake_lane(fake.pause.name)] = true;
	fn(fake.pause.arg, status, status == STORE_OK, status == STORE_OK ? &p : NULL);
}

void
store_outcome_count(
    enum store_outcome_kind kind UNUSED, struct span queue UNUSED, struct span task_type UNUSED, int64_t ran UNUSED)
{
}

#endif
