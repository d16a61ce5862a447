/* run_machine_test.c - claims, limits, give-backs, loss and drain of the machine, over a store in memory. */
#include <sys/stat.h>

#include <glob.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "run/run.h"
#include "spool/spool.h"

#include "await.h"
#include "fake_launcher.h"
#include "fake_store.h"

static struct conf *conf;
static struct loop *loop;
static struct wake *wake;
static struct run *run;
static const char *node; /* null: nothing is kept on disk */
static int drained;      /* 0 not yet, 1 clean, 2 not clean */

/* --- what is waited for ------------------------------------------------------------------------------------------------------------ */

static bool
all_ended(void)
{
	return fake_count(FAKE_READY) + fake_count(FAKE_LEASED) == 0;
}

static bool
some_leased(void)
{
	return fake_count(FAKE_LEASED) > 0;
}

static bool
is_drained(void)
{
	return drained != 0;
}

static bool
noop_ended(void)
{
	return fake_count(FAKE_SUCCEEDED) > 0;
}

static bool
given_back(void)
{
	return fake.givebacks > 0;
}

/* --- one machine for each test ------------------------------------------------------------------------------------------------------ */

static void
on_drained(void *arg UNUSED, bool clean)
{
	drained = clean ? 1 : 2;
}

static void
begin_with(const char *text, const char *launch_path)
{
	char path[64];
	struct buf errors = { 0 };
	struct run_options o = { .drained = on_drained, .store = &fake, .launch_path = launch_path, .node = node };
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/taskq-run-machine.%d", (int)getpid());
	f = fopen(path, "w");
	fprintf(f, "%s", text);
	fclose(f);
	conf = conf_load(path, &errors);
	unlink(path);
	if (conf == NULL) {
		diag(buf_cstr(&errors));
		exit(1);
	}
	loop = loop_new();
	fake_open(loop);
	if (wake == NULL)
		wake = wake_new(); /* for good: it belongs to a node */
	drained = 0;
	o.loop = loop;
	o.conf = conf;
	o.wake = wake;
	run = NULL;
	run = run_new(&o);
}

#define HANDLERS \
	"handler noop { kind = builtin\n builtin = noop }\nhandler echo { kind = builtin\n builtin = echo }\n" \
	"handler fail { kind = builtin\n builtin = fail }\nhandler nap { kind = builtin\n builtin = sleep }\n" \
	"handler short { kind = builtin\n builtin = sleep\n timeout = 50ms }\n" \
	"handler two { kind = builtin\n builtin = sleep\n concurrency = 2 }\n" \
	"kill_grace = 100ms\nwork { slots = 4\n prefetch = 4\n poll = 10ms }\n"

static void
begin(void)
{
	begin_with(HANDLERS, NULL);
}

static void
end(void)
{
	fake_close();
	run_free(&run);
	loop_free(&loop);
	conf_free(&conf);
	for (int i = 0; i < fake.ntasks; i++)
		if (fake.tasks[i].finished > 1)
			ok(false, "task %d finished %d times", i, fake.tasks[i].finished);
}

static void
ring(int lane)
{
	wake_lane_ready(wake, lane);
	wake_workers_ring(wake);
}

/* --- tests ------------------------------------------------------------------------------------------------------------------------ */

static void
test_ends(void)
{
	struct fake_task *echo, *fail, *unknown, *last, *poison;

	begin();
	echo = fake_submit("echo", "{\"a\": 1}");
	fail = fake_submit("fail", "{\"message\": \"no\", \"error_class\": \"TRANSIENT\", \"error_code\": \"NO\"}");
	unknown = fake_submit("x", "{}");
	last = fake_submit("fail", "{}");
	last->attempts = 2;
	poison = fake_submit("noop", "{}");
	poison->crashes = 3;
	await(loop, all_ended, "five tasks end");
	is_int(echo->state, FAKE_SUCCEEDED, "echo succeeded");
	is_str(echo->result, "{\"a\": 1}", "with its payload");
	is_int(fail->state, FAKE_WAITING, "a transient failure waits");
	is_str(fail->code, "NO", "its code");
	is_str(fail->message, "no", "its message");
	is_int(fail->attempts, 1, "charged");
	ok(fail->delay >= 2200000 && fail->delay <= 2600000, "its delay %lld", (long long)fail->delay);
	is_int(unknown->state, FAKE_DEAD, "an unknown type is dead at once");
	is_str(unknown->message, "no handler registered for task_type='x'", "and says why");
	is_str(unknown->reason, "NO_HANDLER", "in one word too");
	is_int(last->state, FAKE_DEAD, "the last attempt");
	is_str(last->reason, "RETRY_EXHAUSTED", "is exhausted");
	is_str(last->code, "HANDLER_FAILED", "and keeps the code of its failure");
	is_str(poison->reason, "QUARANTINED", "what took its workers with it is not started again");
	end();
}

static void
test_many(void)
{
	begin();
	for (int i = 0; i < 500; i++)
		fake_submit(i % 3 == 0 ? "noop" : "echo", "{}");
	await(loop, all_ended, "500 tasks end");
	is_int(fake_count(FAKE_SUCCEEDED), 500, "all succeeded");
	ok(fake.most_claimed <= 8, "never more claimed than slots and prefetch: %d", fake.most_claimed);
	ok(fake.most_claimed > 4, "the prefetch grows with the pace: %d", fake.most_claimed);
	ok(fake.steps < 140, "outcomes travel in batches: %d steps", fake.steps);
	end();
}

/* While its slot is busy and enough waits, nobody needs the next step at once: without a rest each end has one. */
static void
test_steps_rest(void)
{
	begin_with(
	    "handler nap { kind = builtin\n builtin = sleep }\nwork { slots = 1\n prefetch = 100\n poll = 10ms }\n",
	    NULL);
	for (int i = 0; i < 200; i++)
		fake_submit("nap", "{\"seconds\": 0.001}");
	await(loop, all_ended, "200 short naps end, one at a time");
	is_int(fake_count(FAKE_SUCCEEDED), 200, "all succeeded");
	ok(fake.steps < 150, "their outcomes share steps: %d steps", fake.steps);
	end();
}

static bool
four_leased(void)
{
	return fake_count(FAKE_LEASED) >= 4;
}

static void
test_slots_and_limit(void)
{
	begin();
	for (int i = 0; i < 20; i++)
		fake_submit("nap", "{\"seconds\": 0.02}");
	await(loop, four_leased, "slow tasks are claimed");
	is_int(fake_count(FAKE_LEASED), 4, "no more of them than slots");
	await(loop, all_ended, "and all end");
	is_int(fake.givebacks, 0, "none was given back");
	end();

	begin();
	for (int i = 0; i < 6; i++)
		fake_submit("two", "{\"seconds\": 0.05}");
	for (int i = 0; i < 6; i++)
		fake_submit("nap", "{\"seconds\": 0.01}");
	await(loop, all_ended, "a limited handler beside a free one");
	is_int(fake_count(FAKE_SUCCEEDED), 12, "all succeed");
	ok(fake.most_claimed <= 4, "claims keep to the limit: %d", fake.most_claimed);
	end();
}

static bool
two_of_two(void)
{
	int n = 0;

	for (int i = 0; i < fake.ntasks; i++)
		n += fake.tasks[i].state == FAKE_LEASED && fake.tasks[i].lane == 0;
	return n == 2 && fake.looks >= 3;
}

static void
test_limit_holds(void)
{
	int leased = 0;

	begin();
	for (int i = 0; i < 6; i++)
		fake_submit("two", "{\"seconds\": 60}");
	await(loop, two_of_two, "two of the limited type run");
	for (int i = 0; i < fake.ntasks; i++)
		leased += fake.tasks[i].state == FAKE_LEASED;
	is_int(leased, 2, "and no third is held");
	end();
}

static int looks_before;

static bool
looked_often(void)
{
	return fake.looks >= looks_before + 4;
}

static void
test_paused(void)
{
	begin();
	fake_submit("noop", "{}");
	fake.lane_paused[0] = true;
	looks_before = 0;
	await(loop, looked_often, "a paused lane is looked at");
	is_int(fake_count(FAKE_READY), 1, "and left alone");
	fake.lane_paused[0] = false;
	await(loop, all_ended, "until it is not paused any more");
	end();
}

static bool
idle(void)
{
	return fake.looks >= 3 && fake.step_fn == NULL && fake.lanes_fn == NULL;
}

static void
test_bell(void)
{
	int64_t began;

	begin_with("handler noop { kind = builtin }\nwork { poll = 60s }\n", NULL);
	await(loop, idle, "an idle machine rests");
	fake_submit("noop", "{}");
	ring(0);
	began = clock_now();
	await(loop, all_ended, "a bell of an unknown lane is heard");
	fake_submit("noop", "{}");
	ring(0);
	await(loop, all_ended, "a bell of a known lane is heard");
	ok(clock_now() - began < 10 * CLOCK_SECOND, "without waiting for the poll");
	end();
}

static void
test_timeout(void)
{
	struct fake_task *t;

	begin();
	t = fake_submit("short", "{\"seconds\": 60}");
	await(loop, all_ended, "a task that takes too long is stopped");
	is_int(t->state, FAKE_WAITING, "and tried again");
	is_str(t->code, "TIMEOUT", "TIMEOUT");
	is_str(t->message, "timed out after 0.05 s", "with its limit");
	end();
}

static bool
prefetched(void)
{
	return fake_count(FAKE_LEASED) > 4;
}

static void
test_queue_goes_back(void)
{
	begin();
	for (int i = 0; i < 40; i++)
		fake_submit("noop", "{}");
	for (int i = 0; i < 20; i++)
		fake_submit("nap", "{\"seconds\": 60}");
	await(loop, prefetched, "slow tasks are claimed at the pace of quick ones");
	await(loop, given_back, "those that wait are given back");
	is_int(fake_count(FAKE_LEASED), 4, "those that run stay");
	is_int(fake.started_givebacks, 0, "as never started");
	end();
}

static bool
pause_asked(void)
{
	return fake.pause.fn != NULL;
}

static bool
none_leased(void)
{
	return fake_count(FAKE_LEASED) == 0;
}

static void
test_pause(void)
{
	begin();
	for (int i = 0; i < 40; i++)
		fake_submit("noop", "{}");
	for (int i = 0; i < 20; i++)
		fake_submit("nap", "{\"seconds\": 0.1}");
	await(loop, prefetched, "slow tasks wait beside those that run");
	fake.lane_paused[fake_lane("nap")] = true;
	wake_pauses_changed(wake);
	await(loop, none_leased, "paused: what has not started is given back");
	ok(fake_count(FAKE_SUCCEEDED) <= 44, "only what ran has ended: %d", fake_count(FAKE_SUCCEEDED));
	is_int(fake.started_givebacks, 0, "nothing that ran was stopped");
	fake.lane_paused[fake_lane("nap")] = false;
	wake_pauses_changed(wake);
	await(loop, all_ended, "resumed, the rest runs");
	end();
}

static void
test_auth(void)
{
	begin();
	for (int i = 0; i < 4; i++)
		fake_submit("fail", "{\"error_class\": \"AUTH\", \"error_code\": \"DENIED\", \"message\": \"no\"}");
	await(loop, pause_asked, "who is not let in is paused");
	is_str(fake.pause.name, "fail", "the handler");
	is_str(fake.pause.why, "DENIED: no", "its words");
	is_str(fake.pause.by, "taskq", "by us");
	await(loop, none_leased, "what was claimed beside it goes back");
	is_int(fake_count(FAKE_WAITING), 1, "one has run");
	is_int(fake.tasks[0].attempts, 0, "without an attempt");
	ok(fake.tasks[0].delay >= 2 * CLOCK_SECOND && fake.tasks[0].delay < 3 * CLOCK_SECOND, "it comes back soon");
	fake_pause_answer(STORE_OK);
	wake_pauses_changed(wake);
	fake_submit("noop", "{}");
	await(loop, noop_ended, "others run");
	is_int(fake_count(FAKE_WAITING), 1, "of its own nothing does");
	fake.lane_paused[fake_lane("fail")] = false;
	wake_pauses_changed(wake);
	await(loop, pause_asked, "resumed, it is not let in again");
	fake_pause_answer(STORE_FAILED);
	await(loop, pause_asked, "a pause that could not be written is tried with the next failure");
	fake_pause_answer(STORE_OK);
	is_int(fake.pause.asked, 3, "once for each");
	end();
}

static void
test_cancel(void)
{
	begin();
	fake_submit("nap", "{\"seconds\": 60}");
	fake_submit("nap", "{\"seconds\": 0.01}");
	await(loop, some_leased, "running");
	fake.tasks[0].state = FAKE_CANCELLED;
	await(loop, given_back, "the cancelled one stops, and its lease is tidied");
	is_int(fake.tasks[0].finished, 0, "without an outcome");
	is_int(fake.tasks[1].state, FAKE_SUCCEEDED, "its neighbour was left alone");
	end();
}

static bool
second_identity_leased(void)
{
	return fake.inc == 2 && fake_count(FAKE_LEASED) == 2;
}

static void
test_lost(void)
{
	begin();
	fake_submit("nap", "{\"seconds\": 60}");
	fake_submit("nap", "{\"seconds\": 60}");
	await(loop, some_leased, "running");
	fake.lost = true;
	await(loop, second_identity_leased, "a lost identity forgets its tasks, the new one claims them again");
	is_int(fake.tasks[0].run, 1, "as another start");
	is_int(fake.tasks[0].finished, 0, "nothing was said of the first");
	end();
}

static bool
refused(void)
{
	return fake.steps > 1 && !fake.refuse && fake.step_fn == NULL && given_back();
}

static void
test_stale(void)
{
	begin();
	fake.refuse = true;
	fake_submit("noop", "{}");
	await(loop, refused, "a refused outcome is forgotten, its lease tidied");
	end();
}

static bool
step_hangs(void)
{
	return fake.away && fake.step_fn != NULL && fake.step.noutcomes > 0;
}

static void
test_away(void)
{
	begin();
	for (int i = 0; i < 8; i++)
		fake_submit("nap", "{\"seconds\": 0.02}");
	await(loop, four_leased, "running");
	fake.away = true;
	await(loop, step_hangs, "outcomes wait while the database is away");
	fake_back();
	await(loop, all_ended, "and are written when it is back");
	is_int(fake_count(FAKE_SUCCEEDED), 8, "all of them");
	end();
}

static void
test_drain(void)
{
	begin();
	run_drain(run);
	await(loop, is_drained, "an idle machine drains");
	is_int(drained, 1, "clean");
	end();

	begin();
	for (int i = 0; i < 20; i++)
		fake_submit("nap", "{\"seconds\": 0.1}");
	await(loop, four_leased, "running");
	run_drain(run);
	await(loop, is_drained, "a busy one lets the running finish");
	is_int(drained, 1, "clean");
	is_int(fake_count(FAKE_SUCCEEDED), 4, "the running finished");
	is_int(fake_count(FAKE_LEASED), 0, "nothing is held");
	end();

	begin();
	for (int i = 0; i < 6; i++)
		fake_submit("nap", "{\"seconds\": 60}");
	await(loop, four_leased, "running");
	run_drain(run);
	run_now(run, 50 * CLOCK_MS);
	await(loop, is_drained, "in haste the running are stopped");
	is_int(drained, 1, "clean");
	is_int(fake_count(FAKE_READY), 6, "and given back");
	is_int(fake.tasks[0].run, 1, "they had a start");
	is_int(fake.tasks[0].attempts, 0, "but no attempt");
	is_int(fake.tasks[5].run, 0, "the unstarted had none");
	end();

	begin();
	fake_submit("nap", "{\"seconds\": 0.02}");
	await(loop, some_leased, "running");
	fake.away = true;
	await(loop, step_hangs, "ended without a database");
	run_drain(run);
	run_now(run, 10 * CLOCK_MS);
	await(loop, is_drained, "a drain without a database ends too");
	is_int(drained, 2, "not clean");
	end();
}

/* --- what is kept on disk --------------------------------------------------------------------------------------------------------------- */

static char spool_dir[64];

static void
begin_spool(const char *dir, const char *after)
{
	char text[600];

	node = "a";
	snprintf(text, sizeof(text),
	    "work { slots = 8\n prefetch = 0\n poll = 10ms\n spool_dir = \"%s\"\n spool_after = %s }\n"
	    "handler nap { kind = builtin\n builtin = sleep }\nhandler noop { kind = builtin\n builtin = noop }\n"
	    "kill_grace = 100ms\n",
	    dir, after);
	begin_with(text, NULL);
}

/* Bytes of all files there, whoever holds them; -1: there is none. */
static int64_t
spool_bytes(void)
{
	struct stat st;
	int64_t sum = -1;
	char pattern[80];
	glob_t g = { 0 };

	snprintf(pattern, sizeof(pattern), "%s/*", spool_dir);
	if (glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			if (stat(g.gl_pathv[i], &st) == 0)
				sum += st.st_size + (sum < 0);
	globfree(&g);
	return sum;
}

static int64_t spool_one; /* bytes of a file with one outcome */

static bool
one_is_kept(void)
{
	spool_one = spool_bytes();
	return spool_one > SPOOL_HEAD;
}

static bool
eight_are_kept(void)
{
	return spool_bytes() == SPOOL_HEAD + 8 * (spool_one - SPOOL_HEAD);
}

static bool
spool_is_empty(void)
{
	return spool_bytes() < 0;
}

static void
fake_naps(int n)
{
	for (int i = 0; i < n; i++)
		fake_submit("nap", "{\"seconds\": 0.3}");
}

static bool
eight_leased(void)
{
	return fake_count(FAKE_LEASED) == 8;
}

static char log_path[64];

static bool
spool_failed(void)
{
	char command[200];

	snprintf(command, sizeof(command), "grep -q 'could not keep outcomes on disk' %s", log_path);
	return system(command) == 0;
}

static void
test_spool(void)
{
	struct spool_sum sum;
	char command[100];

	snprintf(spool_dir, sizeof(spool_dir), "/tmp/taskq-run-spool.%d", (int)getpid());
	begin_spool(spool_dir, "1min");
	for (int i = 0; i < 500; i++)
		fake_submit("noop", "{}");
	await(loop, all_ended, "work with a database");
	ok(access(spool_dir, F_OK) != 0, "touches no file");
	end();

	begin_spool(spool_dir, "10ms");
	fake_naps(1);
	await(loop, some_leased, "running");
	fake.away = true;
	await(loop, one_is_kept, "what the database does not take is kept on disk");
	fake_back();
	await(loop, all_ended, "it is written when the database is back");
	await(loop, spool_is_empty, "and then the file goes");
	end();

	begin_spool(spool_dir, "10ms");
	fake_naps(8);
	await(loop, eight_leased, "eight run");
	fake.away = true;
	await(loop, eight_are_kept, "each is kept once");
	run_drain(run);
	run_now(run, 10 * CLOCK_MS);
	await(loop, is_drained, "a drain without a database ends");
	is_int(drained, 2, "not clean");
	end();
	spool_survey(spool_dir, "a", &sum);
	is_int(sum.outcomes, 8, "and leaves them for the keeper");
	snprintf(command, sizeof(command), "rm -r %s", spool_dir);
	MUST(system(command) == 0);
	node = NULL;
}

/* Where no directory can be all is as without a spool. */
static void
test_spool_refused(void)
{
	struct log_settings heard = { .target = log_path, .level = LOG_LEVEL_CRIT };

	snprintf(log_path, sizeof(log_path), "/tmp/taskq-run-spool.%d.log", (int)getpid());
	MUST(log_open(&heard) == 0);
	begin_spool("/dev/null/spool", "10ms");
	fake_naps(8);
	await(loop, eight_leased, "eight run");
	fake.away = true;
	await(loop, spool_failed, "nothing can be kept on disk");
	fake_back();
	await(loop, all_ended, "all is written when the database is back");
	is_int(fake_count(FAKE_SUCCEEDED), 8, "from memory");
	end();
	node = NULL;
	unlink(log_path);
}

/* --- with commands ------------------------------------------------------------------------------------------------------------------ */

static struct fake_task *crasher;

static bool
crasher_rests(void)
{
	if (crasher->state == FAKE_WAITING && crasher->crashes < 3) {
		crasher->state = FAKE_READY; /* as if promoted */
		crasher->finished = 0;
	}
	return crasher->state == FAKE_DEAD;
}

static void
test_commands(void)
{
	static const char *const commands[] = { "kill -9 $$", "trap '' TERM; while :; do sleep 60; done", "echo '{}'" };
	pid_t launcher = fake_launcher(commands);

	begin_with("handler crash { command = {\"/x\"} }\nhandler hang { command = {\"/x\"}\n timeout = 100ms }\n"
		   "handler ok { command = {\"/x\"} }\n"
		   "kill_grace = 50ms\nwork { poll = 10ms }\n",
	    fake_launcher_path);
	crasher = fake_submit("crash", "{}");
	await(loop, crasher_rests, "a task that kills its process three times is dead");
	is_str(crasher->reason, "QUARANTINED", "quarantined");
	is_int(crasher->crashes, 3, "three crashes");
	is_int(crasher->attempts, 0, "no attempt");
	fake_submit("hang", "{}");
	await(loop, all_ended, "a handler that ignores SIGTERM is killed after the grace");
	is_str(fake.tasks[1].code, "TIMEOUT", "TIMEOUT");
	fake_submit("ok", "{}");
	await(loop, all_ended, "a command");
	is_int(fake.tasks[2].state, FAKE_SUCCEEDED, "succeeded");
	kill(launcher, SIGKILL);
	waitpid(launcher, NULL, 0);
	unlink(fake_launcher_path);
	fake_submit("ok", "{}");
	looks_before = fake.looks;
	await(loop, looked_often, "without a launcher");
	is_int(fake_count(FAKE_READY), 1, "commands are not claimed");
	launcher = fake_launcher(commands);
	await(loop, all_ended, "until there is one again");
	end();
	kill(launcher, SIGKILL);
	waitpid(launcher, NULL, 0);
	unlink(fake_launcher_path);
}

int
main(void)
{
	struct log_settings quiet = { .target = "/dev/null", .level = LOG_LEVEL_CRIT };

	signal(SIGPIPE, SIG_IGN);
	alarm(300);
	MUST(log_open(&quiet) == 0);
	test_ends();
	test_many();
	test_steps_rest();
	test_slots_and_limit();
	test_limit_holds();
	test_paused();
	test_bell();
	test_timeout();
	test_queue_goes_back();
	test_pause();
	test_auth();
	test_cancel();
	test_lost();
	test_stale();
	test_away();
	test_drain();
	test_commands();
	test_spool();
	test_spool_refused();
	return done();
}
