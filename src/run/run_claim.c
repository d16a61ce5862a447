/* run_claim.c - which lanes are worth asking, and when to look again.
 *
 * A lane is hot when it may hold something: a look saw a ready row, its bell rang, or the last claim from it came back full.  A claim
 * is for one group of lanes: all whose handler has no limit of its own below the slots (and those without a handler, whose
 * tasks are claimed to be buried), or those of one limited handler (also while its guard limits it, run_guard.c), with its free places: so
 * no task is taken that its handler's limit would hold up.  Lanes of handlers that cannot start anything now are left alone.
 *
 * Within a group the best head comes first, by (prio, id).  Heads are known from the last look, and moved on by what was claimed; looks
 * come each work.poll while there is work, so a more urgent task is seen within that time.
 *
 * Looks.  Bells make them unnecessary on this node, other nodes' submissions are found by them.  After a claim that came back
 * short the next look is soon (a row that somebody else held locked was passed over) and then later and later, up to IDLE_POLLS
 * times work.poll.  A look is one query, and rests LOOK_SHARE times as long as it took, at most LOOK_REST.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_int.h"

#define LOOK_FIRST (50 * CLOCK_MS)
#define LOOK_GROWTH 4
#define LOOK_AGAIN (10 * CLOCK_MS) /* least time between two looks */
#define LOOK_SHARE 20
#define LOOK_REST (5 * CLOCK_SECOND) /* most, for that reason */
#define IDLE_POLLS 5
#define IDLE_MOST (5 * CLOCK_SECOND)

/* --- bells ---------------------------------------------------------------------------------------------------------------------- */

static uint32_t
bell_count(const struct run *r, int32_t lane)
{
	if (r->o.wake == NULL)
		return 0;
	return wake_lane_ready_count(r->o.wake, lane) + wake_lane_lower_count(r->o.wake, lane);
}

void
run_claim_listen(struct run *r)
{
	for (int i = 0; i < r->lanes.n; i++) {
		struct run_lane *lane = &r->lanes.all[i];
		uint32_t count = bell_count(r, lane->lane);

		if (count == lane->rung)
			continue;
		lane->rung = count;
		if (!lane->hot) {
			lane->hot = true;
			memset(&lane->head, 0xff, sizeof(lane->head)); /* younger than all that are known */
			lane->prio = 0;
		}
	}
}

static void
look_within(struct run *r, int64_t us)
{
	int64_t rest = r->lanes.looked_at + LOOK_AGAIN - clock_now();

	loop_timer_set(r->lanes.look, us > rest ? us : rest);
}

/* A bell that belongs to no lane we know: there is a new one. */
static void
listen_to_strangers(struct run *r)
{
	bool strange = false;

	for (int32_t i = 0; i < WAKE_LANES; i++) {
		uint32_t count = bell_count(r, i);

		strange = strange || (count != r->lanes.heard[i] && !r->lanes.known[i]);
		r->lanes.heard[i] = count;
	}
	strange = strange || run_pause_must_look(r);
	if (strange && r->lanes.looking)
		r->lanes.look_due = true; /* the look under way may have come too early to see it */
	else if (strange)
		look_within(r, 0);
}

static void
bell_rang(void *arg, int events UNUSED)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	wake_hush(wake_worker_fd(r->o.wake, r->o.index));
	listen_to_strangers(r);
	run_turn_soon(r);
}

/* --- looks ---------------------------------------------------------------------------------------------------------------------- */

static int
lane_cmp(const void *a, const void *b)
{
	const struct run_lane *x = a, *y = b;

	return (x->lane > y->lane) - (x->lane < y->lane);
}

static struct run_lane *
lane_find(struct run *r, int32_t number)
{
	struct run_lane key = { .lane = number };

	if (r->lanes.n == 0)
		return NULL;
	return bsearch(&key, r->lanes.all, (size_t)r->lanes.n, sizeof(key), lane_cmp);
}

static struct run_lane
lane_read(struct run *r, const struct store_lane *in)
{
	const struct conf_handler *h = conf_handler_find(r->conf, in->task_type);
	const struct run_lane *old = lane_find(r, in->lane);
	struct run_lane lane = {
		.lane = in->lane, .paused = in->paused, .hot = in->ready, .prio = in->prio, .head = in->head
	};

	lane.handler = h != NULL ? (int)(h - r->conf->handlers) : -1;
	if (old == NULL) {
		lane.rung = bell_count(r, in->lane);
		return lane;
	}
	/* The look may be older than what its bell told. */
	lane.rung = old->rung;
	if (old->hot && !in->ready) {
		lane.hot = true;
		lane.prio = old->prio;
		lane.head = old->head;
	}
	return lane;
}

static void
lanes_replace(struct run *r, const struct store_lane *in, int n)
{
	struct run_lane *all = mem_zalloc(sizeof(*all) * (size_t)(n + 1));

	memset(r->lanes.known, 0, sizeof(r->lanes.known));
	for (int i = 0; i < n; i++) {
		all[i] = lane_read(r, &in[i]);
		r->lanes.known[(uint32_t)in[i].lane % WAKE_LANES] = 1;
	}
	qsort(all, (size_t)n, sizeof(*all), lane_cmp);
	mem_free(&r->lanes.all);
	r->lanes.all = all;
	r->lanes.n = n;
}

static bool
any_hot(const struct run *r)
{
	for (int i = 0; i < r->lanes.n; i++)
		if (r->lanes.all[i].hot && !r->lanes.all[i].paused)
			return true;
	return false;
}

static int64_t
idle_pause(const struct run *r)
{
	int64_t poll = r->conf->work.poll, most = poll * IDLE_POLLS;

	if (most > IDLE_MOST)
		most = IDLE_MOST;
	return most > poll ? most : poll;
}

static int64_t
look_rest(const struct run *r, enum store_status status)
{
	int64_t rest = (clock_now() - r->lanes.looked_at) * LOOK_SHARE;

	if (status != STORE_OK)
		return 0; /* a database that was away took its time, but not its strength */
	return rest < LOOK_REST ? rest : LOOK_REST;
}

static void
look_answered(void *arg, enum store_status status, const struct store_lane *in, int n)
{
	struct run *r = arg;
	int64_t rest, pause;

	MAGIC_CHECK(r, RUN_MAGIC);
	rest = look_rest(r, status);
	pause = r->lanes.pause;
	r->lanes.looking = false;
	if (r->phase != RUN_WORKING)
		return;
	if (status == STORE_OK)
		lanes_replace(r, in, n);
	run_pause_looked(r);
	if (status != STORE_OK || any_hot(r))
		pause = r->conf->work.poll;
	r->lanes.pause = pause * LOOK_GROWTH < idle_pause(r) ? pause * LOOK_GROWTH : idle_pause(r);
	look_within(r, pause > rest ? pause : rest);
	run_turn_soon(r);
}

static void
look(struct run *r)
{
	if (r->lanes.looking || r->phase != RUN_WORKING)
		return;
	r->lanes.looking = true;
	r->lanes.look_due = false;
	r->lanes.looked_at = clock_now();
	run_pause_look(r);
	store_lanes(r->o.store, look_answered, r);
}

static void
look_timer(void *arg)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	r->lanes.look_due = true;
	run_turn_soon(r);
}

/* --- the choice ------------------------------------------------------------------------------------------------------------------- */

/* Tasks of a handler that could start beside those that are here; INT_MAX: nothing but the slots limits them. */
static int
handler_room(const struct run *r, int handler)
{
	int room = run_guard_room(r, handler), limit = run_limit(r, handler), left = limit - r->handlers[handler].busy;

	return limit > 0 && left < room ? left : room;
}

static int
lane_group(const struct run *r, const struct run_lane *lane)
{
	return lane->handler >= 0 && handler_room(r, lane->handler) != INT_MAX ? lane->handler + 1 : 0;
}

static bool
lane_is_open(const struct run *r, const struct run_lane *lane)
{
	if (!lane->hot || lane->paused)
		return false;
	if (lane->handler < 0)
		return true;
	if (r->handlers[lane->handler].barred || handler_room(r, lane->handler) <= 0)
		return false;
	return exec_ready(&r->env, &r->conf->handlers[lane->handler]);
}

static int
head_cmp(const struct run_lane *a, const struct run_lane *b)
{
	if (a->prio != b->prio)
		return a->prio < b->prio ? -1 : 1;
	return id_cmp(&a->head, &b->head);
}

/* The group with the most urgent head; of equally urgent ones that which was asked longest ago.  -1: none. */
static int
choose_group(const struct run *r)
{
	int best = -1, best_prio = 0;

	for (int i = 0; i < r->lanes.n; i++) {
		const struct run_lane *lane = &r->lanes.all[i];
		int group = lane_group(r, lane);

		if (!lane_is_open(r, lane))
			continue;
		if (best < 0 || lane->prio < best_prio ||
		    (lane->prio == best_prio && r->lanes.served[group] < r->lanes.served[best])) {
			best = group;
			best_prio = lane->prio;
		}
	}
	return best;
}

/* Keeps the best in order; what does not fit is hot still, and asked another time. */
static void
choose_insert(const struct run_lane **best, int *n, const struct run_lane *lane)
{
	int at = *n < (int)ARRAY_LEN(((struct run_lanes *)0)->asked) ? (*n)++ : *n - 1;

	if (at == *n - 1 && best[at] != NULL && head_cmp(best[at], lane) <= 0)
		return;
	for (; at > 0 && head_cmp(best[at - 1], lane) > 0; at--)
		best[at] = best[at - 1];
	best[at] = lane;
}

int
run_claim_choose(struct run *r, int *claim_r)
{
	const struct run_lane *best[ARRAY_LEN(r->lanes.asked)] = { NULL };
	int room = run_room(r), group, n = 0;

	*claim_r = 0;
	r->lanes.nasked = 0;
	if (room == 0 || run_pause_unseen(r) || (group = choose_group(r)) < 0)
		return 0;
	if (group > 0 && handler_room(r, group - 1) < room)
		room = handler_room(r, group - 1);
	for (int i = 0; i < r->lanes.n; i++)
		if (lane_is_open(r, &r->lanes.all[i]) && lane_group(r, &r->lanes.all[i]) == group)
			choose_insert(best, &n, &r->lanes.all[i]); /* none, if its guard has shut since */
	for (int i = 0; i < n; i++) {
		r->lanes.asked[i] = best[i]->lane;
		lane_find(r, best[i]->lane)->hot = false; /* its bell may make it hot again before the answer */
	}
	r->lanes.nasked = n;
	r->lanes.served[group] = ++r->lanes.serve;
	*claim_r = n > 0 ? room : 0;
	return n;
}

/* --- the answer --------------------------------------------------------------------------------------------------------------------- */

static void
heads_move(struct run *r, const struct store_stepped *s)
{
	for (int i = 0; i < s->ntasks; i++) {
		struct run_lane *lane = lane_find(r, s->tasks[i].row.lane);

		if (lane != NULL) {
			lane->head = s->tasks[i].row.id;
			lane->prio = -s->tasks[i].row.priority;
		}
	}
}

/* What runs waits no more. */
static void
queues_leave(struct run *r, const struct store_stepped *s)
{
	int n, from;

	if (r->o.ration == NULL)
		return;
	for (from = 0; from < s->ntasks; from += n) {
		for (n = 1; from + n < s->ntasks && s->tasks[from + n].row.lane == s->tasks[from].row.lane;)
			n++;
		ration_queue_leave(r->o.ration, s->tasks[from].row.queue, n);
	}
}

/* More than we could take: the others may know. */
static void
claim_was_full(struct run *r)
{
	for (int i = 0; i < r->lanes.nasked; i++) {
		struct run_lane *lane = lane_find(r, r->lanes.asked[i]);

		if (lane != NULL)
			lane->hot = true;
		if (r->o.wake != NULL)
			wake_lane_ready(r->o.wake, r->lanes.asked[i]);
	}
	if (r->o.wake != NULL)
		wake_workers_ring(r->o.wake);
}

void
run_claim_answered(struct run *r, const struct store_stepped *s)
{
	stats_inc(s->ntasks > 0 ? S_CLAIMS : S_CLAIMS_EMPTY);
	heads_move(r, s);
	queues_leave(r, s);
	if (s->full) {
		claim_was_full(r);
	} else if (r->phase == RUN_WORKING && !r->lanes.looking) {
		r->lanes.pause = LOOK_FIRST;
		look_within(r, LOOK_FIRST);
	}
}

/* --- between claims ----------------------------------------------------------------------------------------------------------------- */

void
run_claim_rest(struct run *r)
{
	bool hungry = !r->step.flying && run_room(r) > 0;

	if ((run_room(r) > 0 || run_pause_unseen(r)) && r->lanes.look_due)
		look(r);
	if (r->o.wake == NULL || r->phase != RUN_WORKING)
		return;
	wake_worker_hungry(r->o.wake, r->o.index, hungry);
	if (!hungry)
		return;
	/* A bell between the last listening and now rang for nobody: listen once more. */
	listen_to_strangers(r);
	run_claim_listen(r);
	if (!run_pause_unseen(r) && choose_group(r) >= 0)
		run_turn_soon(r);
}

bool
run_claim_paused(struct run *r, int32_t lane)
{
	const struct run_lane *l = lane_find(r, lane);

	return l != NULL && l->paused;
}

void
run_claim_open(struct run *r)
{
	r->lanes.served = mem_zalloc(sizeof(*r->lanes.served) * (size_t)(r->conf->nhandlers + 1));
	r->lanes.pause = LOOK_FIRST;
	r->lanes.look_due = true;
	r->lanes.looked_at = clock_now() - LOOK_AGAIN;
	r->lanes.look = loop_timer_new(r->o.loop, look_timer, r);
	if (r->o.wake == NULL)
		return;
	for (int32_t i = 0; i < WAKE_LANES; i++)
		r->lanes.heard[i] = bell_count(r, i);
	r->lanes.bell = loop_fd_new(r->o.loop, wake_worker_fd(r->o.wake, r->o.index), LOOP_READ, bell_rang, r);
}

void
run_claim_stop(struct run *r)
{
	loop_fd_free(&r->lanes.bell);
	loop_timer_clear(r->lanes.look);
	if (r->o.wake != NULL)
		wake_worker_hungry(r->o.wake, r->o.index, false);
}

void
run_claim_close(struct run *r)
{
	loop_fd_free(&r->lanes.bell);
	loop_timer_free(&r->lanes.look);
	mem_free(&r->lanes.all);
	mem_free(&r->lanes.served);
}
