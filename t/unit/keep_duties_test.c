/* keep_duties_test.c - the keeper: releases first, one duty at a time, sooner when something is found, later when not, again when it
 * fails. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keep.h"
#include "log/log.h"

#include "tap.h"

/* --- a store that notes what was asked ---------------------------------------------------------------------------------------------- */

struct store {
	struct loop_timer *answer;
	store_count_fn *fn;
	void *arg;
	char what[16];
	char notes[4096]; /* "boot promote release:7 ..." */
	bool away;
	bool silent; /* no answer comes before the store is closed */
	int64_t promote_next;
	int promote_count;
	int failed;
};
static struct store fake;
static struct loop *loop;
static struct wake *wake;

static void
ask(const char *what, store_count_fn *fn, void *arg)
{
	ASSERT(fake.fn == NULL); /* one duty at a time */
	fake.fn = fn;
	fake.arg = arg;
	snprintf(fake.what, sizeof(fake.what), "%s", what);
	if (!fake.silent)
		loop_timer_set(fake.answer, 0);
}

static void
answer(void *arg UNUSED)
{
	store_count_fn *fn = fake.fn;
	bool promote = strcmp(fake.what, "promote") == 0;

	fake.fn = NULL;
	if (fake.away) {
		fake.failed++;
		fn(fake.arg, STORE_FAILED, 0, -1);
		return;
	}
	snprintf(fake.notes + strlen(fake.notes), sizeof(fake.notes) - strlen(fake.notes), "%s ", fake.what);
	fn(fake.arg, STORE_OK, promote ? fake.promote_count : 0, promote ? fake.promote_next : -1);
}

const char *
store_not_ready(const struct store *s UNUSED)
{
	return fake.away ? "away" : NULL;
}

/* As store_close(): what is open is answered. */
static void
fake_close(void)
{
	loop_timer_clear(fake.answer);
	if (fake.fn != NULL)
		answer(NULL);
}

#define VERB(name, word) \
	void name(struct store *s UNUSED, store_count_fn *fn, void *arg) \
	{ \
		ask(word, fn, arg); \
	}
VERB(store_promote, "promote")
VERB(store_release_boot, "boot")
VERB(store_reap, "reap")
VERB(store_partitions, "partitions")
VERB(store_purge_keys, "purge")
VERB(store_depth, "depth")
VERB(store_purge_names, "names")
VERB(store_expire, "expire")
VERB(store_watch_pauses, "pauses")
VERB(store_lapse, "lapse")
VERB(store_purge_progress, "progress")

void
store_release_worker(struct store *s UNUSED, int64_t inc, const struct id *started UNUSED, int n UNUSED,
    store_count_fn *fn, void *arg)
{
	char what[16];

	snprintf(what, sizeof(what), "release:%d", (int)inc);
	ask(what, fn, arg);
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------------ */

static bool (*until_what)(void);
static bool until_met;
static struct loop_timer *until_timer;
static int64_t until_deadline;

static void
until_look(void *arg UNUSED)
{
	until_met = until_what();
	if (until_met || clock_now() > until_deadline)
		loop_stop(loop);
	else
		loop_timer_set(until_timer, 500);
}

static bool
until(bool (*what)(void), const char *name)
{
	until_what = what;
	until_deadline = clock_now() + 20 * CLOCK_SECOND;
	until_timer = loop_timer_new(loop, until_look, NULL);
	loop_timer_set(until_timer, 0);
	loop_run(loop);
	loop_timer_free(&until_timer);
	return ok(until_met, "%s", name);
}

static int
times(const char *word)
{
	const char *at = fake.notes;
	int n = 0;

	while ((at = strstr(at, word)) != NULL) {
		at += strlen(word);
		n++;
	}
	return n;
}

static bool
first_round(void)
{
	return times("boot ") == 1 && times("promote ") == 1 && times("reap ") == 1 && times("partitions ") == 1 &&
	       times("purge ") == 1;
}

static bool
released(void)
{
	return times("release:7 ") == 1 && times("release:8 ") == 1;
}

static bool
promoted_three(void)
{
	return times("promote ") >= 3;
}

static bool
promoted(void)
{
	return times("promote ") >= 1;
}

static bool
failed_twice(void)
{
	return fake.failed >= 2;
}

static bool
asked(void)
{
	return fake.fn != NULL;
}

static bool is_over;

static bool
over(void)
{
	return is_over;
}

static void
on_drained(void *arg UNUSED)
{
	is_over = true;
}

static void
gone(int fd, int64_t inc)
{
	MUST(write(fd, &inc, sizeof(inc)) == (ssize_t)sizeof(inc));
}

static void
test_duties(struct keep *k, const struct keep_options *o)
{
	int64_t inc = 0;
	int waits = 0;

	until(first_round, "at the start each duty is done once");
	gone(o->gone_pipe[1], 7);
	gone(o->gone_pipe[1], 8);
	until(released, "dead workers are released as they are reported");

	fake.notes[0] = '\0';
	fake.promote_next = 10 * CLOCK_MS;
	wake_keeper_ring(wake);
	until(promoted_three, "promote comes again when the next is due");
	is_int(read(o->gone_pipe[0], &inc, sizeof(inc)), -1, "who was released is not in the pipe any more");
	fake.promote_next = -1;

	fake.notes[0] = '\0';
	fake.away = true;
	gone(o->gone_pipe[1], 9);
	until(failed_twice, "what fails is repeated");
	is_int(times("release:9 "), 0, "and not forgotten");
	MUST(ioctl(o->gone_pipe[0], FIONREAD, &waits) == 0);
	is_int(waits, sizeof(inc), "nor with this keeper, should it die: it is in the pipe until it is done");
	keep_drain(k);
	until(over, "a drain does not wait for a database that is away");
	is_int(read(o->gone_pipe[0], &inc, sizeof(inc)), sizeof(inc), "what was not done is handed on");
	is_int(inc, 9, "for the next keeper");
}

int
main(void)
{
	struct log_settings quiet = { .target = "/dev/null", .level = LOG_LEVEL_CRIT };
	int gone_pipe[2];
	struct keep_options o = { .store = &fake, .gone_pipe = gone_pipe, .drained = on_drained };
	struct keep *k;

	alarm(120);
	MUST(log_open(&quiet) == 0);
	MUST(pipe2(gone_pipe, O_NONBLOCK | O_CLOEXEC) == 0);
	o.loop = loop = loop_new();
	o.wake = wake = wake_new(); /* for good: it belongs to a node */
	fake.promote_next = -1;
	fake.answer = loop_timer_new(loop, answer, NULL);
	k = keep_new(&o);
	test_duties(k, &o);
	fake_close();
	keep_free(&k);

	is_over = fake.away = false;
	fake.notes[0] = '\0';
	k = keep_new(&o);
	until(promoted, "the next keeper works");
	keep_drain(k);
	until(over, "and drains");
	fake_close();
	keep_free(&k);

	is_over = false;
	fake.silent = fake.away = true;
	k = keep_new(&o);
	until(asked, "a duty is on its way to a database that does not answer");
	keep_drain(k);
	until(over, "a drain does not wait for it");
	fake_close();
	keep_free(&k);
	loop_timer_free(&fake.answer);
	loop_free(&loop);
	return done();
}
