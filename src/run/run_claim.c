/* run_claim.c - what to ask for, and when to look again.
 *
 * A lane is hot when it may hold something: a look saw a head, its bell rang, or the last claim from it came back full.  A claim
 * is for one class of lanes: all whose handler has no limit of its own below the slots (and those without a handler, whose
 * tasks are claimed to be buried), or those of one limited handler (also while its guard limits it, run_guard.c), with its free places: so
 * no task is taken that its handler's limit would hold up.  Lanes of handlers that cannot start anything now are left alone.
 *
 * Whose turn it is decides run_order.c: queues and their groups take turns, within a group the best rank comes first.  A turn asks its
 * heads by rank, one (lane, priority) after the other; what came more urgent to a lane than all its known heads is asked first and so
 * found by any claim.  What lies between is found by a look: they come each work.poll while there is work.
 *
 * Looks.  Bells make most of them unnecessary on this node, other nodes' submissions are found by them.  After a claim that came back
 * short the next look is soon (a row that somebody else held locked was passed over) and then later and later, up to IDLE_POLLS
 * times work.poll.  A look is one query, and rests LOOK_SHARE times as long as it took, at most LOOK_REST.  One that could not show all
 * is continued after that rest, where it ended.  At rest one worker of the node looks for all, for as long as it finds nothing.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_int.h"

#define LOOK_FIRST (50 * CLOCK_MS)
#define LOOK_GROWTH 4
#define LOOK_AGAIN (10 * CLOCK_MS) /* least time between two looks */
#define LOOK_SHARE 20
#define LOOK_RUNG 4                  /* the same when a bell rang */
#define LOOK_REST (5 * CLOCK_SECOND) /* most, for that reason */
#define LOOK_KNOWN 256               /* lanes that a look tells of in any case */
#define LOOK_AFTER (100 * CLOCK_MS)  /* later than who looked for all */
#define RINGS 8                      /* bells that a claim rings when nobody waits */
#define IDLE_POLLS 5
#define IDLE_MOST (5 * CLOCK_SECOND)

/* --- bells ---------------------------------------------------------------------------------------------------------------------- */

void
run_claim_listen(struct run *r)
{
	for (int i = 0; i < r->lanes.n; i++) {
		struct run_lane *lane = &r->lanes.all[i];
		uint32_t count = run_lane_bells(r, lane->lane);

		if (count == lane->rung)
			continue;
		lane->rung = count;
		lane->news = true;
		lane->used = clock_now();
		run_exact_rung(r, lane);
	}
}

static void
look_within(struct run *r, int64_t us)
{
	int64_t again = r->lanes.rest / LOOK_SHARE * LOOK_RUNG;
	int64_t rest = r->lanes.looked_at + (again > LOOK_AGAIN ? again : LOOK_AGAIN) - clock_now();

	r->lanes.look_shared = false;
	loop_timer_set(r->lanes.look, us > rest ? us : rest);
}

/* A bell that belongs to no lane we know: there is a new one. */
static void
listen_to_strangers(struct run *r)
{
	bool strange = false;

	for (int32_t i = 0; i < WAKE_LANES; i++) {
		uint32_t count = run_lane_bells(r, i);

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

static bool
any_hot(const struct run *r)
{
	for (int i = 0; i < r->lanes.n; i++)
		if (run_lane_hot(&r->lanes.all[i]) && !r->lanes.all[i].paused)
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

static int64_t
pause_after(const struct run *r, const struct store_look *look)
{
	if (look->status == STORE_OK && look->last < INT32_MAX)
		return LOOK_FIRST; /* there is more */
	return look->status != STORE_OK || any_hot(r) ? r->conf->work.poll : r->lanes.pause;
}

/* Nothing was to be found, by nobody. */
static void
look_told(struct run *r, const struct store_look *look)
{
	if (r->o.wake != NULL && look->status == STORE_OK && look->last == INT32_MAX && !any_hot(r))
		wake_looked(r->o.wake, r->lanes.looked_at);
}

static void
look_answered(void *arg, const struct store_look *look)
{
	struct run *r = arg;
	int64_t pause;

	MAGIC_CHECK(r, RUN_MAGIC);
	r->lanes.rest = look_rest(r, look->status);
	r->lanes.looking = false;
	if (r->phase != RUN_WORKING)
		return;
	if (look->status == STORE_OK) {
		run_lane_merge(r, look, r->lanes.look_after);
		r->lanes.look_after = look->last < INT32_MAX ? look->last : 0;
	}
	run_pause_looked(r);
	look_told(r, look);
	pause = pause_after(r, look);
	r->lanes.pause = pause * LOOK_GROWTH < idle_pause(r) ? pause * LOOK_GROWTH : idle_pause(r);
	look_within(r, pause > r->lanes.rest ? pause : r->lanes.rest);
	r->lanes.look_shared = pause >= idle_pause(r) && !any_hot(r);
	run_turn_soon(r);
}

static void
look(struct run *r)
{
	int32_t known[LOOK_KNOWN];
	int n;

	if (r->lanes.looking || r->phase != RUN_WORKING)
		return;
	r->lanes.looking = true;
	r->lanes.look_due = false;
	r->lanes.looked_at = clock_now();
	r->lanes.looked_db = store_db_now(r->o.store);
	run_pause_look(r);
	n = run_lane_known(r, known, LOOK_KNOWN);
	store_look(r->o.store, r->lanes.look_after, known, n, look_answered, r);
}

/* Somebody looked for us: when to see to it again; 0: we look. */
static int64_t
look_spared(const struct run *r)
{
	int64_t at = r->lanes.look_shared && r->o.wake != NULL ? wake_looked_at(r->o.wake) : 0;
	int64_t left = at > r->lanes.looked_at ? at + idle_pause(r) + LOOK_AFTER - clock_now() : 0;

	return left > 0 ? left : 0;
}

static void
look_timer(void *arg)
{
	struct run *r = arg;
	int64_t left;

	MAGIC_CHECK(r, RUN_MAGIC);
	left = look_spared(r);
	if (left > 0) {
		loop_timer_set(r->lanes.look, left);
		return;
	}
	r->lanes.look_due = true;
	run_turn_soon(r);
}

/* --- which lanes may be asked --------------------------------------------------------------------------------------------------------- */

static int
handler_room(const struct run *r, int handler)
{
	int room = run_guard_room(r, handler), limit = run_limit(r, handler), left = limit - r->handlers[handler].busy;

	if (r->handlers[handler].barred || !exec_ready(&r->env, &r->conf->handlers[handler]))
		return 0;
	return limit > 0 && left < room ? left : room;
}

/* Asked once for all lanes: there may be thousands. */
void
run_claim_rooms(struct run *r)
{
	for (int i = 0; i < r->conf->nhandlers; i++)
		r->handlers[i].room = handler_room(r, i);
}

int
run_claim_lane_room(const struct run *r, const struct run_lane *lane)
{
	int room, exact;

	if (!run_lane_hot(lane) || lane->paused || (exact = run_exact_room(r, lane)) <= 0)
		return 0;
	if (lane->handler < 0)
		return exact;
	room = r->handlers[lane->handler].room;
	return room < exact ? room : exact;
}

static bool
any_open(struct run *r)
{
	run_claim_rooms(r);
	for (int i = 0; i < r->lanes.n; i++)
		if (run_claim_lane_room(r, &r->lanes.all[i]) > 0)
			return true;
	return false;
}

/* --- the answer --------------------------------------------------------------------------------------------------------------------- */

/* What was taken counts for its group, and moves the heads on. */
static void
heads_move(struct run *r, const struct store_stepped *s)
{
	struct run_lane *lane = NULL;

	for (int i = 0; i < s->ntasks; i++) {
		const struct store_claimed *c = &s->tasks[i];

		if (i == 0 || c->row.lane != s->tasks[i - 1].row.lane)
			lane = run_lane_find(r, c->row.lane);
		if (lane == NULL)
			continue;
		run_lane_took(r, lane, c, c->turn < 0 || s->full[c->turn]);
		run_order_took(&r->lanes.takers, lane->taker, 1);
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

/* What was asked in a turn that took all it could is hot again. */
static void
probe_reheat(struct run *r, const struct store_probe *p, bool was_hot)
{
	struct run_lane *lane = run_lane_find(r, p->lane);
	struct run_head *head = lane != NULL ? run_lane_head(lane, p->prio) : NULL;

	if (lane == NULL) { /* a look forgot it meanwhile */
		look_within(r, 0);
		return;
	}
	if (head != NULL && was_hot)
		head->hot = true;
	else if (p->prio != STORE_PRIO_FIRST || lane->nheads == 0)
		lane->news = true;
	if (p->below == STORE_PRIO_END)
		lane->news = true; /* its end was not reached, and no head tells of what lies there */
}

/* There is more than we could take, and others may know.  When all are busy the bells of a few lanes are enough, which will be heard later; the
 * look after a claim from those finds the rest.  For a bell is that of many lanes, and each of them that is empty costs who hears it a turn.
 * We know, and do not hear our own; a lane that we forgot is news to us, too. */
static void
tell_others(struct run *r, const bool *full)
{
	bool waiting = wake_workers_waiting(r->o.wake);
	int32_t rung = -1;
	int n = 0;

	for (int i = r->lanes.nprobes - 1; i >= 0 && (n < RINGS || waiting); i--) {
		int32_t lane = r->lanes.probes[i].lane;

		if (lane == rung || !full[r->lanes.probes[i].turn])
			continue;
		wake_lane_ready(r->o.wake, rung = lane);
		if (run_lane_find(r, lane) != NULL)
			r->lanes.own[(uint32_t)lane % WAKE_LANES]++;
		n++;
	}
	if (n > 0)
		wake_workers_ring(r->o.wake);
}

/* How many turns were full. */
static int
turns_reheat(struct run *r, const struct store_stepped *s)
{
	int n = 0;

	for (int i = 0; i < r->lanes.nprobes; i++)
		if (s->full[r->lanes.probes[i].turn])
			probe_reheat(r, &r->lanes.probes[i], r->lanes.were_hot[i]);
	for (int i = 0; i < r->lanes.nturns; i++)
		n += s->full[i];
	if (r->o.wake != NULL)
		tell_others(r, s->full);
	return n;
}

void
run_claim_answered(struct run *r, const struct store_stepped *s)
{
	int full = 0; /* none when the identity is lost */

	stats_inc(s->ntasks > 0 ? S_CLAIMS : S_CLAIMS_EMPTY);
	queues_leave(r, s);
	if (r->exact.asked >= 0)
		return;
	if (s->full != NULL) {
		heads_move(r, s);
		full = turns_reheat(r, s);
	}
	if (full < r->lanes.nturns && r->phase == RUN_WORKING && !r->lanes.looking) {
		r->lanes.pause = LOOK_FIRST;
		look_within(r, r->lanes.look_after > 0 ? r->lanes.rest : LOOK_FIRST);
	}
}

/* --- between claims ----------------------------------------------------------------------------------------------------------------- */

void
run_claim_rest(struct run *r)
{
	bool hungry = !r->step.flying && !r->step.resting && run_room(r) > 0;

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
	if (!run_pause_unseen(r) && any_open(r))
		run_turn_soon(r);
}

bool
run_claim_paused(struct run *r, int32_t lane)
{
	const struct run_lane *l = run_lane_find(r, lane);

	return l == NULL || l->paused; /* what is forgotten goes back in doubt */
}

void
run_claim_open(struct run *r)
{
	r->lanes.pause = LOOK_FIRST;
	r->lanes.look_due = true;
	r->lanes.looked_at = clock_now() - LOOK_AGAIN;
	r->lanes.look = loop_timer_new(r->o.loop, look_timer, r);
	run_exact_open(r);
	if (r->o.wake == NULL)
		return;
	for (int32_t i = 0; i < WAKE_LANES; i++)
		r->lanes.heard[i] = run_lane_bells(r, i);
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
	run_exact_close(r);
	mem_free(&r->lanes.all);
	mem_free(&r->lanes.takers.all);
}
