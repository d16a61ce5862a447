/* store_unique_test.c - of all tasks that want one name one has it at a time, whatever happens to the line. */
#include "store_pg.h"

static struct store *store;

struct answer {
	bool done;
	int calls;
	struct store_submitted a;
	char why[200];
};

static void
on_answer(void *arg, const struct store_submitted *a)
{
	struct answer *x = arg;

	x->calls++;
	x->a = *a;
	snprintf(x->why, sizeof(x->why), "%s", a->why != NULL ? a->why : "");
	x->done = true;
}

static struct task_request
request(const char *payload, const char *name, enum task_hold hold, int64_t window)
{
	struct task_request r = { .task_type = SPAN("sum"),
		.queue = SPAN("default"),
		.payload = span_of(payload),
		.max_attempts = 5,
		.unique = { span_of(name), hold, window } };

	digest_sha256(payload, strlen(payload), r.fingerprint);
	return r;
}

static void
post(const struct task_request *r, const char *tenant, const char *key, struct answer *x)
{
	struct store_submission in = { .request = r,
		.surface = TASK_SURFACE_V1,
		.tenant = span_of(tenant),
		.key = span_of(key),
		.deadline = clock_now() + PATIENCE };

	*x = (struct answer){ 0 };
	store_submit(store, &in, on_answer, x);
}

static struct answer
submit(const char *payload, const char *key, const char *name, enum task_hold hold, int64_t window)
{
	struct task_request r = request(payload, name, hold, window);
	struct answer x;

	post(&r, "t", key, &x);
	pg_wait(&x.done);
	return x;
}

static bool
accepted(const struct answer *x)
{
	return x->a.status == STORE_OK && x->a.verdict == STORE_ACCEPTED;
}

static bool
held(const struct answer *x, const struct answer *by)
{
	return x->a.status == STORE_OK && x->a.verdict == STORE_NOT_UNIQUE && id_eq(&x->a.row.id, &by->a.row.id);
}

/* The task ends as a worker would end it. */
static void
finish(const struct answer *x, int status)
{
	char id[ID_TEXT];

	id_format(&x->a.row.id, id);
	pg_sql("insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at) "
	       "select id, bucket, 1, lane, %d, 1, 1, 0, now() from taskq.task where id = '%s'",
	    status, id);
	pg_sql("delete from taskq.ready where lo = '%s'", id);
}

static void
test_live(void)
{
	struct answer first = submit("[1]", "l1", "live", TASK_HOLD_LIVE, 0), x, other;
	struct task_request r = request("[1]", "live", TASK_HOLD_LIVE, 0);

	ok(accepted(&first), "the first has the name: %s", first.why);
	is_str(pg_sql("select count(*) || ' ' || sum(n) from taskq.ready"), "1 1", "and is ready");
	x = submit("[1]", "l2", "live", TASK_HOLD_QUEUED, 0);
	ok(held(&x, &first), "the second is told who");
	is_int(x.a.hold, TASK_HOLD_LIVE, "and for how long");
	is_str(pg_sql("select count(*) from taskq.task"), "1", "nothing was stored");
	is_str(pg_sql("select count(*) from taskq.idem"), "1", "its key neither");
	x = submit("[1]", "l1", "live", TASK_HOLD_LIVE, 0);
	ok(x.a.verdict == STORE_REPLAYED && id_eq(&x.a.row.id, &first.a.row.id), "the first key again is a replay");
	x = submit("[2]", "l1", "live", TASK_HOLD_LIVE, 0);
	ok(x.a.verdict == STORE_MISMATCH, "and with another body a mismatch");
	x = submit("[1]", "l3", "another", TASK_HOLD_LIVE, 0);
	ok(accepted(&x), "another name is free");
	post(&r, "u", "l1", &other);
	pg_wait(&other.done);
	ok(accepted(&other), "so is the name of another tenant");
	finish(&first, 1);
	x = submit("[1]", "l1", "live", TASK_HOLD_LIVE, 0);
	ok(x.a.verdict == STORE_REPLAYED, "a replay does not take a name that is free");
	x = submit("[1]", "l2", "live", TASK_HOLD_LIVE, 0);
	ok(accepted(&x), "when the first has ended the refused one may come again, with its key");
	is_str(pg_sql("select count(*) from taskq.uniq"), "3", "a name has one row");
}

static void
test_queued(void)
{
	struct answer first = submit("[3]", "q1", "queued", TASK_HOLD_QUEUED, 0), x;
	char id[ID_TEXT];

	id_format(&first.a.row.id, id);
	x = submit("[3]", "q2", "queued", TASK_HOLD_QUEUED, 0);
	ok(accepted(&first) && held(&x, &first), "while it is queued");
	pg_sql("insert into taskq.lease select lo, 5, bucket, hi, lane, prio, 1, 0, 0, 0, 0, false from taskq.ready "
	       "where lo = "
	       "'%s'",
	    id);
	pg_sql("delete from taskq.ready where lo = '%s'", id);
	x = submit("[3]", "q2", "queued", TASK_HOLD_QUEUED, 0);
	ok(accepted(&x), "not when it has started");
	pg_sql("delete from taskq.lease where lo = '%s'", id);
}

static void
test_window(void)
{
	struct answer first = submit("[4]", "w1", "window", TASK_HOLD_WINDOW, 60 * CLOCK_SECOND), x;

	finish(&first, 1);
	x = submit("[4]", "w2", "window", TASK_HOLD_WINDOW, 60 * CLOCK_SECOND);
	ok(accepted(&first) && held(&x, &first), "a window is held also when its task has ended");
	is_int(x.a.held_until, first.a.row.created_at + 60 * CLOCK_SECOND, "until its time from acceptance");
	pg_sql("update taskq.uniq set until = now() - interval '1 s' where hold = 3");
	x = submit("[4]", "w2", "window", TASK_HOLD_LIVE, 0);
	ok(accepted(&x), "not longer");
}

static void
test_later(void)
{
	struct task_request r = request("[5]", "later", TASK_HOLD_QUEUED, 0);
	struct answer first, x;

	r.delay = 3600 * CLOCK_SECOND;
	post(&r, "t", "d1", &first);
	pg_wait(&first.done);
	ok(accepted(&first) && first.a.row.run_at == first.a.row.created_at + 3600 * CLOCK_SECOND, "a delayed one");
	is_str(pg_sql("select count(*) from taskq.waiting"), "1", "waits");
	x = submit("[5]", "d2", "later", TASK_HOLD_QUEUED, 0);
	ok(held(&x, &first), "and has its name meanwhile");
}

#define MANY 40

/* Some with names, some without, in one turn of the loop. */
static void
test_many(void)
{
	static struct task_request r[2 * MANY];
	static struct answer x[2 * MANY];
	static char keys[2 * MANY][16];
	int i, stored = 0, refused = 0, plain = 0;

	for (i = 0; i < 2 * MANY; i++) {
		r[i] = request("[6]", i % 2 == 0 ? "" : "many", TASK_HOLD_LIVE, 0);
		snprintf(keys[i], sizeof(keys[i]), "m%d", i);
		post(&r[i], "t", keys[i], &x[i]);
	}
	for (i = 0; i < 2 * MANY; i++) {
		pg_wait(&x[i].done);
		plain += i % 2 == 0 && accepted(&x[i]);
		stored += i % 2 == 1 && accepted(&x[i]);
		refused += x[i].a.status == STORE_OK && x[i].a.verdict == STORE_NOT_UNIQUE;
	}
	is_int(plain, MANY, "those without a name are stored");
	is_int(stored, 1, "of those with one name one");
	is_int(refused, MANY - 1, "and the others are told");
}

/* Every way to lose the line: stored once, and known as mine. */
static void
test_cuts(void)
{
	static const char modes[] = "aarara";
	struct answer first, x;
	char key[16], name[16];
	size_t i;
	int good = 0;

	for (i = 0; modes[i] != '\0'; i++) {
		snprintf(key, sizeof(key), "c%zu", i);
		snprintf(name, sizeof(name), "cut%zu", i);
		proxy_order(modes[i], "[7]");
		x = submit("[7]", key, name, TASK_HOLD_LIVE, 0);
		good += accepted(&x);
	}
	is_int(good, (int)i, "a cut before or after the commit: accepted, not held by oneself");
	is_str(
	    pg_sql(
		"select count(*) || ' ' || count(distinct u.digest) from taskq.task t join taskq.uniq u on u.id = t.id "
		"where t.payload = '[7]'"),
	    "6 6", "stored once, each with its name");
	first = submit("[8]", "c-first", "cut", TASK_HOLD_LIVE, 0);
	proxy_order('a', "[8]");
	x = submit("[8]", "c-second", "cut", TASK_HOLD_LIVE, 0);
	is_int(x.a.status, STORE_UNSURE, "held, after a cut: the first try may have it yet");
	x = submit("[8]", "c-second", "cut", TASK_HOLD_LIVE, 0);
	ok(held(&x, &first), "the same again tells");
}

static void
test_lock(void)
{
	PGconn *other = PQconnectdb(pg_conninfo);
	struct task_request plain = request("[9]", "", TASK_HOLD_NONE, 0),
			    r = request("[9]", "locked", TASK_HOLD_LIVE, 0);
	struct id digest = task_key_digest(SPAN("t"), SPAN("locked"));
	struct answer x, y, z;
	char text[ID_TEXT];

	id_format(&digest, text);
	is_str(pg_wait_sql("2",
		   "select count(*) from pg_stat_activity where datname = current_database() and application_name "
		   "like '%submit%' and state = 'idle'"),
	    "2", "two connections");
	pg_say(other, "begin");
	pg_say(other, "insert into taskq.uniq values ('%s', %d, '%s', 2, null)", text,
	    task_key_bucket(SPAN("t"), SPAN("locked")), text);
	post(&r, "t", "k1", &x);
	post(&r, "t", "k3", &z);
	is_str(pg_wait_sql("1", "select count(*) from pg_stat_activity where datname = current_database() and "
				"application_name like '%submit%' and wait_event_type = 'Lock'"),
	    "1", "one waits");
	post(&plain, "t", "k2", &y);
	pg_wait(&y.done);
	ok(accepted(&y) && !x.done && !z.done, "those who wait for a name leave a connection to the others");
	pg_wait(&x.done);
	ok(x.a.status == STORE_OK && x.a.verdict == STORE_BUSY, "a name that somebody is taking is busy");
	pg_say(other, "rollback");
	PQfinish(other);
	pg_wait(&z.done);
}

/* The only connection goes round. */
static void
test_turns(void)
{
	static struct task_request r[MANY];
	static struct answer x[MANY];
	static char keys[MANY][16];
	struct task_request plain = request("[12]", "", TASK_HOLD_NONE, 0);
	struct answer y;
	int i, stored = 0;

	for (i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "turn %d", i);
		r[i] = request("[12]", keys[i], TASK_HOLD_LIVE, 0);
		post(&r[i], "t", keys[i], &x[i]);
	}
	post(&plain, "t", "turn", &y);
	pg_wait(&y.done);
	ok(accepted(&y) && !x[MANY - 1].done, "those with a name do not all go first");
	for (i = 0; i < MANY; i++) {
		pg_wait(&x[i].done);
		stored += accepted(&x[i]);
	}
	is_int(stored, MANY, "and all are stored");
}

static void
test_poison(void)
{
	struct task_request r = request("[10]", "poison", TASK_HOLD_LIVE, 0);
	struct answer x;

	r.run_at = INT64_C(-300000000000) * CLOCK_SECOND; /* before the calendar of the server begins */
	post(&r, "t", "p1", &x);
	pg_wait(&x.done);
	ok(x.a.status == STORE_OK && x.a.verdict == STORE_UNSTORABLE, "a poison row is refused, for good: %s", x.why);
	x = submit("[10]", "p1", "poison", TASK_HOLD_LIVE, 0);
	ok(accepted(&x), "and leaves neither key nor name behind");
}

static int64_t purged;
static bool purge_done;

static void
on_purged(void *arg UNUSED, enum store_status status, int64_t count, int64_t next UNUSED)
{
	purged = status == STORE_OK ? count : -1;
	purge_done = true;
}

static int
purge(void)
{
	purge_done = false;
	store_purge_names(store, on_purged, NULL);
	pg_wait(&purge_done);
	return (int)purged;
}

static void
test_purge(void)
{
	struct answer live, ended, started, window, x;
	int turns, gone;

	while (purge() > 0)
		;
	live = submit("[11]", "g1", "purge live", TASK_HOLD_LIVE, 0);
	ended = submit("[11]", "g2", "purge ended", TASK_HOLD_LIVE, 0);
	started = submit("[11]", "g3", "purge cancelled", TASK_HOLD_QUEUED, 0);
	window = submit("[11]", "g4", "purge window", TASK_HOLD_WINDOW, 3600 * CLOCK_SECOND);
	finish(&ended, 2);
	finish(&started, 3);
	finish(&window, 1);
	is_int(purge(), 2, "names that nobody holds go");
	x = submit("[11]", "g5", "purge live", TASK_HOLD_LIVE, 0);
	ok(held(&x, &live), "not those of live tasks");
	x = submit("[11]", "g6", "purge window", TASK_HOLD_LIVE, 0);
	ok(held(&x, &window), "nor windows that last");
	pg_sql("insert into taskq.uniq select gen_random_uuid(), 1, gen_random_uuid(), 3, '-infinity' from "
	       "generate_series(1, 2500)");
	for (turns = gone = 0; gone < 2500 && turns < 20; turns++)
		gone += purge();
	is_int(gone, 2500, "many go");
	ok(turns > 1, "in several stretches");
}

int
main(void)
{
	struct store_options o = { .node = "n1", .submit_connections = 2, .keeper = true };

	pg_begin_whole("unique", PG_CUT);
	pg_conf.postgres.lock_timeout = 3 * CLOCK_SECOND; /* enough for all that goes past a lock */
	store = pg_open(&o);
	test_live();
	test_queued();
	test_window();
	test_later();
	test_many();
	test_cuts();
	test_lock();
	test_poison();
	test_purge();
	store_close(&store);
	o.submit_connections = 1;
	store = pg_open(&o);
	test_turns();
	store_close(&store);
	return pg_end();
}
