/* keep_duties_test.c - the keeper: releases first, one duty at a time, sooner when something is found, later when not, again when it
 * fails. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keep.h"
#include "keep/keep_duty.h"
#include "log/log.h"
#include "spool/spool.h"
#include "store/store_dead.h"
#include "store/store_deliver.h"
#include "store/store_sweep.h"
#include "store/store_upkeep.h"
#include "store/store_watch.h"

#include "await.h"

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
	int64_t lapse_due; /* as the watch tells it */
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
VERB(store_watch, "watch")
VERB(store_purge_progress, "progress")
VERB(store_sweep, "sweep")
VERB(store_file_letters, "file")
VERB(store_watch_letters, "letters")
VERB(store_upkeep, "upkeep")
VERB(store_purge_letters, "old-letters")

int64_t
store_due(const struct store *s UNUSED, enum store_due what)
{
	return what == STORE_DUE_LAPSE ? fake.lapse_due : INT64_MAX;
}

void
store_release_worker(
    struct store *s UNUSED, int64_t inc, const struct id *started UNUSED, int n UNUSED, store_count_fn *fn, void *arg)
{
	char what[16];

	snprintf(what, sizeof(what), "release:%d", (int)inc);
	ask(what, fn, arg);
}

static int refused = -1; /* the outcome with this number is refused */

void
store_deliver(struct store *s UNUSED, const struct store_outcome *outcomes, int n, store_deliver_fn *fn, void *arg)
{
	bool accepted[300] = { 0 };
	enum store_status status = STORE_OK;

	for (int i = 0; i < n; i++) {
		accepted[i] = outcomes[i].delay != 99; /* a stale one */
		if ((int)outcomes[i].delay == refused)
			status = STORE_REFUSED;
	}
	if (fake.away)
		status = STORE_FAILED;
	else
		snprintf(fake.notes + strlen(fake.notes), sizeof(fake.notes) - strlen(fake.notes), "%s:%d ",
		    status == STORE_OK ? "deliver" : "refuse", n);
	fake.failed += fake.away;
	fn(arg, status, accepted);
}

void
store_outcome_count(
    enum store_outcome_kind kind UNUSED, struct span queue UNUSED, struct span task_type UNUSED, int64_t ran UNUSED)
{
}

uint64_t
store_place(const struct store *s UNUSED)
{
	return 1;
}

/* --- what is waited for ------------------------------------------------------------------------------------------------------------ */

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
	       times("purge ") == 1 && times("file ") == 1 && times("old-letters ") == 1;
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
watched(void)
{
	return times("watch ") >= 1;
}

static bool
lapsed(void)
{
	return times("lapse ") >= 1;
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

	await(loop, first_round, "at the start each duty is done once");
	gone(o->gone_pipe[1], 7);
	gone(o->gone_pipe[1], 8);
	await(loop, released, "dead workers are released as they are reported");

	fake.notes[0] = '\0';
	fake.promote_next = 10 * CLOCK_MS;
	wake_keeper_ring(wake);
	await(loop, promoted_three, "promote comes again when the next is due");
	is_int(read(o->gone_pipe[0], &inc, sizeof(inc)), -1, "who was released is not in the pipe any more");
	fake.promote_next = -1;

	fake.notes[0] = '\0';
	await(loop, watched, "at rest one watch looks for many");
	is_int(times("lapse ") + times("expire ") + times("reap ") + times("pauses "), 0,
	    "and they do not look themselves");
	fake.lapse_due = 0;
	await(loop, lapsed, "unless it says that there is something");
	is_int(times("expire "), 0, "and who it says so of");
	fake.lapse_due = INT64_MAX;

	fake.notes[0] = '\0';
	fake.away = true;
	gone(o->gone_pipe[1], 9);
	await(loop, failed_twice, "what fails is repeated");
	is_int(times("release:9 "), 0, "and not forgotten");
	MUST(ioctl(o->gone_pipe[0], FIONREAD, &waits) == 0);
	is_int(waits, sizeof(inc), "nor with this keeper, should it die: it is in the pipe until it is done");
	keep_drain(k);
	await(loop, over, "a drain does not wait for a database that is away");
	is_int(read(o->gone_pipe[0], &inc, sizeof(inc)), sizeof(inc), "what was not done is handed on");
	is_int(inc, 9, "for the next keeper");
}

/* --- what dead workers left on disk ----------------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/taskq-keep-spool.XXXXXX";

/* As a worker leaves it that was killed; `spoil`: with a bit of the first outcome another. */
static void
leave(int64_t inc, uint64_t place, int n, bool spoil)
{
	const struct spool_head h = { inc, place };
	struct spool_file f = { 0 };
	struct buf b = { 0 };

	for (int i = 0; i < n; i++) {
		struct spool_record r = {
			.id = { .b = { [0] = 1, [15] = (uint8_t)i } }, .hi = { .b = { [15] = 9 } }, .delay = i
		};

		spool_record_put(&b, &r);
		if (spoil && i == 0)
			b.data[60] ^= 4;
	}
	MUST(spool_file_make(&f, dir, "n", &h, buf_span(&b)) == 0);
	spool_file_leave(&f);
	buf_free(&b);
}

/* Who knows when he is due needs the watch only where it tells of that. */
static void
test_told(void)
{
	int64_t hours = 7200 * CLOCK_SECOND;

	ok(duty_is_told(DUTY_SWEEP, 0, -1), "who found nothing is told by the watch when there is something");
	ok(duty_is_told(DUTY_SWEEP, 0, hours), "and when it is due, be it in hours");
	ok(!duty_is_told(DUTY_SWEEP, 0, CLOCK_SECOND), "but not before the next watch");
	ok(!duty_is_told(DUTY_SWEEP, 1, -1), "who found something looks again");
	ok(duty_is_told(DUTY_ESCALATE, 0, -1), "of causes it tells that there are some");
	ok(!duty_is_told(DUTY_ESCALATE, 0, hours), "and not that they become overdue in hours");
	ok(!duty_is_told(DUTY_UPKEEP, 0, -1), "of upkeep it tells nothing");
}

static bool
released_seven(void)
{
	return times("release:7 ") == 1;
}

/* What was done for the worker since the last look, in order. */
static const char *
done_for(void (*what)(void), const struct keep_options *o)
{
	static char text[200];
	char notes[sizeof(fake.notes)];

	fake.notes[0] = text[0] = '\0';
	what();
	gone(o->gone_pipe[1], 7);
	await(loop, released_seven, "the worker is released");
	snprintf(notes, sizeof(notes), "%s", fake.notes);
	for (char *save, *word = strtok_r(notes, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		if (strncmp(word, "deliver", 7) == 0 || strncmp(word, "release", 7) == 0 ||
		    strncmp(word, "refuse", 6) == 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", word);
	return text;
}

static void
whole(void)
{
	leave(7, 1, 3, false);
}

static void
two_files(void)
{
	leave(7, 1, 250, false);
	leave(7, 1, 1, false);
}

static void
spoilt(void)
{
	leave(7, 1, 3, true);
}

static void
poisoned(void)
{
	refused = 1;
	leave(7, 1, 3, false);
}

static void
foreign(void)
{
	refused = -1;
	leave(7, 2, 3, false);
}

static int
left(int *bad_r)
{
	struct spool_sum sum;

	spool_survey(dir, "n", &sum);
	*bad_r = sum.bad;
	return sum.files;
}

static void
test_spool(const struct keep_options *o)
{
	int bad = 0;

	is_str(done_for(whole, o), "deliver:3 release:7 ", "what it left is delivered first");
	is_int(left(&bad), 0, "and the file is gone");
	is_str(done_for(two_files, o), "deliver:200 deliver:50 deliver:1 release:7 ", "all of it, in batches");
	is_str(done_for(spoilt, o), "deliver:2 release:7 ", "of a damaged file what can be read");
	is_int(left(&bad), 0, "it holds nobody up");
	is_int(bad, 1, "but is set aside");
	is_str(done_for(poisoned, o), "refuse:3 deliver:1 refuse:1 deliver:1 release:7 ",
	    "one that is refused keeps no other back");
	is_int(left(&bad), 0, "nor the worker");
	is_int(bad, 2, "and its file is set aside");
	is_str(done_for(foreign, o), "release:7 ", "what is of another database is not delivered");
	is_int(left(&bad), 1, "and stays");
}

static void
test_spool_away(struct keep *k, const struct keep_options *o)
{
	int bad;

	fake.away = true;
	fake.failed = 0;
	fake.notes[0] = '\0';
	leave(8, 1, 3, false);
	gone(o->gone_pipe[1], 8);
	await(loop, failed_twice, "while the database is away it is tried again");
	is_int(times("release"), 0, "nothing is released before the delivery");
	is_int(left(&bad), 2, "and nothing is lost");
	keep_drain(k);
	await(loop, over, "a drain does not wait for it");
}

static void
test_spools(struct keep_options *o)
{
	struct keep_spool_options so = { .loop = loop, .store = &fake, .dir = dir, .node = "n" };
	char command[100];
	struct keep *k;

	MUST(mkdtemp(dir) != NULL);
	is_over = fake.silent = fake.away = false;
	o->spool = keep_spool_new(&so);
	k = keep_new(o);
	await(loop, promoted, "a keeper with a spool");
	test_spool(o);
	test_spool_away(k, o);
	fake_close();
	keep_free(&k);
	keep_spool_free(&o->spool);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	MUST(system(command) == 0);
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
	fake.lapse_due = INT64_MAX;
	fake.answer = loop_timer_new(loop, answer, NULL);
	k = keep_new(&o);
	test_duties(k, &o);
	fake_close();
	keep_free(&k);

	is_over = fake.away = false;
	fake.notes[0] = '\0';
	k = keep_new(&o);
	await(loop, promoted, "the next keeper works");
	keep_drain(k);
	await(loop, over, "and drains");
	fake_close();
	keep_free(&k);

	is_over = false;
	fake.silent = fake.away = true;
	k = keep_new(&o);
	await(loop, asked, "a duty is on its way to a database that does not answer");
	keep_drain(k);
	await(loop, over, "a drain does not wait for it");
	fake_close();
	keep_free(&k);
	test_told();
	test_spools(&o);
	loop_timer_free(&fake.answer);
	loop_free(&loop);
	return done();
}
