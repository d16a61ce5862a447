/* store_pull_test.c - leases of clients: claimed one by one, extended, ended by every word, lapsed; on whole lines and on lines that are
 * cut. */
#include "store_pg.h"

#define MANY 40

static struct store *store;
static struct conf_handler handlers[3];

static struct {
	bool done;
	enum store_status status;
	int n;
	bool more;
	struct store_saying sayings[MANY];
	int attempts[MANY];
	enum store_heard heard[MANY];
	enum store_outcome_kind kinds[MANY];
	int64_t until[MANY];
	int64_t count;
} got;

/* --- what the store asks: nothing said is a crash, anything said is what it says -------------------------------------------------- */

static bool
judge(void *arg, const struct conf *c, struct arena *a, const struct store_held *h, struct span report,
    struct store_outcome *o)
{
	struct task_failure *f = arena_alloc(a, sizeof(*f));

	(void)arg;
	(void)c;
	o->failure = f;
	o->crash = report.ptr == NULL;
	o->charge = !o->crash;
	f->class = o->crash ? TASK_CRASH : TASK_TRANSIENT;
	snprintf(f->code, sizeof(f->code), "%s", o->crash ? "LEASE_EXPIRED" : "HANDLER_FAILED");
	o->reason = "RETRY_EXHAUSTED";
	o->kind = h->crashes + h->attempts > 0 ? STORE_BURY : STORE_RETRY;
	return false;
}

struct asked {
	const char *queue;
	struct span type;
	int max;
	const struct store_limits *limits;
};

/* --- asking, and waiting for the answer -------------------------------------------------------------------------------------------- */

static void
on_pulled(void *arg, const struct store_pulled *p)
{
	(void)arg;
	got.done = true;
	got.status = p->status;
	got.n = p->ntasks;
	got.more = p->status == STORE_OK && p->full[0];
	for (int i = 0; i < p->ntasks && i < MANY; i++) {
		got.sayings[i] = (struct store_saying){
			.id = p->tasks[i].row.id, .lease_id = p->tasks[i].lease.lease_id, .percent = -1
		};
		got.attempts[i] = p->tasks[i].attempts;
		got.until[i] = p->times[i].until - p->times[i].at;
	}
}

/* All heads that the look shows, in one turn, the best first. */
static void
on_looked(void *arg, const struct store_look *look)
{
	struct asked *a = arg;
	struct store_probe probes[MANY];
	struct store_lane heads[MANY];
	struct store_pull in = {
		.queue = span_of(a->queue), .probes = probes, .heads = heads, .turns = &a->max, .nturns = 1
	};
	int at;

	got.more = false;
	for (int i = 0; i < look->nlanes && i < MANY; i++) {
		const struct store_lane *l = &look->lanes[i];

		if (a->type.len > 0 && !span_eq(a->type, l->task_type))
			continue;
		for (at = in.nprobes++; at > 0 && heads[at - 1].prio > l->prio; at--)
			heads[at] = heads[at - 1];
		heads[at] = *l;
	}
	for (int i = 0; i < in.nprobes; i++)
		probes[i] = (struct store_probe){
			.lane = heads[i].lane, .prio = heads[i].prio, .below = heads[i].prio + 1, .mark = heads[i].head
		};
	in.exact = a->limits;
	got.status = look->status;
	got.n = 0;
	got.done = in.nprobes == 0;
	if (in.nprobes > 0)
		store_pull(store, &in, on_pulled, NULL);
}

static int
ask(struct asked a)
{
	got.done = false;
	store_pull_look(store, span_of(a.queue), 0, on_looked, &a);
	pg_wait(&got.done);
	return got.status == STORE_OK ? got.n : -1;
}

static int
pull_of(const char *queue, struct span type, int max)
{
	return ask((struct asked){ queue, type, max, NULL });
}

static int
pull(const char *queue, int max)
{
	return pull_of(queue, (struct span){ "", 0 }, max);
}

static void
on_said(void *arg, enum store_status status, const struct store_reply *replies, int n)
{
	(void)arg;
	got.done = true;
	got.status = status;
	for (int i = 0; i < n && status == STORE_OK; i++) {
		got.heard[i] = replies[i].heard;
		got.kinds[i] = replies[i].kind;
		got.until[i] = replies[i].until;
	}
}

static enum store_heard
say(enum store_word word, const struct store_saying *s, int n)
{
	got.done = false;
	store_say(store, word, s, n, on_said, NULL);
	pg_wait(&got.done);
	is_int(got.status, STORE_OK, "word %d: answered", (int)word);
	return got.heard[0];
}

static void
on_count(void *arg, enum store_status status, int64_t count, int64_t next)
{
	(void)arg;
	(void)next;
	got.done = true;
	got.status = status;
	got.count = count;
}

static int64_t
count_of(void (*verb)(struct store *s, store_count_fn *fn, void *arg))
{
	got.done = false;
	verb(store, on_count, NULL);
	pg_wait(&got.done);
	return got.count;
}

static void
on_row(void *arg, enum store_status status, const struct task_row *row)
{
	(void)arg;
	got.done = true;
	got.status = status;
	got.n = row != NULL ? (int)row->state : -1;
}

static int
state_of(const struct store_saying *s)
{
	got.done = false;
	store_get(store, &s->id, on_row, NULL);
	pg_wait(&got.done);
	return got.n;
}

static void
cancel(const struct store_saying *s)
{
	got.done = false;
	store_cancel(store, &s->id, &nobody, on_row, NULL);
	pg_wait(&got.done);
}

static void
submit(const char *queue, const char *type, int priority, int n)
{
	struct task_request r = { .task_type = span_of(type),
		.queue = span_of(queue),
		.payload = SPAN("{}"),
		.max_attempts = 3,
		.priority = priority };

	ok(pg_submit(store, &r, n), "%d tasks of type %s", n, type);
}

/* --- the tests --------------------------------------------------------------------------------------------------------------------------- */

static void
check_leases(const char *want, const char *when)
{
	is_str(pg_sql("select count(*) from taskq.lease"), want, "%s: leases", when);
	is_str(pg_sql("select count(*) from taskq.task t where 1 <> "
		      "(select count(*) from taskq.done d where d.id = t.id) + "
		      "(select count(*) from taskq.dead d where d.id = t.id and d.resolution is null) + "
		      "(select count(*) from taskq.waiting w where w.id = t.id) + "
		      "(select count(*) from taskq.ready r where t.id between r.lo and r.hi) + "
		      "(select count(*) from taskq.lease l where t.id between l.lo and l.hi "
		      "and not exists (select from taskq.done d where d.id = t.id) "
		      "and not exists (select from taskq.tried x where x.id = t.id and x.lease_id = l.lease_id))"),
	    "0", "%s: each task is in one place", when);
}

static void
test_claim(void)
{
	struct store_saying first[MANY];

	is_int(pull("nobody", 5), 0, "an unknown queue has nothing");
	submit("a", "one", 0, 6);
	submit("a", "two", 9, 1);
	submit("a", "exec", 0, 1);
	is_int(pull("a", 3), 3, "as many as asked");
	memcpy(first, got.sayings, sizeof(first));
	is_str(pg_sql("select k.name from taskq.lease l join taskq.lane n on n.id = l.lane join taskq.kind k on k.id = "
		      "n.kind_id "
		      "where l.prio = -9"),
	    "two", "the urgent one among them");
	is_str(pg_sql("select count(*) || ' ' || bool_and(lo = hi and worker = 0 and until > now()) from taskq.lease"),
	    "3 true", "each a lease of its own");
	is_int(got.until[0] / CLOCK_SECOND, 60, "for the usual time");
	is_int(pull_of("a", SPAN("two"), 5), 0, "no more of that type");
	is_int(pull("a", 20), 4, "the rest, without what workers run");
	is_int(say(STORE_WORD_RETURN, got.sayings, 4), STORE_HEARD, "given back unseen");
	is_int(say(STORE_WORD_RETURN, first, 3), STORE_HEARD, "these too");
	check_leases("0", "given back");
	is_int(pull("a", 20), 7, "and claimed again");
	is_str(pg_sql("select max(run) || '/' || max(attempts) from taskq.lease"), "0/0", "as never begun");
	is_int(say(STORE_WORD_COMPLETE, got.sayings, 7), STORE_HEARD, "completed");
	check_leases("0", "completed");
}

/* What is counted is counted for all who claim, and one who counts is alone. */
static void
test_exact(void)
{
	struct store_limits two = { .concurrency = 2 };
	struct asked a = { "e", { "", 0 }, 5, &two };

	submit("e", "one", 0, 4);
	is_int(ask(a), 2, "no more than the limit");
	is_str(pg_sql("select count(*) || ' ' || bool_and(counted and worker = 0 and until > now()) from taskq.lease"),
	    "2 true", "counted, and each ends by itself");
	is_int(ask(a), 0, "none while they live");
	is_int(say(STORE_WORD_COMPLETE, got.sayings, 1), STORE_HEARD, "one ends");
	is_int(ask(a), 1, "and makes room");
	(void)pg_sql("update taskq.lease set until = now() - interval '1 s'");
	is_int((int)count_of(store_lapse), 2, "the two others fall silent");
	is_int(ask(a), 1, "and make room too");
	(void)pg_sql("delete from taskq.lease; delete from taskq.task t using taskq.lane l, taskq.queue q "
		     "where l.id = t.lane and q.id = l.queue_id and q.name = 'e'; delete from taskq.waiting; delete "
		     "from taskq.tried");
}

/* Ids that were nobody's are passed over. */
static void
test_holes(void)
{
	submit("h", "one", 0, 10);
	(void)pg_sql(
	    "delete from taskq.task t using taskq.lane l, taskq.queue q where l.id = t.lane and q.id = l.queue_id "
	    "and q.name = 'h' and taskq.pos(t.id) %% 2 = 0");
	int n = 0, turns = 0;

	do {
		if (pull("h", 3) > 0) {
			n += got.n;
			(void)say(STORE_WORD_COMPLETE, got.sayings, got.n);
			got.more = true;
		}
	} while (got.more && turns++ < 20);
	is_str(pg_sql("select count(*) from taskq.ready r join taskq.lane l on l.id = r.lane join taskq.queue q on "
		      "q.id = l.queue_id "
		      "where q.name = 'h'"),
	    "0", "no range is left");
	ok(n > 0 && turns < 20, "%d tasks between the holes", n);
	check_leases("0", "holes");
}

static void
test_words(void)
{
	struct store_saying s[MANY];

	submit("w", "one", 0, 8);
	is_int(pull("w", 8), 8, "eight");
	memcpy(s, got.sayings, sizeof(s));
	s[0].ttl = 3000 * CLOCK_SECOND;
	s[0].percent = 30;
	s[0].note = SPAN("thirty");
	is_int(say(STORE_WORD_HEARTBEAT, s, 1), STORE_HEARD, "a heartbeat");
	ok(got.until[0] > store_db_now(store) + 2000 * CLOCK_SECOND, "extends");
	is_str(pg_sql("select percent || note from taskq.progress"), "30thirty", "with progress");
	s[1].result = SPAN("{\"r\":1}");
	is_int(say(STORE_WORD_COMPLETE, &s[1], 1), STORE_HEARD, "complete");
	is_int(say(STORE_WORD_COMPLETE, &s[1], 1), STORE_HEARD, "and again");
	is_int(say(STORE_WORD_HEARTBEAT, &s[1], 1), STORE_HEARD_GONE, "then it is gone");
	is_int(say(STORE_WORD_FAIL, &s[1], 1), STORE_HEARD_GONE, "for failures too");
	s[2].report = SPAN("{}");
	is_int(say(STORE_WORD_FAIL, &s[2], 1), STORE_HEARD, "fail");
	is_int(got.kinds[0], STORE_RETRY, "is tried again");
	is_int(say(STORE_WORD_FAIL, &s[2], 1), STORE_HEARD, "may be said again");
	is_int(got.kinds[0], STORE_RETRY, "with the same answer");
	is_int(say(STORE_WORD_COMPLETE, &s[2], 1), STORE_HEARD_GONE, "but not taken back");
	s[3].delay = 3600 * CLOCK_SECOND;
	is_int(say(STORE_WORD_RELEASE, &s[3], 1), STORE_HEARD, "put off");
	is_int(state_of(&s[3]), TASK_WAITING, "waits");
	is_int(say(STORE_WORD_RELEASE, &s[3], 1), STORE_HEARD, "once");
	is_int(say(STORE_WORD_RELEASE, &s[4], 1), STORE_HEARD, "released");
	is_int(state_of(&s[4]), TASK_READY, "ready");
	is_int(say(STORE_WORD_RELEASE, &s[4], 1), STORE_HEARD_GONE, "gone then");
	cancel(&s[5]);
	is_int(say(STORE_WORD_HEARTBEAT, &s[5], 1), STORE_HEARD_CANCELLED, "a cancellation is told");
	is_int(say(STORE_WORD_COMPLETE, &s[5], 1), STORE_HEARD_CANCELLED, "whatever is said");
	is_int(state_of(&s[5]), TASK_CANCELLED, "and stays");
	s[6].lease_id++;
	is_int(say(STORE_WORD_COMPLETE, &s[6], 1), STORE_HEARD_GONE, "a lease of another name");
	s[6].lease_id--;
	check_leases("3", "words");
	(void)say(STORE_WORD_COMPLETE, s, 8);
	is_int(got.heard[0] == STORE_HEARD && got.heard[6] == STORE_HEARD && got.heard[7] == STORE_HEARD, true,
	    "the others in one");
	is_int(got.heard[2] == STORE_HEARD_GONE && got.heard[5] == STORE_HEARD_GONE, true, "with a verdict each");
	check_leases("0", "all said");
}

/* A worker's lease begins with the same id as a task's name: nothing that a client says may touch the rest of it. */
static void
test_not_ours(void)
{
	struct store_saying s = { .lease_id = 77, .percent = 5, .note = SPAN("") };

	submit("x", "exec", 0, 3);
	(void)pg_sql("with r as (delete from taskq.ready r using taskq.lane l, taskq.queue q where l.id = r.lane and "
		     "q.id = l.queue_id "
		     "and q.name = 'x' returning r.*) insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, "
		     "worker, run, attempts, "
		     "crashes, lost, amended) select lo, 77, bucket, hi, lane, prio, 5, 0, 0, 0, 0, false from r order "
		     "by lo limit 1");
	ok(id_parse(span_of(pg_sql("select lo from taskq.lease where lease_id = 77")), &s.id), "a worker has a range");
	is_int(say(STORE_WORD_COMPLETE, &s, 1), STORE_HEARD_OURS, "no client completes it");
	is_int(say(STORE_WORD_FAIL, &s, 1), STORE_HEARD_OURS, "nor fails it");
	is_int(say(STORE_WORD_RELEASE, &s, 1), STORE_HEARD_OURS, "nor gives it back");
	is_int(say(STORE_WORD_HEARTBEAT, &s, 1), STORE_HEARD, "but progress is told");
	is_str(pg_sql("select percent from taskq.progress where lease_id = 77"), "5", "and kept");
	is_str(pg_sql("select count(*) from taskq.lease where lease_id = 77 and until is null"), "1",
	    "the lease is as it was");
	(void)pg_sql(
	    "delete from taskq.lease where lease_id = 77; delete from taskq.task t using taskq.lane l, taskq.queue q "
	    "where l.id = t.lane and q.id = l.queue_id and q.name = 'x'");
}

static void
test_lapse(void)
{
	struct store_saying s[MANY];

	submit("l", "one", 0, 3);
	is_int(pull("l", 3), 3, "three");
	memcpy(s, got.sayings, sizeof(s));
	is_int((int)count_of(store_lapse), 0, "none has ended");
	(void)pg_sql("update taskq.lease set until = now() - interval '1 s'");
	is_int(say(STORE_WORD_HEARTBEAT, &s[0], 1), STORE_HEARD_GONE, "none is begun again");
	is_int(
	    say(STORE_WORD_COMPLETE, &s[0], 1), STORE_HEARD, "what was done in time is taken until it is given away");
	cancel(&s[1]);
	is_int((int)count_of(store_lapse), 1, "one lapses");
	check_leases("0", "lapsed");
	is_str(pg_sql("select crashes || '/' || attempts from taskq.waiting w where w.id = '%s'",
		   pg_sql("select id from taskq.tried where code = 'LEASE_EXPIRED'")),
	    "1/0", "as a crash");
	is_int(say(STORE_WORD_FAIL, &s[2], 1), STORE_HEARD_GONE, "who speaks then is too late");
	is_int(say(STORE_WORD_COMPLETE, &s[2], 1), STORE_HEARD_GONE, "whatever it says");
	(void)pg_sql("update taskq.waiting set due_at = now() - interval '1 s' where why = 2");
	ok(count_of(store_promote) >= 1, "it is due again");
	is_int(pull("l", 3), 1, "and leased");
	(void)pg_sql("update taskq.lease set until = now() - interval '1 s'");
	is_int((int)count_of(store_lapse), 1, "and lapses again");
	is_int(state_of(&s[2]), TASK_DEAD, "for the last time");
	is_int((int)count_of(store_reap), 0, "the reaper of workers takes none of this");
}

/* What is sent again must be heard as the first time. */
static void
test_cuts(void)
{
	struct store_saying s[MANY];
	static const char modes[] = "ra";
	int i;

	submit("c", "one", 0, 12);
	for (i = 0; i < 2; i++) {
		proxy_order(modes[i], "pull_claim");
		is_int(pull("c", 1), -1, "a claim that is cut is not known: %c", modes[i]);
		is_int(got.status, STORE_UNSURE, "and says so");
	}
	(void)pg_sql("update taskq.lease set until = now() - interval '1 s'");
	is_int((int)count_of(store_lapse), 1, "what nobody has seen comes back");
	is_int(pull("c", 11), 11, "the others");
	memcpy(s, got.sayings, sizeof(s));
	for (i = 0; i < 2; i++) {
		proxy_order(modes[i], "finish");
		is_int(say(STORE_WORD_COMPLETE, &s[i], 1), STORE_HEARD, "complete: %c", modes[i]);
		proxy_order(modes[i], "retry");
		s[2 + i].report = SPAN("{}");
		is_int(say(STORE_WORD_FAIL, &s[2 + i], 1), STORE_HEARD, "fail: %c", modes[i]);
		proxy_order(modes[i], "pull_extend");
		is_int(say(STORE_WORD_HEARTBEAT, &s[4 + i], 1), STORE_HEARD, "heartbeat: %c", modes[i]);
	}
	proxy_order('r', "giveback");
	is_int(say(STORE_WORD_RELEASE, &s[6], 1), STORE_HEARD, "release: r");
	check_leases("6", "cuts");
	is_str(pg_sql("select max(n) from (select count(*) n from taskq.tried group by id) x"), "2",
	    "nothing failed twice");
}

static void
configure(void)
{
	static const char *const names[] = { "one", "two", "exec" };

	for (int i = 0; i < 3; i++) {
		handlers[i].title = names[i];
		handlers[i].kind = i < 2 ? CONF_HANDLER_LEASE : CONF_HANDLER_EXEC;
		handlers[i].timeout = 3600 * CLOCK_SECOND;
		handlers[i].lease_default = 60 * CLOCK_SECOND;
		handlers[i].lease_max = 3600 * CLOCK_SECOND;
	}
	pg_conf.handlers = handlers;
	pg_conf.nhandlers = 3;
}

int
main(void)
{
	struct store_options o = { .node = "n1",
		.boot = id_random(),
		.submit_connections = 1,
		.read_connections = 1,
		.keeper = true,
		.judge = judge };

	pg_begin_whole("pull", PG_CUT);
	configure();
	store = pg_open(&o);
	test_claim();
	test_exact();
	test_holes();
	test_words();
	test_not_ours();
	test_lapse();
	test_cuts();
	store_close(&store);
	return pg_end();
}
