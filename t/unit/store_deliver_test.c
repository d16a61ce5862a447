/* store_deliver_test.c - outcomes of a dead worker: each kind is written once, however often it is delivered, and none that came too late. */
#include "store/store_deliver.h"
#include "store_pg.h"

#define TASKS 10

static struct store *store;
static struct store_claimed tasks[TASKS];
static int ntasks;
static bool done_;
static struct store_probe probe;
static struct {
	enum store_status status;
	bool accepted[TASKS];
} got;
static int asked;

static void
on_look(void *arg UNUSED, const struct store_look *look)
{
	done_ = true;
	if (look->nlanes > 0)
		probe = (struct store_probe){ .lane = look->lanes[0].lane,
			.prio = look->lanes[0].prio,
			.below = look->lanes[0].prio + 1,
			.mark = look->lanes[0].head };
}

static void
on_step(void *arg UNUSED, const struct store_stepped *s)
{
	done_ = true;
	ntasks = s->ntasks < TASKS ? s->ntasks : TASKS;
	memcpy(tasks, s->tasks, sizeof(*tasks) * (size_t)ntasks);
}

static void
on_delivered(void *arg UNUSED, enum store_status status, const bool *accepted)
{
	done_ = true;
	got.status = status;
	memcpy(got.accepted, accepted, sizeof(bool) * (size_t)asked);
}

static void
on_count(void *arg UNUSED, enum store_status status UNUSED, int64_t count UNUSED, int64_t next UNUSED)
{
	done_ = true;
}

static void
claim_all(void)
{
	struct task_request r = {
		.task_type = SPAN("x"), .queue = SPAN("q"), .payload = SPAN("{}"), .max_attempts = 3
	};
	int most = TASKS;
	struct store_step s = { .probes = &probe, .nprobes = 1, .turns = &most, .nturns = 1 };

	ok(pg_submit(store, &r, TASKS), "submitted");
	done_ = false;
	store_look(store, 0, NULL, 0, on_look, NULL);
	pg_wait(&done_);
	done_ = false;
	store_step(store, &s, on_step, NULL);
	pg_wait(&done_);
}

static struct store_outcome
outcome(int i, enum store_outcome_kind kind)
{
	static struct task_failure failure = {
		.class = TASK_TRANSIENT, .code = "HANDLER_FAILED", .message = "it failed", .exit = 256
	};

	return (struct store_outcome){ .id = tasks[i].row.id,
		.lease = tasks[i].lease,
		.kind = kind,
		.result = SPAN("{\"r\":1}"),
		.failure = kind == STORE_SUCCEEDED ? NULL : &failure,
		.reason = "RETRY_EXHAUSTED",
		.delay = 3600 * CLOCK_SECOND,
		.charge = true,
		.started_at = store_db_now(store) };
}

static int
deliver(const struct store_outcome *o, int n)
{
	int accepted = 0;

	asked = n;
	done_ = false;
	memset(&got, 0, sizeof(got));
	store_deliver(store, o, n, on_delivered, NULL);
	pg_wait(&done_);
	for (int i = 0; i < n; i++)
		accepted += got.accepted[i];
	return accepted;
}

/* succeeded failed waiting dead tried lease */
static const char *
there(void)
{
	return pg_sql("select concat_ws(' ', (select count(*) from taskq.done where status = 1), (select count(*) from "
		      "taskq.done where "
		      "status = 2), (select count(*) from taskq.waiting), (select count(*) from taskq.dead), "
		      "(select count(*) from taskq.tried), (select count(*) > 0 from taskq.lease))");
}

static void
test_kinds(struct store_outcome *o)
{
	static const enum store_outcome_kind kinds[] = { STORE_SUCCEEDED, STORE_SUCCEEDED, STORE_RETRY, STORE_BURY,
		STORE_DISCARD, STORE_PUT_OFF };
	int n = (int)ARRAY_LEN(kinds);

	for (int i = 0; i < n; i++)
		o[i] = outcome(i, kinds[i]);
	is_int(deliver(o, n), n, "outcomes of every kind are accepted");
	is_str(there(), "2 1 2 1 4 t", "each is written, and the lease stays");
	is_int(deliver(o, n), n, "the same again are known as ours");
	is_str(there(), "2 1 2 1 4 t", "and not written twice");
}

/* What the worker wrote before it died, but never heard of. */
static void
test_written(void)
{
	struct store_outcome o[2] = { outcome(6, STORE_SUCCEEDED), outcome(7, STORE_BURY) };
	struct store_step s = { .outcomes = o, .noutcomes = 2 };

	done_ = false;
	store_step(store, &s, on_step, NULL);
	pg_wait(&done_);
	is_int(deliver(o, 2), 2, "what the worker itself wrote is known as ours");
	is_str(there(), "3 1 2 2 5 t", "and stands as it is");
}

static void
test_refused(void)
{
	struct store_outcome o[2] = { outcome(8, STORE_SUCCEEDED), outcome(9, STORE_BURY) };

	o[1].reason = "\xff";
	is_int(deliver(o, 2), 0, "what cannot be stored");
	is_int(got.status, STORE_REFUSED, "is refused");
	is_str(there(), "3 1 2 2 5 t", "with all that went with it");
}

static void
test_late(const struct store_outcome *early)
{
	struct store_outcome late = outcome(8, STORE_BURY);

	done_ = false;
	store_release_worker(store, store_worker_inc(store), NULL, -1, on_count, NULL);
	pg_wait(&done_);
	is_int(deliver(&late, 1), 0, "when the lease is gone an outcome is stale");
	is_int(got.status, STORE_OK, "which is no fault");
	is_str(there(), "3 1 2 2 5 f", "and changes nothing");
	is_str(pg_sql("select sum(n) from taskq.ready"), "2", "others have the task");
	is_int(deliver(early, 6), 6, "one that was in time is ours for ever");
	is_str(there(), "3 1 2 2 5 f", "also without its lease");
}

int
main(void)
{
	struct store_options o = {
		.node = "n1", .boot = id_random(), .submit_connections = 1, .worker = true, .keeper = true
	};
	struct store_outcome early[6];

	pg_begin_whole("deliver", PG_WHOLE);
	o.boot_at = clock_now();
	store = pg_open(&o);
	ok(store_place(store) != 0, "the database has a name among all");
	claim_all();
	is_int(ntasks, TASKS, "claimed");
	test_kinds(early);
	test_written();
	test_refused();
	test_late(early);
	store_close(&store);
	return pg_end();
}
