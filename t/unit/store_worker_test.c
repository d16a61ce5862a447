/* store_worker_test.c - claims, outcomes and give-backs, on whole lines and on lines that are cut. */
#include "store/store_int.h"
#include "store_pg.h"

static struct store *store;
static struct wake *wake;

/* --- waiting for one answer ------------------------------------------------------------------------------------------ */

static struct {
	bool done;
	enum store_status status;
	bool lost, full;
	bool accepted[64];
	int n, nlanes;
	struct store_claimed tasks[2000];
	char types[2000][16];
	struct store_probe probes[100]; /* as the look told */
	int32_t last;
	int64_t count, next;
	bool found;
	struct task_row row;
	char message[100];
} got;
static int noutcomes;

static void
on_step(void *arg, const struct store_stepped *s)
{
	int i;

	(void)arg;
	got.done = true;
	got.status = s->status;
	got.lost = s->lost;
	for (i = 0; i < noutcomes; i++)
		got.accepted[i] = s->accepted[i];
	got.n = s->ntasks;
	got.full = s->full != NULL && s->full[0];
	for (i = 0; i < s->ntasks; i++) {
		got.tasks[i] = s->tasks[i];
		snprintf(got.types[i], sizeof(got.types[i]), "%.*s", (int)s->tasks[i].row.task_type.len,
		    s->tasks[i].row.task_type.ptr);
	}
}

static void
on_look(void *arg, const struct store_look *look)
{
	int i;

	(void)arg;
	got.done = true;
	got.status = look->status;
	got.last = look->last;
	got.nlanes = look->nlanes < (int)ARRAY_LEN(got.probes) ? look->nlanes : (int)ARRAY_LEN(got.probes);
	for (i = 0; i < got.nlanes; i++) {
		const struct store_lane *l = &look->lanes[i];

		got.probes[i] =
		    (struct store_probe){ .lane = l->lane, .prio = l->prio, .below = l->prio + 1, .mark = l->head };
	}
}

static void
on_count(void *arg, enum store_status status, int64_t count, int64_t next)
{
	(void)arg;
	got.done = true;
	got.status = status;
	got.count = count;
	got.next = next;
}

static void
on_row(void *arg, enum store_status status, const struct task_row *row)
{
	(void)arg;
	got.done = true;
	got.status = status;
	got.found = row != NULL;
	got.message[0] = '\0';
	if (row == NULL)
		return;
	got.row = *row;
	snprintf(got.message, sizeof(got.message), "%.*s", (int)row->last_error.len,
	    row->last_error.ptr != NULL ? row->last_error.ptr : "");
}

static void
on_beat(void *arg, const struct store_beat *b)
{
	(void)arg;
	got.done = true;
	got.status = b->status;
	got.lost = b->lost;
	got.n = b->ncancelled;
	if (b->ncancelled > 0)
		got.row.id = b->cancelled[0];
}

/* --- steps ---------------------------------------------------------------------------------------------------------------- */

static void
look(void)
{
	got.done = false;
	store_look(store, 0, NULL, 0, on_look, NULL);
	pg_wait(&got.done);
}

/* And at that lane in any case, if it comes after `after`. */
static void
look_at(int32_t lane, int32_t after)
{
	got.done = false;
	store_look(store, after, &lane, 1, on_look, NULL);
	pg_wait(&got.done);
}

/* One request on the line. */
static void
only_step(const struct store_outcome *o, int no, const struct store_giveback *g, int ng, int claim)
{
	struct store_step s = { .outcomes = o,
		.noutcomes = no,
		.givebacks = g,
		.ngivebacks = ng,
		.probes = got.probes,
		.nprobes = got.nlanes,
		.turns = &claim,
		.nturns = claim > 0 };

	got.done = false;
	noutcomes = no;
	store_step(store, &s, on_step, NULL);
	pg_wait(&got.done);
}

static void
step(const struct store_outcome *o, int no, const struct store_giveback *g, int ng, int claim)
{
	look();
	only_step(o, no, g, ng, claim);
}

static const struct task_row *
get(const struct id *id)
{
	got.done = false;
	store_get(store, id, on_row, NULL);
	pg_wait(&got.done);
	return got.found ? &got.row : NULL;
}

static void
submit(const char *type, int n)
{
	struct task_request r = {
		.task_type = span_of(type), .queue = SPAN("q"), .payload = SPAN("{}"), .max_attempts = 3
	};

	ok(pg_submit(store, &r, n), "%d tasks of type %s", n, type);
}

static struct store_outcome
outcome(const struct store_claimed *c, enum store_outcome_kind kind)
{
	static struct task_failure failure = {
		.class = TASK_TRANSIENT, .code = "HANDLER_FAILED", .message = "it failed", .exit = 256
	};

	return (struct store_outcome){ .id = c->row.id,
		.lease = c->lease,
		.kind = kind,
		.result = SPAN("{\"r\":1}"),
		.failure = &failure,
		.reason = "RETRY_EXHAUSTED",
		.charge = true,
		.started_at = store_db_now(store) };
}

/* Finishes all of a claim that is in `tasks`. */
static int
finish(const struct store_claimed *tasks, int n)
{
	struct store_outcome o[64] = { { .kind = STORE_SUCCEEDED } };
	int i, accepted = 0;

	for (i = 0; i < n; i++)
		o[i] = outcome(&tasks[i], STORE_SUCCEEDED);
	only_step(o, n, NULL, 0, 0);
	for (i = 0; i < n; i++)
		accepted += got.accepted[i];
	return accepted;
}

/* A task is in exactly one place, and a lease has an owner. */
static void
check_places(const char *when)
{
	const char *wrong =
	    pg_sql("select count(*) from taskq.task t where 1 <> "
		   "(select count(*) from taskq.done d where d.id = t.id) + "
		   "(select count(*) from taskq.dead d where d.id = t.id and d.resolution is null) + "
		   "(select count(*) from taskq.waiting w where w.id = t.id) + "
		   "(select count(*) from taskq.ready r where t.id between r.lo and r.hi) + "
		   "(select count(*) from taskq.lease l where t.id between l.lo and l.hi "
		   "and not exists (select from taskq.done d where d.id = t.id) "
		   "and not exists (select from taskq.tried x where x.id = t.id and x.lease_id = l.lease_id))");

	is_str(wrong, "0", "%s: each task is in one place", when);
}

/* Since it was asked last. */
static bool
keeper_was_rung(void)
{
	struct pollfd bell = { .fd = wake_keeper_fd(wake), .events = POLLIN };
	bool rung = poll(&bell, 1, 0) == 1;

	wake_hush(bell.fd);
	return rung;
}

static void
test_life(void)
{
	struct store_claimed tasks[10];
	struct store_outcome o[4];

	submit("a", 10);
	step(NULL, 0, NULL, 0, 4);
	is_int(got.n, 4, "claimed as many as asked");
	is_str(got.types[0], "a", "with the type");
	ok(id_cmp(&got.tasks[0].row.id, &got.tasks[3].row.id) < 0, "in order");
	is_str(pg_sql("select count(*) || '/' || sum(taskq.pos(hi) - taskq.pos(lo) + 1) from taskq.lease"), "1/4",
	    "one lease");
	memcpy(tasks, got.tasks, sizeof(tasks));
	is_int(get(&tasks[0].row.id)->state, TASK_LEASED, "it is being worked on");
	o[0] = outcome(&tasks[0], STORE_SUCCEEDED);
	o[1] = outcome(&tasks[1], STORE_RETRY);
	o[2] = outcome(&tasks[2], STORE_BURY);
	(void)keeper_was_rung();
	step(o, 3, NULL, 0, 0);
	ok(keeper_was_rung(), "the keeper hears of the retry");
	ok(got.accepted[0] && got.accepted[1] && got.accepted[2], "success, retry and burial are written");
	is_int(get(&tasks[0].row.id)->state, TASK_SUCCEEDED, "succeeded");
	is_int(get(&tasks[1].row.id)->state, TASK_WAITING, "waits");
	is_str(got.message, "it failed", "with its error");
	is_int(get(&tasks[2].row.id)->state, TASK_DEAD, "dead");
	is_int(got.row.attempts, 1, "after one attempt");
	is_str(pg_sql("select count(*) from taskq.lease"), "1", "the lease lives with its last task");
	o[0] = outcome(&tasks[3], STORE_DISCARD);
	step(o, 1, NULL, 0, 0);
	is_int(get(&tasks[3].row.id)->state, TASK_FAILED, "failed by policy");
	is_str(got.message, "it failed", "with its error");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "and goes with it");
	is_int(finish(tasks, 1), 0, "a second outcome is stale");
	check_places("outcomes");
	got.done = false;
	store_promote(store, on_count, NULL);
	pg_wait(&got.done);
	is_int(got.count, 1, "the retry is due");
	is_int(got.next, -1, "and nothing after it");
	step(NULL, 0, NULL, 0, 100);
	is_int(got.n, 7, "the others and the retry are claimed");
	is_int(got.tasks[0].attempts + got.tasks[6].attempts, 1, "one of them for the second time");
	is_int(finish(got.tasks, 7), 7, "all finish");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "no lease is left");
	check_places("the end");
}

/* Where a look found nothing the mark holds too, until a row is put below it. */
static void
test_mark(void)
{
	struct store_probe p;
	int64_t now = store_db_now(store);
	struct id at = task_id_least(now), start = claim_start(store, &at), zero = { { 0 } };

	is_int(task_id_time(&at) - task_id_time(&start), CLOCK_SECOND, "what is new is asked from a little earlier on");
	at = task_id_least(now - 3 * pg_conf.http.request_timeout);
	start = claim_start(store, &at);
	ok(id_eq(&start, &at), "beside what is old nothing comes any more");
	start = claim_start(store, &zero);
	ok(id_is_zero(&start), "where nothing was seen all is asked");
	submit("mark", 1);
	step(NULL, 0, NULL, 0, 1);
	p = got.probes[0];
	is_int(finish(got.tasks, 1), 1, "a lane is empty");
	wake_lane_lower(wake, p.lane);
	look_at(p.lane, p.lane);
	submit("mark", 1);
	p.mark = task_id_least(store_db_now(store) + 100 * CLOCK_SECOND);
	got.probes[0] = p;
	got.nlanes = 1;
	only_step(NULL, 0, NULL, 0, 1);
	is_int(
	    got.n, 1, "after what was put below its mark it is asked from zero, whatever a look at other lanes tells");
	is_int(finish(got.tasks, 1), 1, "and empty again");
	look_at(p.lane, 0);
	is_int(got.nlanes, 1, "a look at it");
	submit("mark", 1);
	got.probes[0] = p;
	only_step(NULL, 0, NULL, 0, 1);
	is_int(got.n, 0, "and it is asked from the mark on");
	wake_lane_lower(wake, p.lane);
	only_step(NULL, 0, NULL, 0, 1);
	is_int(got.n, 1, "until something is put below that");
	is_int(finish(got.tasks, 1), 1, "all finish");
}

/* Tasks of several leases end in any order; each is held against its own. */
static void
test_mixed(void)
{
	struct store_claimed a[2], b[2];
	struct store_outcome o[4];

	submit("m", 4);
	step(NULL, 0, NULL, 0, 2);
	memcpy(a, got.tasks, sizeof(a));
	step(NULL, 0, NULL, 0, 2);
	memcpy(b, got.tasks, sizeof(b));
	is_str(pg_sql("select count(*) from taskq.lease"), "2", "two leases");
	o[0] = outcome(&b[1], STORE_SUCCEEDED);
	o[1] = outcome(&a[0], STORE_SUCCEEDED);
	o[2] = outcome(&b[0], STORE_SUCCEEDED);
	o[3] = outcome(&a[1], STORE_SUCCEEDED);
	o[3].lease = b[0].lease;
	only_step(o, 4, NULL, 0, 0);
	ok(got.accepted[0] && got.accepted[1] && got.accepted[2], "each under its lease is accepted");
	ok(!got.accepted[3], "and none under the lease of another");
	is_str(pg_sql("select count(*) from taskq.lease"), "1", "the lease that ended is gone, the other lives on");
	check_places("two leases");
	is_int(finish(&a[1], 1), 1, "and ends with its last task");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "no lease is left");
}

static void
test_giveback(void)
{
	struct store_claimed tasks[6];
	struct store_giveback g;

	submit("b", 6);
	step(NULL, 0, NULL, 0, 6);
	memcpy(tasks, got.tasks, sizeof(tasks));
	is_int(got.n, 6, "six are claimed");
	is_int(finish(tasks, 1), 1, "one finishes");
	g = (struct store_giveback){ .lease = tasks[0].lease, .from = tasks[3].row.id };
	step(NULL, 0, &g, 1, 0);
	is_str(pg_sql("select sum(n) from taskq.ready"), "3", "the tail is ready again");
	check_places("give-back of a tail");
	is_int(finish(tasks + 1, 2), 2, "the head finishes");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "and the lease goes");
	step(NULL, 0, NULL, 0, 6);
	is_int(got.n, 3, "the tail is claimed again");
	memcpy(tasks, got.tasks, sizeof(tasks));
	is_int(tasks[0].run, 0, "as not started");
	g = (struct store_giveback){ .lease = tasks[0].lease, .from = tasks[0].lease.lo, .started = true };
	step(NULL, 0, &g, 1, 0);
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "the whole lease is given back");
	check_places("give-back of all");
	step(NULL, 0, NULL, 0, 6);
	is_int(got.tasks[0].run, 1, "now they were started");
	is_int(finish(got.tasks, got.n), 3, "and finish");
}

/* Known keys leave holes in a range; a claim that met some is not the end of the lane. */
static void
test_sparse(void)
{
	int left = 10, partial = 0;
	bool more;

	submit("s", 40);
	(void)pg_sql(
	    "delete from taskq.task where id in (select id from (select t.id, row_number() over (order by t.id) n "
	    "from taskq.task t where not exists (select from taskq.done d where d.id = t.id) "
	    "and not exists (select from taskq.dead x where x.id = t.id)) x where n % 4 <> 1)");
	for (more = true; more;) {
		step(NULL, 0, NULL, 0, 8);
		more = got.full;
		partial += got.n < 8 && more;
		left -= finish(got.tasks, got.n);
	}
	ok(partial > 0, "tasks and their holes are a full claim: %d times", partial);
	is_int(left, 0, "claims go on until the lane is empty");
}

/* Every step is cut, before and after it was done; nothing is claimed twice or lost. */
static void
test_cuts(void)
{
	static const char modes[] = "aarraraa";
	struct store_claimed tasks[20];
	int64_t inc = store_worker_inc(store);
	struct store_giveback g;
	int i, claimed = 0, finished = 0;

	submit("c", 80);
	for (i = 0; modes[i] != '\0'; i++) {
		look();
		proxy_order(modes[i], "claim");
		only_step(NULL, 0, NULL, 0, 10);
		ok(!got.lost && got.n == 10, "claim cut at '%c': %d tasks", modes[i], got.n);
		memcpy(tasks, got.tasks, sizeof(tasks));
		proxy_order(modes[7 - i], i % 3 == 2 ? "giveback" : "finish");
		if (i % 3 == 2) {
			g = (struct store_giveback){ .lease = tasks[0].lease, .from = tasks[0].lease.lo };
			only_step(NULL, 0, &g, 1, 0);
		} else {
			claimed += got.n;
			finished += finish(tasks, 10);
		}
	}
	is_int(finished, claimed, "each outcome is accepted once");
	is_int(store_worker_inc(store), inc, "under the same identity");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "no lease is left behind");
	step(NULL, 0, NULL, 0, 100);
	is_int(got.n, 80 - finished, "the rest is ready");
	finish(got.tasks, got.n);
	check_places("cuts");
	is_str(pg_sql("select count(distinct (d.id, d.lease_id)) = count(*) and count(*) = 80 from taskq.done d join "
		      "taskq.lane l on l.id = d.lane "
		      "join taskq.kind k on k.id = l.kind_id where k.name = 'c'"),
	    "t", "eighty are done, once");
}

/* A server that does not answer: the line is closed at the deadline, and the step goes again on another. */
static void
test_silence(void)
{
	int64_t deadline = pg_conf.postgres.deadline;
	struct store_claimed tasks[5];
	const int claim = 5;

	submit("s", 5);
	look();
	pg_conf.postgres.deadline = 200 * CLOCK_MS;
	proxy_order('h', "");
	got.done = false;
	store_step(store,
	    &(struct store_step){ .probes = got.probes, .nprobes = got.nlanes, .turns = &claim, .nturns = 1 }, on_step,
	    NULL);
	noutcomes = 0;
	pg_turn(300 * CLOCK_MS);
	ok(!got.done, "a step is not answered while nobody answers");
	proxy_order('n', "");
	pg_conf.postgres.deadline = deadline;
	pg_wait(&got.done);
	is_int(got.n, 5, "its claim came through once");
	memcpy(tasks, got.tasks, sizeof(tasks));
	is_int(finish(tasks, 5), 5, "and is good");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "nothing else was leased");
}

static void
test_hand(void)
{
	struct store_claimed tasks[4];
	struct store_retry how = { .extra_attempts = 3 };
	struct store_outcome o;
	struct id none = id_random();

	submit("d", 4);
	step(NULL, 0, NULL, 0, 2);
	memcpy(tasks, got.tasks, sizeof(tasks));
	got.done = false;
	store_cancel(store, &tasks[0].row.id, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_OK && got.row.state == TASK_CANCELLED, "a running task is cancelled");
	got.done = false;
	store_beat(store, on_beat, NULL);
	pg_wait(&got.done);
	ok(!got.lost && got.n == 1 && id_eq(&got.row.id, &tasks[0].row.id), "and its worker hears of it");
	is_int(finish(tasks, 2), 1, "its outcome is stale, its neighbour's is not");
	is_str(pg_sql("select count(*) from taskq.lease"), "0", "the lease goes with them");
	submit("d", 1);
	step(NULL, 0, NULL, 0, 1);
	tasks[0] = got.tasks[0];
	o = outcome(&tasks[0], STORE_BURY);
	step(&o, 1, NULL, 0, 0);
	got.done = false;
	store_cancel(store, &tasks[0].row.id, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_REFUSED && got.row.state == TASK_DEAD, "a dead task cannot be cancelled");
	got.done = false;
	store_retry(store, &tasks[0].row.id, &how, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_OK && got.row.state == TASK_READY, "but run again");
	is_int(got.row.max_attempts, 6, "with more attempts");
	got.done = false;
	store_retry(store, &tasks[0].row.id, &how, &nobody, on_row, NULL);
	pg_wait(&got.done);
	is_int(got.status, STORE_REFUSED, "not twice");
	got.done = false;
	store_cancel(store, &tasks[0].row.id, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_OK && got.row.state == TASK_CANCELLED, "a ready task is cancelled");
	got.done = false;
	store_cancel(store, &none, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_OK && !got.found, "no such task");
	step(NULL, 0, NULL, 0, 100);
	ok(got.n > 0, "what is left is claimed");
	o = outcome(&got.tasks[0], STORE_DISCARD);
	tasks[1] = got.tasks[0];
	step(&o, 1, NULL, 0, 0);
	got.done = false;
	store_retry(store, &tasks[1].row.id, &how, &nobody, on_row, NULL);
	pg_wait(&got.done);
	ok(got.status == STORE_OK && got.row.state == TASK_READY, "a failed task is run again while its lease lives");
	check_places("by hand");
}

/* Of a dead worker only what it had started is charged with the loss. */
static void
test_started(void)
{
	struct id first = { 0 };
	int started = 0, others = 0;

	submit("f", 5);
	step(NULL, 0, NULL, 0, 100);
	ok(got.n >= 5, "claimed");
	for (int i = 0; i < got.n; i++)
		if (strcmp(got.types[i], "f") == 0)
			first = got.tasks[i].row.id;
	got.done = false;
	store_release_worker(store, store_worker_inc(store), &first, 1, on_count, NULL);
	pg_wait(&got.done);
	ok(got.count >= 5, "all are ready again");
	step(NULL, 0, NULL, 0, 100);
	ok(got.lost, "the worker learns of it");
	step(NULL, 0, NULL, 0, 100);
	for (int i = 0; i < got.n; i++)
		if (id_eq(&got.tasks[i].row.id, &first))
			started += got.tasks[i].run;
		else if (strcmp(got.types[i], "f") == 0)
			others += got.tasks[i].run;
	is_int(started, 1, "what was started counts as a run");
	is_int(others, 0, "what was not does not");
	is_int(finish(got.tasks, got.n), got.n, "all are there");
}

/* Declared dead while it works: the tasks are somebody else's, and it gets a new identity. */
static void
test_lost(void)
{
	struct store_claimed tasks[5];
	int64_t inc = store_worker_inc(store);
	int i;

	submit("e", 5);
	step(NULL, 0, NULL, 0, 100);
	ok(got.n >= 5, "claimed");
	memcpy(tasks, got.tasks, sizeof(tasks));
	got.done = false;
	store_release_worker(store, inc, NULL, -1, on_count, NULL);
	pg_wait(&got.done);
	ok(got.count >= 5, "a release makes its tasks ready");
	is_int(finish(tasks, 5), 0, "its outcomes are stale");
	ok(got.lost, "and it learns why");
	ok(store_worker_inc(store) != inc, "it is another worker now");
	step(NULL, 0, NULL, 0, 100);
	ok(got.n >= 5 && !got.lost, "and works again");
	for (i = 0; i < got.n - 1 && strcmp(got.types[i], "e") != 0; i++)
		;
	is_int(got.tasks[i].run, 1, "the lost run counts as a run");
	is_int(got.tasks[i].attempts, 0, "not as an attempt");
	is_int(finish(got.tasks, got.n), got.n, "the new outcomes count");
	check_places("loss");
}

static void
reap(void)
{
	got.done = false;
	store_reap(store, on_count, NULL);
	pg_wait(&got.done);
}

static int
look_for_namesakes(void)
{
	got.done = false;
	store_release_boot(store, on_count, NULL);
	pg_wait(&got.done);
	return wake_namesake(wake);
}

/* The first look was that for workers of an earlier start. */
static void
test_namesake(void)
{
	is_int(look_for_namesakes(), 0, "one that is not seen again may be dead");
	pg_sql("update taskq.worker set seen = seen + interval '1 s' where inc = 1000005");
	is_int(look_for_namesakes(), 0, "one that came later has to go itself");
	pg_sql("update taskq.worker set seen = seen + interval '1 s' where inc = 1000003");
	is_int(look_for_namesakes(), 1, "one that is seen again lives");
	is_int(look_for_namesakes(), 1, "until it is gone");
	pg_sql("delete from taskq.worker where inc in (1000003, 1000004, 1000005)");
	is_int(look_for_namesakes(), 0, "then there is none");
}

static void
test_duties(void)
{
	int64_t until;

	pg_sql("insert into taskq.worker (inc, node, boot, seen) values (1000000, 'n2', gen_random_uuid(), now() - "
	       "interval '1 hour')");
	pg_sql("insert into taskq.worker (inc, node, boot, seen) values (1000002, 'n2', gen_random_uuid(), now() + "
	       "interval '1 hour')");
	pg_sql("insert into taskq.worker (inc, node, boot, home) values (1000001, 'n1', gen_random_uuid(), "
	       "'00000000-0000-4000-8000-000000000001')");
	pg_sql("insert into taskq.worker (inc, node, boot, home, started_at) values (1000003, 'n1', gen_random_uuid(), "
	       "'00000000-0000-4000-8000-000000000002', now() - interval '1 hour'), "
	       "(1000004, 'n1', gen_random_uuid(), null, now() - interval '1 hour'), "
	       "(1000005, 'n1', gen_random_uuid(), '00000000-0000-4000-8000-000000000002', now() + interval '1 hour')");
	submit("f", 3);
	pg_sql("insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, "
	       "amended) "
	       "select lo, 77, bucket, hi, lane, prio, 999999, 0, 0, 0, 1, false from taskq.ready");
	pg_sql("delete from taskq.ready");
	got.done = false;
	store_release_boot(store, on_count, NULL);
	pg_wait(&got.done);
	is_str(pg_sql("select count(*) from taskq.worker where inc = 1000001"), "0",
	    "workers of an earlier start of this home are released");
	is_str(pg_sql("select count(*) from taskq.worker where inc in (1000003, 1000004, 1000005)"), "3",
	    "those of another one with its name are not");
	test_namesake();
	pg_conf.work.lease = 2 * CLOCK_SECOND;
	pg_conf.work.grace = 60 * CLOCK_SECOND;
	reap();
	is_int(got.count, 0, "who begins to look judges nobody");
	for (until = clock_now() + 60 * CLOCK_SECOND; got.count == 0 && clock_now() < until;) {
		pg_turn(50 * CLOCK_MS);
		reap();
	}
	is_int(got.count, 3, "leases that belong to nobody are reaped");
	is_str(pg_sql("select count(*) from taskq.worker where inc = 1000000"), "0", "and silent workers");
	is_str(pg_sql("select count(*) from taskq.worker where inc = 1000002"), "0",
	    "and one that was seen in the time to come, before a clock was set back");
	is_str(pg_sql("select count(*) from taskq.ready where lost = 2"), "3",
	    "at the second loss each task stands alone");
	got.done = false;
	store_partitions(store, on_count, NULL);
	pg_wait(&got.done);
	is_int(got.status, STORE_OK, "partitions are there");
	step(NULL, 0, NULL, 0, 100);
	finish(got.tasks, got.n);
	pg_sql("update taskq.idem set expires_at = now() - interval '1 s'");
	got.done = false;
	store_purge_keys(store, on_count, NULL);
	pg_wait(&got.done);
	ok(got.count > 0, "expired keys go");
	is_str(pg_sql("select count(*) from taskq.idem i where not exists (select from taskq.done d where d.id = "
		      "i.task_id) and not exists "
		      "(select from taskq.dead d where d.id = i.task_id)"),
	    pg_sql("select count(*) from taskq.idem"), "but not those of open tasks");
}

int
main(void)
{
	struct store_options o = {
		.node = "n1", .boot = id_random(), .submit_connections = 1, .worker = true, .keeper = true
	};

	pg_begin_whole("worker", PG_CUT);
	o.wake = wake = wake_new();
	o.boot_at = clock_now();
	ok(id_parse(SPAN("00000000-0000-4000-8000-000000000001"), &o.home), "a home");
	store = pg_open(&o);
	test_life();
	test_mark();
	test_mixed();
	test_giveback();
	test_sparse();
	test_cuts();
	test_silence();
	test_hand();
	test_started();
	test_lost();
	test_duties();
	store_close(&store);
	return pg_end();
}
