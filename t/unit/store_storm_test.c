/* store_storm_test.c - sessions die at random while tasks are submitted and worked on: each is stored once and finished once. */
#include "store_pg.h"

#define TASKS 3000
#define IN_FLIGHT 200
#define CLAIM 20
#define KILL_EVERY (30 * CLOCK_MS)
#define KILLS 40 /* then it is over, so that the test ends on a slow machine too */

static struct store *store;

/* --- the storm -------------------------------------------------------------------------------------------------------- */

static struct loop_timer *storm;
static int killed;

static void
strike(void *arg)
{
	const char *hit =
	    pg_sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and "
		   "application_name in ('taskqd submit', 'taskqd worker') order by random() limit 1");

	(void)arg;
	killed += strcmp(hit, "t") == 0;
	if (killed < KILLS)
		loop_timer_set(storm, KILL_EVERY);
}

/* --- submission ------------------------------------------------------------------------------------------------------- */

static struct task_request requests[3];
static char keys[TASKS][16];
static int sent, answered, accepted;
static bool all_answered;

static void submit_more(void);

static void
on_submitted(void *arg, const struct store_submitted *a)
{
	(void)arg;
	answered++;
	accepted += a->status == STORE_OK && a->verdict == STORE_ACCEPTED;
	all_answered = answered == TASKS;
	submit_more();
}

static void
submit_more(void)
{
	while (sent < TASKS && sent - answered < IN_FLIGHT) {
		struct store_submission in = { .request = &requests[sent % 3],
			.surface = TASK_SURFACE_V1,
			.tenant = SPAN("t"),
			.deadline = clock_now() + PATIENCE };

		snprintf(keys[sent], sizeof(keys[sent]), "k%d", sent);
		in.key = span_of(keys[sent]);
		sent++;
		store_submit(store, &in, on_submitted, NULL);
	}
}

/* --- work --------------------------------------------------------------------------------------------------------------- */

static struct store_probe probes[10];
static const int turns[] = { CLAIM };
static int nprobes, finished, stale, lost;
static struct store_outcome outcomes[CLAIM];
static int noutcomes;
static bool all_finished;

static void look(void);

static void
on_step(void *arg, const struct store_stepped *s)
{
	int i;

	(void)arg;
	lost += s->lost;
	for (i = 0; i < noutcomes; i++) {
		finished += s->accepted[i];
		stale += !s->accepted[i];
	}
	noutcomes = 0;
	for (i = 0; i < s->ntasks; i++)
		outcomes[noutcomes++] = (struct store_outcome){ .id = s->tasks[i].row.id,
			.lease = s->tasks[i].lease,
			.kind = STORE_SUCCEEDED,
			.result = SPAN("1") };
	all_finished = finished == TASKS;
	if (!all_finished)
		look();
}

static void
on_look(void *arg, const struct store_look *l)
{
	struct store_step step = {
		.outcomes = outcomes, .noutcomes = noutcomes, .probes = probes, .turns = turns, .nturns = 1
	};
	int i;

	(void)arg;
	if (l->status == STORE_OK)
		for (i = nprobes = 0; i < l->nlanes; i++)
			probes[nprobes++] = (struct store_probe){ .lane = l->lanes[i].lane,
				.prio = l->lanes[i].prio,
				.below = l->lanes[i].prio + 1,
				.mark = l->lanes[i].head };
	step.nprobes = nprobes;
	store_step(store, &step, on_step, NULL);
}

static void
look(void)
{
	store_look(store, 0, NULL, 0, on_look, NULL);
}

int
main(void)
{
	struct store_options o = { .node = "n1", .boot = id_random(), .submit_connections = 2, .worker = true };
	const char *types[] = { "a", "b", "c" };
	int i;

	pg_begin_whole("storm", PG_WHOLE);
	store = pg_open(&o);
	for (i = 0; i < 3; i++)
		requests[i] = (struct task_request){ .task_type = span_of(types[i]),
			.queue = SPAN("q"),
			.payload = SPAN("{}"),
			.max_attempts = 3,
			.priority = i };
	storm = loop_timer_new(pg_loop, strike, NULL);
	loop_timer_set(storm, KILL_EVERY);
	submit_more();
	look();
	ok(pg_wait(&all_answered), "every submission is answered");
	is_int(accepted, TASKS, "and accepted, each under its own key");
	ok(pg_wait(&all_finished), "all are finished");
	ok(killed >= 5, "while %d sessions were killed", killed);
	is_int(stale, 0, "no outcome was refused");
	is_int(lost, 0, "and the worker was never lost");
	is_str(pg_sql("select count(*) from taskq.task"), "3000", "stored once");
	is_str(pg_sql("select count(*) from taskq.done where status = 1"), "3000", "done once");
	is_str(pg_sql("select (select count(*) from taskq.ready) + (select count(*) from taskq.waiting)"), "0",
	    "nothing is left");
	loop_timer_free(&storm);
	store_close(&store);
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "nor leased");
	return pg_end();
}
