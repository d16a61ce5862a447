/* store_control_test.c - what somebody says about running: pauses, and who is told of them. */
#include "store_pg.h"

static struct store *store;
static struct wake *wake;

static struct {
	bool done;
	enum store_status status;
	bool changed, found;
	enum store_paused what;
	char name[80], why[80], by[80];
	int64_t at;
	int n;
} got;

/* --- pauses ---------------------------------------------------------------------------------------------------------- */

static void
keep_pause(const struct store_pause *p)
{
	got.what = p->what;
	got.at = p->at;
	snprintf(got.name, sizeof(got.name), "%.*s", (int)p->name.len, p->name.ptr);
	snprintf(got.why, sizeof(got.why), "%.*s", (int)p->why.len, p->why.ptr);
	snprintf(got.by, sizeof(got.by), "%.*s", (int)p->by.len, p->by.ptr);
}

static void
on_pause(void *arg, enum store_status status, bool changed, const struct store_pause *p)
{
	(void)arg;
	got.done = true;
	got.status = status;
	got.changed = changed;
	got.found = p != NULL;
	if (p != NULL)
		keep_pause(p);
}

static void
on_pauses(void *arg, enum store_status status, const struct store_pause *pauses, int n)
{
	(void)arg;
	got.done = true;
	got.status = status;
	got.n = n;
	if (n > 0)
		keep_pause(&pauses[n - 1]);
}

static void
say_pause(enum store_paused what, const char *name, const char *why, const char *by)
{
	struct store_pause p = { .what = what, .name = span_of(name), .why = span_of(why), .by = span_of(by) };

	got.done = false;
	store_pause(store, &p, on_pause, NULL);
	pg_wait(&got.done);
	is_int(got.status, STORE_OK, "%s %s: answered", store_paused_word(what), name);
}

static void
say_resume(enum store_paused what, const char *name)
{
	struct store_pause p = { .what = what, .name = span_of(name) };

	got.done = false;
	store_resume(store, &p, on_pause, NULL);
	pg_wait(&got.done);
	is_int(got.status, STORE_OK, "resume of %s %s: answered", store_paused_word(what), name);
}

static void
list_pauses(void)
{
	got.done = false;
	store_pauses(store, on_pauses, NULL);
	pg_wait(&got.done);
}

static void
test_pauses(void)
{
	uint32_t rung = wake_pauses_count(wake);
	struct pollfd busy = { .fd = wake_worker_fd(wake, 3), .events = POLLIN };

	say_pause(STORE_PAUSED_HANDLER, "mail", "LOGIN_REFUSED", "taskq");
	ok(got.changed && got.found && got.at > 0, "a new pause, with its time");
	is_int((int)(wake_pauses_count(wake) - rung), 1, "it is told");
	is_int(poll(&busy, 1, 0), 1, "also to a worker that is not hungry");
	say_pause(STORE_PAUSED_HANDLER, "mail", "I say so", "eve");
	ok(!got.changed, "the second is not new");
	is_str(got.why, "LOGIN_REFUSED", "the first stays, with his reason");
	is_str(got.by, "taskq", "and his name");
	is_int((int)(wake_pauses_count(wake) - rung), 1, "nobody is told again");
	say_pause(STORE_PAUSED_QUEUE, "mail", "", "");
	ok(got.changed, "a queue of the same name is another thing");
	list_pauses();
	is_int(got.n, 2, "two are listed");
	is_int(got.what, STORE_PAUSED_HANDLER, "in order");
	say_resume(STORE_PAUSED_HANDLER, "mail");
	ok(got.changed && got.found, "it ends");
	is_str(got.why, "LOGIN_REFUSED", "and says why it was");
	is_int((int)(wake_pauses_count(wake) - rung), 3, "all are told");
	say_resume(STORE_PAUSED_HANDLER, "mail");
	ok(!got.changed && !got.found, "once");
	say_resume(STORE_PAUSED_QUEUE, "mail");
	list_pauses();
	is_int(got.n, 0, "nothing is left");
}

int
main(void)
{
	struct store_options o = {
		.node = "n1", .boot = id_random(), .submit_connections = 2, .worker = true, .keeper = true
	};

	pg_begin_whole("control", PG_WHOLE);
	o.wake = wake = wake_new();
	store = pg_open(&o);
	test_pauses();
	store_close(&store);
	return pg_end();
}
