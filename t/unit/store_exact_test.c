/* store_exact_test.c - claims from queues with limits and from lanes in order, by two workers at the same time. */
#include "store_pg.h"

#define WORKERS 2
#define CLAIM 16

/* A worker of its own, and the answer to what it asked last. */
struct side {
	struct store *store;
	bool done, busy, full, ok;
	int n, nheld, room, nlanes;
	int64_t next;
	struct store_claimed tasks[CLAIM];
	bool accepted[CLAIM];
	int noutcomes;
	struct store_probe probes[64];
	int turn;
	int in_order; /* lanes with an ordering key that were seen */
	const char *queue;
	struct store_exact exact;
};
static struct side sides[WORKERS];

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static void
on_look(void *arg, const struct store_look *look)
{
	struct side *s = arg;
	const struct store_lane *lanes = look->lanes;

	s->nlanes = s->in_order = 0;
	for (int i = 0; i < look->nlanes; i++) {
		if (i > 0 && lanes[i].lane == lanes[i - 1].lane)
			continue;
		if (span_is(lanes[i].queue, s->queue))
			s->probes[s->nlanes++] = (struct store_probe){
				.lane = lanes[i].lane, .prio = STORE_PRIO_FIRST, .below = STORE_PRIO_END
			};
		s->in_order += lanes[i].ordering_key.len > 0;
	}
	s->ok = look->status == STORE_OK;
	s->done = true;
}

static void
look(struct side *s, const char *queue)
{
	s->done = false;
	s->queue = queue;
	store_look(s->store, 0, NULL, 0, on_look, s);
	ok(pg_wait(&s->done) && s->ok, "the lanes of %s are read", queue);
}

static void
on_step(void *arg, const struct store_stepped *a)
{
	struct side *s = arg;

	s->n = a->ntasks;
	s->busy = a->busy;
	s->full = a->full[0];
	s->room = a->room;
	s->next = a->next > 0 ? a->next : a->group_next;
	s->nheld = a->nheld;
	for (int i = 0; i < a->ntasks; i++)
		s->tasks[i] = a->tasks[i];
	for (int i = 0; i < s->noutcomes; i++)
		s->accepted[i] = a->accepted[i];
	s->done = true;
}

/* Asks; the answer comes with pg_wait(). */
static void
ask(struct side *s, const struct store_outcome *o, int no, const struct store_limits *limits, int k)
{
	static struct store_step steps[WORKERS];
	struct store_step *step = &steps[s - sides];

	s->exact = (struct store_exact){ .queue = span_of(s->queue), .limits = *limits };
	s->turn = k;
	*step = (struct store_step){ .outcomes = o,
		.noutcomes = no,
		.probes = s->probes,
		.nprobes = s->nlanes,
		.turns = &s->turn,
		.nturns = 1,
		.exact = &s->exact };
	s->done = false;
	s->noutcomes = no;
	store_step(s->store, step, on_step, s);
}

static int
claim(struct side *s, const struct store_limits *limits, int k)
{
	ask(s, NULL, 0, limits, k);
	pg_wait(&s->done);
	return s->n;
}

static struct store_outcome
outcome(struct side *s, const struct store_claimed *c, enum store_outcome_kind kind)
{
	static struct task_failure failure = {
		.class = TASK_TRANSIENT, .code = "HANDLER_FAILED", .message = "it failed", .exit = 256
	};

	return (struct store_outcome){ .id = c->row.id,
		.lease = c->lease,
		.kind = kind,
		.failure = &failure,
		.reason = "RETRY_EXHAUSTED",
		.delay = 3600 * CLOCK_SECOND,
		.charge = true,
		.started_at = store_db_now(s->store) };
}

/* Ends the first task of the last claim, and claims in the same step. */
static int
end_first(struct side *s, enum store_outcome_kind kind, const struct store_limits *limits, int k)
{
	struct store_outcome o = outcome(s, &s->tasks[0], kind);

	ask(s, &o, 1, limits, k);
	pg_wait(&s->done);
	ok(s->accepted[0], "the outcome is written");
	return s->n;
}

static void
on_promoted(void *arg, enum store_status status, int64_t count, int64_t next)
{
	bool *done = arg;

	ok(status == STORE_OK && count == 1 && next != 0, "one task is promoted");
	*done = true;
}

/* One after the other, as a client that waits for each answer. */
static void
submit(const char *queue, const char *group, const char *key, int priority, int64_t delay)
{
	struct task_request r = { .task_type = SPAN("k"),
		.queue = span_of(queue),
		.payload = SPAN("{}"),
		.max_attempts = 3,
		.group = span_of(group),
		.ordering_key = span_of(key),
		.priority = priority,
		.delay = delay };

	if (!pg_submit(sides[0].store, &r, 1))
		ok(false, "submitted to %s", queue);
}

static int
counted(const char *queue)
{
	return atoi(pg_sql("select count(*) from taskq.lease x join taskq.lane l on l.id = x.lane "
			   "join taskq.queue q on q.id = l.queue_id where x.counted and x.lo = x.hi and q.name = '%s'",
	    queue));
}

/* --- the tests ------------------------------------------------------------------------------------------------------------ */

static void
test_concurrency(void)
{
	struct side *a = &sides[0], *b = &sides[1];
	struct store_limits three = { .concurrency = 3 };
	int most = 0;

	for (int i = 0; i < 10; i++)
		submit("lim", "", "", 0, 0);
	look(a, "lim");
	look(b, "lim");
	for (int round = 0; round < 20; round++) {
		ask(a, NULL, 0, &three, 2);
		ask(b, NULL, 0, &three, 2);
		pg_wait(&a->done);
		pg_wait(&b->done);
		most = counted("lim") > most ? counted("lim") : most;
		if (a->busy && b->busy)
			ok(false, "one of two claimers has the gate");
	}
	is_int(most, 3, "two workers that claim at the same time have three of ten tasks");
	is_int(claim(a, &three, 2), 0, "and get no more");
	ok(!a->busy && a->room == 0 && a->nheld == 1, "but hear that there is more, and no room");
	is_str(
	    pg_sql("select count(*) from taskq.lease where counted and worker = %d", (int)store_worker_inc(a->store)),
	    pg_sql(
		"select 3 - count(*) from taskq.lease where counted and worker = %d", (int)store_worker_inc(b->store)),
	    "each lease is of one of them");
}

static void
test_gate(void)
{
	struct side *a = &sides[0];
	struct store_limits five = { .concurrency = 5 };

	pg_sql("begin");
	pg_sql(
	    "select 1 from taskq.gate g join taskq.queue q on q.id = g.queue_id where q.name = 'lim' for update of g");
	is_int(claim(a, &five, 1), 0, "nothing is claimed while somebody else counts");
	ok(a->busy, "and it is not waited for");
	pg_sql("commit");
	is_int(claim(a, &five, 1), 1, "it is, once the gate is free");
	is_int(end_first(a, STORE_SUCCEEDED, &(struct store_limits){ .concurrency = 4 }, 9), 1,
	    "what ends in a step makes room for the claim of the same step");
	is_int(counted("lim"), 4, "and no more than that");
	is_int(claim(a, &(struct store_limits){ .concurrency = 3 }, 9), 0,
	    "a limit that was lowered is overrun by what runs");
	is_int(claim(a, &(struct store_limits){ .concurrency = 100 }, CLAIM), 5,
	    "and one that was raised lets all through");
	ok(a->nheld == 0, "nothing is left");
}

static void
test_groups(void)
{
	struct side *a = &sides[0];
	struct store_limits one = { .group_concurrency = 1 };

	submit("grp", "x", "", 0, 0);
	submit("grp", "x", "", 0, 0);
	submit("grp", "y", "", 0, 0);
	submit("grp", "y", "", 0, 0);
	submit("grp", "", "", 0, 0);
	submit("grp", "", "", 0, 0);
	look(a, "grp");
	is_int(claim(a, &one, 9), 4, "one of each group, and all without a group");
	is_int(a->nheld, 2, "two lanes are held");
	is_str(pg_sql("select count(distinct l.grp) from taskq.lease x join taskq.lane l on l.id = x.lane "
		      "join taskq.queue q on q.id = l.queue_id where q.name = 'grp'"),
	    "3", "of three groups");
	is_int(claim(a, &one, 9), 0, "no more while they run");
}

/* The retry in front holds its successors up; the dead letter does not. */
static void
test_order(void)
{
	struct side *a = &sides[0], *b = &sides[1];
	struct store_limits none = { 0 };
	struct id first;
	bool done = false;

	submit("ord", "", "o", 0, 0);
	submit("ord", "", "o", 0, 0);
	submit("ord", "", "o", 90, 0);
	submit("ord", "", "other", 0, 0);
	look(a, "ord");
	look(b, "ord");
	is_int(a->in_order, 2, "both keys have a lane");
	is_int(claim(a, &none, 9), 2, "one of each key");
	first = a->tasks[0].row.id;
	ok(span_is(a->tasks[0].row.ordering_key, "o"), "with its key");
	is_int(claim(b, &none, 9), 0, "no more while they run");
	is_int(end_first(a, STORE_RETRY, &none, 9), 0, "none after one that will be tried again");
	is_int(claim(b, &none, 9), 0, "for nobody");
	pg_sql("update taskq.waiting set due_at = now()");
	store_promote(sides[0].store, on_promoted, &done);
	pg_wait(&done);
	is_int(claim(b, &none, 9), 1, "it is due");
	ok(b->n == 1 && id_eq(&b->tasks[0].row.id, &first) && b->tasks[0].run == 1, "then it is the first again");
	is_int(end_first(b, STORE_BURY, &none, 9), 1, "a dead letter lets the next one go, in the same step");
	ok(id_cmp(&b->tasks[0].row.id, &first) > 0 && b->tasks[0].row.priority == 0,
	    "which is the second, not the most urgent");
	is_int(end_first(b, STORE_SUCCEEDED, &none, 9), 1, "and then the third");
	is_int(b->tasks[0].row.priority, 90, "however urgent");
}

static void
test_delay_in_order(void)
{
	struct side *a = &sides[0];
	struct store_limits none = { 0 };

	submit("del", "", "d", 0, 3600 * CLOCK_SECOND);
	submit("del", "", "d", 0, 0);
	look(a, "del");
	is_int(claim(a, &none, 9), 0, "a task with a delay keeps its place");
	is_int(a->nheld, 1, "and what is behind it is held");
	pg_sql("insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at) "
	       "select id, bucket, lane, 3, 0, 0, 0, now() from taskq.waiting where counted");
	is_int(claim(a, &none, 9), 1, "a cancelled one holds nobody");
}

/* By the clock of the database; what the test moves is the arrival time. */
static void
test_rate(void)
{
	struct side *a = &sides[0], *b = &sides[1];
	struct store_limits hourly = { .interval = 3600 * CLOCK_SECOND, .burst = 2 };
	struct store_limits group = { .group_interval = 3600 * CLOCK_SECOND, .group_burst = 1 };

	for (int i = 0; i < 8; i++)
		submit("rate", "", "", 0, 0);
	look(a, "rate");
	look(b, "rate");
	is_int(claim(a, &hourly, 9), 2, "a burst");
	ok(a->next > 3500 * CLOCK_SECOND && a->next <= 3600 * CLOCK_SECOND, "the next one in an hour: %lld us",
	    (long long)a->next);
	is_int(claim(b, &hourly, 9), 0, "for other workers too");
	pg_sql("update taskq.gate set tat = tat - interval '61 min'");
	is_int(claim(b, &hourly, 9), 1, "an hour later there is one");
	pg_sql("update taskq.gate set tat = tat - interval '3 days'");
	is_int(claim(b, &hourly, 9), 2, "a long rest is good for a burst and no more");
	submit("grate", "x", "", 0, 0);
	submit("grate", "x", "", 0, 0);
	submit("grate", "y", "", 0, 0);
	look(a, "grate");
	is_int(claim(a, &group, 9), 2, "each group has a rate of its own");
	ok(a->next > 3500 * CLOCK_SECOND, "the next one in an hour");
	pg_sql("update taskq.gate set tat = tat - interval '61 min' where grp = 'x'");
	is_int(claim(a, &group, 9), 1, "or when its time has come");
}

int
main(void)
{
	struct store_options o = { .boot = id_random(), .submit_connections = 1, .worker = true, .keeper = true };

	pg_begin_whole("exact", PG_WHOLE);
	for (int i = 0; i < WORKERS; i++) {
		o.node = i == 0 ? "n1" : "n2";
		sides[i].store = pg_open(&o);
	}
	test_concurrency();
	test_gate();
	test_groups();
	test_order();
	test_delay_in_order();
	test_rate();
	for (int i = 0; i < WORKERS; i++)
		store_close(&sides[i].store);
	return pg_end();
}
