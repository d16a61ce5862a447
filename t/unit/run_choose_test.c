/* run_choose_test.c - the probes of a claim: which heads are asked in a turn, in which order, and from where on. */
#include <string.h>

#include "base/clock.h"
#include "run/run_int.h"

#include "fake_store.h"
#include "tap.h"

#define LANES 200
#define NOW (INT64_C(1700000000) * CLOCK_SECOND)

static struct conf conf = { .work = { .slots = 16, .aging = CLOCK_SECOND } };
static struct run r;
static struct wake *wake; /* for good: it belongs to a node */
static struct run_lane lanes[LANES];
static struct run_taker takers[2 * LANES];

static struct id
id_of(int64_t at)
{
	struct id id = { { 0 } };
	int64_t ms = at / CLOCK_MS;

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	id.b[15] = 1;
	return id;
}

static void
begin(int slots)
{
	memset(&r, 0, sizeof(r));
	memset(lanes, 0, sizeof(lanes));
	memset(takers, 0, sizeof(takers));
	conf.work.slots = slots;
	r.conf = &conf;
	r.o.store = &fake;
	r.lanes.all = lanes;
	r.lanes.takers.all = takers;
	r.lanes.takers.n = 1; /* the queue */
}

/* A lane of the group with that number, from 1. */
static struct run_lane *
lane(int group)
{
	struct run_lane *l = &lanes[r.lanes.n];

	l->lane = ++r.lanes.n;
	l->handler = l->exact = -1;
	l->taker = group;
	l->seen = NOW;
	if (r.lanes.takers.n <= group)
		r.lanes.takers.n = group + 1;
	return l;
}

static void
head(struct run_lane *l, int prio, int64_t age)
{
	struct run_head h = { .prio = prio, .hot = true, .first = id_of(NOW - age) };

	h.mark = h.first;
	l->heads[l->nheads++] = h;
}

/* "lane:prio..below" of each probe of a turn. */
static const char *
asked(int turn)
{
	static char text[4096];
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; i < r.lanes.nprobes; i++) {
		const struct store_probe *p = &r.lanes.probes[i];
		bool first = p->prio == STORE_PRIO_FIRST, end = p->below == STORE_PRIO_END;

		if (p->turn != turn)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d:", len > 0 ? " " : "", (int)p->lane);
		len += first ? 0 : (size_t)snprintf(text + len, sizeof(text) - len, "%d", p->prio);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "..");
		len += end ? 0 : (size_t)snprintf(text + len, sizeof(text) - len, "%d", p->below);
	}
	return text;
}

static void
test_one_lane(void)
{
	struct run_lane *l;

	begin(16);
	run_choose(&r);
	is_int(r.lanes.nturns, 0, "nothing is asked where nothing is known");
	l = lane(1);
	head(l, 0, 0);
	run_choose(&r);
	is_int(r.lanes.nturns, 1, "one turn");
	is_int(r.lanes.turns[0], 16, "for all there is room for");
	is_str(asked(0), "1:..0 1:0..", "a lane with one head is asked in two stretches");
	ok(id_is_zero(&r.lanes.probes[0].mark) && id_eq(&r.lanes.probes[1].mark, &l->heads[0].mark),
	    "the second from its mark on");
	ok(!run_lane_hot(l), "what is asked is cold");
	run_choose(&r);
	is_int(r.lanes.nturns, 0, "and not asked again");
	l->news = true;
	run_choose(&r);
	is_str(asked(0), "1:..0 1:0..", "until its bell rings; then the cold head still tells where to begin");
	begin(16);
	lane(1)->news = true;
	run_choose(&r);
	is_str(asked(0), "1:..", "without a head all of it is one stretch");
}

/* Aging is a second for each step of priority. */
static void
test_rank(void)
{
	struct run_lane *l;

	begin(16);
	l = lane(1);
	head(l, -10, 0);
	head(l, 0, 5 * CLOCK_SECOND);
	head(l, 20, 0);
	run_choose(&r);
	is_str(asked(0), "1:..-10 1:-10..-9 1:0..1 1:20..21", "the more urgent first");
	begin(16);
	l = lane(1);
	head(l, -10, 0);
	head(l, 0, 11 * CLOCK_SECOND);
	head(l, 20, 50 * CLOCK_SECOND);
	run_choose(&r);
	is_str(asked(0), "1:..-10 1:20..21 1:0..1 1:-10..-9", "what has waited for long before what is urgent");
	begin(16);
	head(lane(1), 0, 0);
	head(lane(1), 0, CLOCK_SECOND);
	lane(1)->news = true;
	run_choose(&r);
	is_str(asked(0), "2:..0 2:0.. 1:..0 1:0.. 3:..",
	    "of several lanes of a group too, and last what may just have come");
}

/* More urgent tasks may have come since the look; no stream of them may hold up what is past its bound. */
static void
test_front(void)
{
	struct run_lane *l;

	begin(1);
	head(l = lane(1), 100, 199 * CLOCK_SECOND);
	run_choose(&r);
	is_str(asked(0), "1:..100 1:100..", "what came since the look goes first");
	begin(1);
	head(l = lane(1), 100, 200 * CLOCK_SECOND);
	run_choose(&r);
	is_str(asked(0), "1:100..101 1:..100", "but not before what has waited 200 times aging");
	begin(1);
	head(l = lane(1), 0, 100 * CLOCK_SECOND);
	l->news = true;
	run_choose(&r);
	is_str(asked(0), "1:0..1 1:..0", "or, of priority 0, 100 times");
	ok(run_lane_hot(l), "and what its bell told is asked for later");
}

static void
test_turns(void)
{
	int places = 0;

	begin(16);
	head(lane(1), -100, 0);
	head(lane(1), -100, 0);
	head(lane(2), 100, 0);
	run_choose(&r);
	is_int(r.lanes.nturns, 2, "each group has a turn, however many lanes it has");
	is_int(r.lanes.turns[0] + r.lanes.turns[1], 16, "all is dealt");
	is_int(r.lanes.turns[0], 8, "in equal parts, however urgent one of them is");
	is_str(asked(1), "3:..100 3:100..", "the turn of the second asks its lane");
	begin(1024);
	for (int i = 1; i < LANES; i++) {
		struct run_lane *l = lane(i);

		for (int prio = 0; prio < RUN_HEADS; prio++)
			head(l, prio, 0);
	}
	run_choose(&r);
	is_int(r.lanes.nturns, RUN_TURNS, "there are so many turns and no more");
	for (int i = 0; i < r.lanes.nturns; i++)
		places += r.lanes.turns[i];
	is_int(places, 1024, "with all there is room for");
	is_int(r.lanes.nprobes, RUN_PROBES, "all places are used");
	for (int i = 1; i < r.lanes.nprobes; i += 2)
		places -= r.lanes.probes[i].prio == 0;
	is_int(places, 1024 - RUN_TURNS, "each turn asks its best head");
}

static void
test_closed(void)
{
	begin(16);
	head(lane(1), 0, 0);
	head(lane(2), 0, CLOCK_SECOND);
	lanes[1].paused = true;
	run_choose(&r);
	is_int(r.lanes.nturns, 1, "who is paused has no turn");
	is_int(r.lanes.turns[0], 16, "and leaves it to the others");
}

/* What a look tells of one lane, whose heads it shows or does not. */
static struct run_lane *
see(const int *prios, int n, int64_t at, int32_t after)
{
	struct store_lane in[RUN_HEADS + 1] = { { .lane = 1 } };
	struct store_look look = { .status = STORE_OK, .lanes = in, .nlanes = n > 0 ? n : 1, .last = INT32_MAX };

	for (int i = 0; i < look.nlanes; i++) {
		in[i].lane = 1;
		in[i].queue = in[i].task_type = SPAN("x");
		in[i].ready = n > 0;
		in[i].prio = n > 0 ? prios[i] : 0;
		in[i].head = id_of(at - CLOCK_SECOND);
	}
	r.lanes.looked_db = at;
	run_lane_merge(&r, &look, after);
	return run_lane_find(&r, 1);
}

static int64_t
mark(const struct run_lane *l, int i)
{
	return (task_id_time(&l->heads[i].mark) - NOW) / CLOCK_SECOND;
}

/* Claims begin where the last look found that nothing is left. */
static void
test_gone(void)
{
	static const int two[] = { 0, 5 }, many[] = { 10, 11, 12, 13, 14, 15, 16, 17 };
	struct run_lane *l;

	begin(16);
	r.lanes.all = NULL;
	r.lanes.takers = (struct run_takers){ 0 };
	l = see(two, 2, NOW, 0);
	is_int(l->nheads, 2, "two heads");
	is_int(mark(l, 1), -1, "each marked where it was seen");
	l = see(two, 1, NOW + 10 * CLOCK_SECOND, 0);
	is_int(mark(l, 0), 9, "one of them is seen again");
	is_int(mark(l, 1), 10, "of the other nothing is left before that look");
	ok(l->heads[0].hot && !l->heads[1].hot, "and nothing is asked of it");
	l = see(&two[1], 1, NOW + 15 * CLOCK_SECOND, 0);
	l->news = true;
	run_choose(&r);
	is_str(asked(0), "1:..5 1:5..6", "what came before the head that is left is asked for, also where one is gone");
	l->news = false;
	l = see(two, 1, NOW + 10 * CLOCK_SECOND, 0);
	l = see(NULL, 0, NOW + 20 * CLOCK_SECOND, 1);
	is_int(mark(l, 0), 9, "a look at the lanes behind tells nothing");
	l = see(NULL, 0, NOW + 30 * CLOCK_SECOND, 0);
	ok(!run_lane_hot(l), "the lane is empty");
	is_int(l->nheads, 2, "what it held is known");
	l->news = true;
	run_choose(&r);
	is_str(asked(0), "1:..0 1:0..5 1:5..", "when its bell rings all of it is asked");
	is_int(task_id_time(&r.lanes.probes[2].mark) - NOW, 30 * CLOCK_SECOND, "not what is gone");
	l = see(many, RUN_HEADS, NOW + 40 * CLOCK_SECOND, 0);
	is_int(l->heads[0].prio, 10, "what is there leaves no place for what is gone");
	l = see(two, 1, NOW + 50 * CLOCK_SECOND, 0);
	is_int(l->nheads, RUN_HEADS, "as many as there is place for are remembered");
	run_lane_took(&r, l, &(struct store_claimed){ .row = { .id = id_of(NOW), .priority = -99 } }, true);
	is_int(l->heads[RUN_HEADS - 1].prio, 99, "what is found takes the place of one that is gone");
	ok(l->heads[0].prio == 0 && l->heads[0].hot, "not of one that is there");
	mem_free(&r.lanes.all);
	mem_free(&r.lanes.takers.all);
}

static void
no_look(void *arg UNUSED)
{
}

/* A bell is shared: who rings for what he left tells the others, and does not take it for news of his own. */
static void
test_bells(void)
{
	struct store_stepped s = { .status = STORE_OK, .full = (bool[]){ true, false } };
	struct loop *loop = loop_new();

	begin(16);
	r.lanes.look = loop_timer_new(loop, no_look, NULL);
	r.o.wake = wake;
	r.exact.asked = -1;
	r.lanes.looking = true;
	head(lane(1), 0, 0);
	lane(2)->lane = 1 + WAKE_LANES;
	run_choose(&r);
	is_int(r.lanes.nturns, 1, "one lane is asked");
	run_claim_answered(&r, &s);
	is_int(wake_lane_ready_count(r.o.wake, 1), 1, "it has more than was taken: its bell rings");
	run_claim_listen(&r);
	ok(run_lane_hot(&lanes[0]), "it is asked again");
	ok(lanes[0].news, "to its end, which was not reached: no head tells of what lies there");
	ok(!run_lane_hot(&lanes[1]), "who shares its bell is not");
	run_choose(&r);
	s.full = (bool[]){ false, false };
	run_claim_answered(&r, &s);
	run_claim_listen(&r);
	ok(!run_lane_hot(&lanes[0]), "when all is taken it is not asked any more");
	wake_lane_ready(r.o.wake, 1);
	run_claim_listen(&r);
	ok(run_lane_hot(&lanes[0]) && run_lane_hot(&lanes[1]), "when somebody else rings it may be for both");
	run_choose(&r);
	lanes[0].lane = 7; /* a look forgot it and found another one, in its place */
	s.full = (bool[]){ true, true };
	run_claim_answered(&r, &s);
	is_int(r.lanes.own[1], 2, "what is rung for a lane that was forgotten is news to this worker, too");
	ok(loop_timer_is_set(r.lanes.look), "who looks for it");
	loop_timer_free(&r.lanes.look);
	loop_free(&loop);
}

static int
rings(const bool *full)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < WAKE_LANES; i++)
		n -= wake_lane_ready_count(r.o.wake, i);
	run_claim_answered(&r, &(struct store_stepped){ .status = STORE_OK, .full = full });
	for (int32_t i = 0; i < WAKE_LANES; i++)
		n += wake_lane_ready_count(r.o.wake, i);
	return (int)n;
}

/* Of many lanes with more than was taken the bells of a few are enough while all are busy: they look later. */
static void
test_few_bells(void)
{
	bool full[RUN_TURNS];

	begin(1024);
	r.o.wake = wake;
	r.exact.asked = -1;
	for (int i = 1; i < LANES; i++)
		head(lane(i), 0, 0);
	run_choose(&r);
	is_int(r.lanes.nturns, RUN_TURNS, "many lanes are asked");
	memset(full, 1, sizeof(full));
	is_int(rings(full), 8, "when others are busy some bells ring");
	wake_worker_hungry(r.o.wake, 1, true);
	ok(rings(full) >= RUN_TURNS, "when one waits all do");
	is_int(rings(full), 8, "and when it was rung, some");
}

int
main(void)
{
	test_one_lane();
	test_rank();
	test_front();
	test_turns();
	test_closed();
	test_gone();
	wake = wake_new();
	ASSERT(wake != NULL);
	test_bells();
	test_few_bells();
	return done();
}
