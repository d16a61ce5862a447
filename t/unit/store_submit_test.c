/* store_submit_test.c - one task for each key, whatever happens to the line. */
#include "store_pg.h"

static struct store *store;

struct answer {
	bool done;
	int calls;
	struct store_submitted a;
	char queue[80], payload[200], why[200], schema[20];
};

static void
on_answer(void *arg, const struct store_submitted *a)
{
	struct answer *x = arg;

	x->calls++;
	x->a = *a;
	snprintf(x->queue, sizeof(x->queue), "%.*s", (int)a->row.queue.len,
	    a->row.queue.ptr != NULL ? a->row.queue.ptr : "");
	snprintf(x->payload, sizeof(x->payload), "%.*s", (int)a->row.payload.len,
	    a->row.payload.ptr != NULL ? a->row.payload.ptr : "");
	snprintf(x->schema, sizeof(x->schema), "%.*s", (int)a->row.schema_version.len,
	    a->row.schema_version.ptr != NULL ? a->row.schema_version.ptr : "");
	snprintf(x->why, sizeof(x->why), "%s", a->why != NULL ? a->why : "");
	x->done = true;
}

static struct task_request
request(const char *type, const char *payload, int priority)
{
	struct task_request r = { .task_type = span_of(type),
		.queue = SPAN("default"),
		.payload = span_of(payload),
		.max_attempts = 5,
		.priority = priority,
		.schema_version = SPAN("v2"),
		.nlabels = 1 };

	r.labels[0] = (struct task_label){ SPAN("color"), SPAN("red") };
	digest_sha256(payload, strlen(payload), r.fingerprint);
	return r;
}

static void
post(const struct task_request *r, const char *key, int64_t wait, struct answer *x)
{
	struct store_submission in = { .request = r,
		.surface = TASK_SURFACE_V1,
		.tenant = SPAN("t"),
		.key = span_of(key),
		.deadline = clock_now() + wait };

	*x = (struct answer){ 0 };
	store_submit(store, &in, on_answer, x);
}

static const struct answer *
submit(const char *type, const char *payload, const char *key)
{
	static struct answer x;
	struct task_request r = request(type, payload, 0);

	post(&r, key, PATIENCE, &x);
	pg_wait(&x.done);
	return &x;
}

static void
test_keys(void)
{
	struct answer first = *submit("sum", "{\"a\":1}", "k1"), x;

	ok(first.a.status == STORE_OK && first.a.verdict == STORE_ACCEPTED, "a new key is accepted");
	is_str(first.queue, "default", "with its queue");
	ok(first.a.row.created_at != 0 && first.a.expires_at == first.a.row.created_at + pg_conf.keys.ttl,
	    "and its times");
	x = *submit("sum", "{\"a\":1}", "k1");
	ok(x.a.verdict == STORE_REPLAYED && id_eq(&x.a.row.id, &first.a.row.id), "the same again is a replay");
	is_int(x.a.row.created_at, first.a.row.created_at, "with the same creation");
	is_str(x.payload, "{\"a\":1}", "and the same body");
	ok(x.a.row.nlabels == 1, "its labels");
	is_str(x.schema, "v2", "and its schema version");
	x = *submit("sum", "{\"a\":2}", "k1");
	ok(x.a.verdict == STORE_MISMATCH && id_eq(&x.a.row.id, &first.a.row.id),
	    "another body is a mismatch and names the first");
	x = *submit("sum", "{\"a\":1}", NULL);
	ok(x.a.verdict == STORE_ACCEPTED, "without a key");
	x = *submit("sum", "{\"a\":1}", NULL);
	ok(x.a.verdict == STORE_ACCEPTED, "never a replay");
	is_str(pg_sql("select count(*) from taskq.task"), "3", "three tasks are stored");
	is_str(pg_sql("select sum(n) from taskq.ready"), "3", "and ready");
}

#define MANY 700

static void
test_batch(void)
{
	static struct answer x[MANY];
	static struct task_request r[MANY];
	static char keys[MANY][16];
	int i, accepted = 0, replayed = 0, mismatched = 0;

	for (i = 0; i < MANY; i++) {
		r[i] = request(i % 3 == 0 ? "odd" : "even", i % 100 == 99 ? "[9]" : "[1]", i % 2);
		snprintf(keys[i], sizeof(keys[i]), "b%d", i % 600);
		if (i >= 600)
			r[i] = r[i - 600];
		if (i == 650)
			r[i] = request("odd", "[10]", 0);
		if (i == 7)
			r[i].run_at = clock_wall() + 3600 * CLOCK_SECOND;
		post(&r[i], keys[i], PATIENCE, &x[i]);
	}
	for (i = 0; i < MANY; i++) {
		pg_wait(&x[i].done);
		accepted += x[i].a.status == STORE_OK && x[i].a.verdict == STORE_ACCEPTED;
		replayed += x[i].a.status == STORE_OK && x[i].a.verdict == STORE_REPLAYED;
		mismatched += x[i].a.status == STORE_OK && x[i].a.verdict == STORE_MISMATCH;
		if (x[i].calls != 1)
			break;
	}
	is_int(i, MANY, "each is answered once");
	is_int(accepted, 600, "one task for each key of a batch");
	is_int(replayed, 99, "the others of the key are replays");
	is_int(mismatched, 1, "or a mismatch");
	is_str(pg_sql("select count(*) from taskq.waiting"), "1", "the delayed one waits");
	is_str(pg_sql("select sum(r.n) = 602 and max(taskq.pos(hi) - taskq.pos(lo)) < 100 from taskq.ready r"), "t",
	    "the others are in ranges of at most a hundred");
	is_str(pg_sql("select count(*) from taskq.task t where 1 <> (select count(*) from taskq.ready r where t.id "
		      "between r.lo and r.hi "
		      "and r.lane = t.lane and r.prio = t.prio) and not exists (select from taskq.waiting w where w.id "
		      "= t.id)"),
	    "0", "each in exactly one of its lane and priority");
}

/* Every way to lose the line: the task is stored once, and the caller learns that it is his. */
static void
test_cuts(void)
{
	static const char modes[] = "aaararra";
	struct answer x;
	char key[16];
	size_t i;
	int good = 0;

	for (i = 0; modes[i] != '\0'; i++) {
		snprintf(key, sizeof(key), "c%zu", i);
		proxy_order(modes[i], "[3]");
		x = *submit("sum", "[3]", key);
		good += x.a.status == STORE_OK && x.a.verdict == STORE_ACCEPTED;
	}
	is_int(good, (int)i, "a cut before or after the commit: accepted, not a replay");
	is_str(pg_sql("select count(*) from taskq.task where payload = '[3]'"), "8", "and stored once");
	proxy_order('a', "[3]");
	x = *submit("sum", "[3]", NULL);
	ok(x.a.verdict == STORE_ACCEPTED, "without a key as well");
	is_str(pg_sql("select count(*) from taskq.task where payload = '[3]'"), "9", "once");
}

/* A batch of which a key was known goes twice, for its first answer was cut, and between the two tries that key is purged: the task in the
 * middle is new to the second try only.  `also` is what became meanwhile of the ranges of the first. */
static void
purged_between(const char *payload, const char *also)
{
	static const char *const names[] = { "left", "known", "right" };
	struct task_request r = request("sum", payload, 0);
	char keys[3][32], text[ID_TEXT];
	struct answer x[3];
	struct id digest;
	int i, accepted = 0;

	for (i = 0; i < 3; i++)
		snprintf(keys[i], sizeof(keys[i]), "%s%s", names[i], payload);
	digest = task_key_digest(SPAN("t"), span_of(keys[1]));
	id_format(&digest, text);
	x[1] = *submit("sum", payload, keys[1]);
	pg_sql("create function public.purge() returns trigger language plpgsql as $$ begin "
	       "if (select count(*) from taskq.task where payload = '%s') = 3 then delete from taskq.idem where digest "
	       "= '%s'; "
	       "%s; end if; return null; end $$",
	    payload, text, also);
	is_str(
	    pg_sql(
		"create trigger purge after insert on taskq.ready for each statement execute function public.purge()"),
	    "", "a key that goes with the next commit");
	proxy_order('a', payload);
	for (i = 0; i < 3; i++)
		post(&r, keys[i], PATIENCE, &x[i]);
	for (i = 0; i < 3; i++) {
		pg_wait(&x[i].done);
		accepted += x[i].a.status == STORE_OK && x[i].a.verdict == STORE_ACCEPTED;
	}
	proxy_order('n', "");
	is_int(accepted, 3, "a batch that went twice, its known key purged between: all are accepted");
	is_str(pg_sql("select count(*) from taskq.task where payload = '%s'", payload), "4", "and stored once");
	pg_sql("drop trigger purge on taskq.ready; drop function public.purge");
}

static void
test_purged_between(void)
{
	const char *const covered =
	    "select string_agg((select count(*) from taskq.ready r where t.id between r.lo and r.hi)::text, ' ' "
	    "order by t.id) from taskq.task t where payload = '%s'";

	purged_between("[68]", "null");
	is_str(pg_sql(covered, "[68]"), "1 1 1 1", "each is in one range");
	purged_between("[69]", "delete from taskq.ready r using taskq.task t where t.id = r.lo and t.payload = '[69]'");
	is_str(pg_sql(covered, "[69]"), "0 0 0 1", "those that ran meanwhile are in none");
}

static void
test_deadlines(void)
{
	struct task_request r = request("sum", "[4]", 0);
	struct answer x;

	proxy_order('h', "");
	post(&r, "d1", 300 * CLOCK_MS, &x);
	pg_wait(&x.done);
	is_int(x.a.status, STORE_UNSURE, "no answer in time: unsure");
	proxy_order('n', "");
	is_str(pg_wait_sql("1", "select count(*) from taskq.task where payload = '[4]'"), "1", "it was stored");
	x = *submit("sum", "[4]", "d1");
	ok(x.a.status == STORE_OK && x.a.verdict == STORE_REPLAYED, "the same again tells that it was stored");
}

/* A request belongs to its caller: after his answer a batch that goes again goes without it. */
static void
test_caller_gone(void)
{
	struct task_request r = request("sum", "[67]", 0), gone = r;
	struct answer x, y;

	proxy_order('h', "");
	post(&gone, "gone", 300 * CLOCK_MS, &x);
	post(&r, "stays", PATIENCE, &y);
	pg_wait(&x.done);
	is_int(x.a.status, STORE_UNSURE, "one of a batch is answered by its deadline");
	gone =
	    (struct task_request){ .payload = { (const char *)8, 8 }, .queue = { (const char *)8, 8 }, .nlabels = 99 };
	proxy_order('r', "[67]");
	pg_wait(&y.done);
	ok(y.a.status == STORE_OK && y.a.verdict == STORE_ACCEPTED, "the other goes again without it");
	is_str(pg_sql("select count(*) from taskq.task where payload = '[67]'"), "1", "and is stored once");
}

/* Somebody else, who has written this key and has not committed. */
static PGconn *
key_held(const char *key)
{
	PGconn *other = PQconnectdb(pg_conninfo);
	struct id digest = task_key_digest(SPAN("t"), span_of(key));
	char text[ID_TEXT];

	id_format(&digest, text);
	pg_say(other, "begin");
	pg_say(other, "insert into taskq.idem values ('%s', %d, '\\x%064d', '%s', 1, 1, now() + '1 day')", text,
	    task_key_bucket(SPAN("t"), span_of(key)), 0, text);
	return other;
}

static void
test_lock(void)
{
	PGconn *other = key_held("l1");
	struct task_request r = request("sum", "[5]", 0), q = request("sum", "[55]", 0);
	struct answer x, y, z, same, differs;

	post(&r, "l0", PATIENCE, &x);
	post(&r, "l1", PATIENCE, &y);
	post(&r, "l1", PATIENCE, &same);
	post(&q, "l1", PATIENCE, &differs);
	post(&r, "l2", PATIENCE, &z);
	pg_wait(&x.done);
	pg_wait(&z.done);
	ok(!y.done, "and ends while that waits alone");
	pg_wait(&y.done);
	ok(x.a.verdict == STORE_ACCEPTED && z.a.verdict == STORE_ACCEPTED, "a locked key does not hold its batch");
	ok(y.a.status == STORE_OK && y.a.verdict == STORE_BUSY, "and is busy itself");
	ok(same.a.verdict == STORE_BUSY && differs.a.verdict == STORE_BUSY,
	    "and so are others of its key, whatever they say");
	pg_say(other, "rollback");
	PQfinish(other);
}

/* A caller who has had his answer when the lock is met is waited for by nobody. */
static void
test_lock_late(void)
{
	PGconn *other = key_held("late");
	struct task_request gone = request("sum", "[66]", 0);
	struct answer x;

	proxy_order('h', "");
	post(&gone, "late", 300 * CLOCK_MS, &x);
	pg_wait(&x.done);
	is_int(x.a.status, STORE_UNSURE, "who asked for a locked key is answered by his deadline");
	gone =
	    (struct task_request){ .payload = { (const char *)8, 8 }, .queue = { (const char *)8, 8 }, .nlabels = 99 };
	proxy_order('n', "");
	x = *submit("sum", "[66]", "other");
	ok(x.a.verdict == STORE_ACCEPTED, "others go on");
	(void)pg_wait_sql("0",
	    "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'taskqd "
	    "submit' and state <> 'idle'");
	pg_say(other, "rollback");
	PQfinish(other);
	x = *submit("sum", "[66]", "late");
	ok(x.a.status == STORE_OK && x.a.verdict != STORE_BUSY, "and so does he, when he asks again");
}

/* The same when the line is cut as well: the neighbours do not share the doubt for long. */
static void
test_lock_in_doubt(void)
{
	PGconn *other = key_held("w1");
	struct task_request r = request("sum", "[65]", 0);
	struct answer x, y, z;

	proxy_order('r', "[65]");
	post(&r, "w0", PATIENCE, &x);
	post(&r, "w1", PATIENCE, &y);
	post(&r, "w2", PATIENCE, &z);
	pg_wait(&x.done);
	pg_wait(&z.done);
	ok(!y.done, "a locked key and a cut: the neighbours are answered before the deadline");
	ok(x.a.verdict == STORE_ACCEPTED && z.a.verdict == STORE_ACCEPTED, "and stored");
	pg_say(other, "rollback");
	PQfinish(other);
	pg_wait(&y.done);
	ok(y.a.status == STORE_OK && y.a.verdict == STORE_ACCEPTED, "and so is the key, once it is free");
}

static void
test_poison(void)
{
	struct task_request good = request("sum", "[6]", 0), bad = request("sum", "[6]", 0);
	struct answer x, y, z;

	bad.run_at = INT64_C(-300000000000) * CLOCK_SECOND; /* before the calendar of the server begins */
	post(&good, "p0", PATIENCE, &x);
	post(&bad, "p1", PATIENCE, &y);
	post(&good, "p2", PATIENCE, &z);
	pg_wait(&x.done);
	pg_wait(&y.done);
	pg_wait(&z.done);
	ok(x.a.verdict == STORE_ACCEPTED && z.a.verdict == STORE_ACCEPTED, "a poison row does not spoil its batch");
	ok(y.a.status == STORE_OK && y.a.verdict == STORE_UNSTORABLE, "it alone is refused, for good: %s", y.why);
}

static void
test_close(void)
{
	struct task_request r = request("sum", "[7]", 0);
	struct answer x;

	post(&r, "z1", PATIENCE, &x);
	store_close(&store);
	is_int(x.calls, 1, "closing answers what is open");
	is_int(x.a.status, STORE_FAILED, "it was not sent");
}

/* Behind a pooler that cannot have names: switched off, or found out. */
static void
test_unnamed(const struct store_options *o)
{
	struct answer x;

	pg_conf.postgres.prepare = false;
	store = store_open(o);
	pg_wait_ready(store);
	x = *submit("sum", "[8]", "u1");
	ok(x.a.verdict == STORE_ACCEPTED, "without named statements");
	store_close(&store);
	pg_conf.postgres.prepare = true;
	store = store_open(o);
	pg_wait_ready(store);
	x = *submit("sum", "[8]", "u2");
	ok(x.a.verdict == STORE_ACCEPTED, "with them");
	proxy_order('x', "[8]");
	x = *submit("sum", "[8]", "u3");
	ok(x.a.verdict == STORE_ACCEPTED, "a name that the server does not know: without, from then on");
	x = *submit("sum", "[8]", "u4");
	ok(x.a.verdict == STORE_ACCEPTED, "again");
	store_close(&store);
}

int
main(void)
{
	struct store_options o = { .node = "n1", .submit_connections = 2 };

	pg_begin_whole("submit", PG_CUT);
	store = pg_open(&o);
	test_keys();
	test_batch();
	test_cuts();
	test_deadlines();
	test_caller_gone();
	test_lock();
	test_lock_late();
	test_lock_in_doubt();
	test_poison();
	is_str(pg_sql("select count(*) from taskq.task t where not exists (select from taskq.ready r where t.id "
		      "between r.lo and r.hi) "
		      "and not exists (select from taskq.waiting w where w.id = t.id)"),
	    "0", "no task is nowhere");
	test_purged_between();
	test_close();
	test_unnamed(&o);
	return pg_end();
}
