/* run_pool_test.c - a child of a pool with several tasks: who is begun, in which order they end, and who is blamed when it ends. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/exec.h"
#include "run/launch_client.h"

#include "await.h"
#include "fake_launcher.h"

#define RUNS 4

static struct conf *conf;
static struct exec_env env;
static struct exec_run runs[RUNS];
static struct task_row rows[RUNS];
static char ends[RUNS + 1];   /* in the order in which they came */
static char begins[RUNS + 1]; /* likewise */
static int first;             /* leave the loop after so many ends */
static struct loop_timer *turn;

#define LEASE "lease() { expr \"$1\" : '.*\"lease\":\"\\([0-9a-f]*\\)'; }; "
#define TAKE3 LEASE "read -r a; read -r b; read -r c; "
#define ANSWER(x) "echo \"{\\\"lease\\\":\\\"$(lease \"$" x "\")\\\",\\\"result\\\":\\\"" x "\\\"}\"; "

enum { TURNED, DIES, LEAVES, CLOSES, STRAY, HANGS, TELLS, GARBLES, EXCEEDS, KINDS };
static const char *const commands[KINDS] = {
	[TURNED] = TAKE3 ANSWER("c") ANSWER("b") ANSWER("a") "cat",
	[DIES] = TAKE3 ANSWER("a") "kill -SEGV $$",
	[LEAVES] = "sleep 0.2; exit 3",
	[CLOSES] = LEASE "read -r a; exec <&-; " ANSWER("a") "sleep 3600",
	[STRAY] = TAKE3 ANSWER("a") ANSWER("a") "sleep 3600",
	[HANGS] = "sleep 3600",
	[TELLS] = TAKE3 "echo \"{\\\"lease\\\":\\\"$(lease \"$c\")\\\",\\\"progress\\\":1}\"; exit 3",
	[EXCEEDS] = TAKE3 "echo \"{\\\"lease\\\":\\\"$(lease \"$c\")\\\",\\\"progress\\\":101}\"; sleep 3600",
	[GARBLES] = TAKE3 "echo what; sleep 3600",
};

/* --- the owner -------------------------------------------------------------------------------------------------------------------- */

static void
mark(char *marks, const struct exec_run *x)
{
	marks[strlen(marks)] = (char)('0' + (x - runs));
}

static void
on_end(struct exec_run *x)
{
	mark(ends, x);
	if ((int)strlen(ends) == first)
		loop_stop(env.loop);
}

static void
on_begun(struct exec_run *x, int64_t since UNUSED)
{
	mark(begins, x);
}

static void
on_turn(void *arg UNUSED)
{
	exec_turn(&env);
	if (first == 0)
		loop_stop(env.loop);
}

static void
changed(void *arg UNUSED)
{
	loop_timer_set(turn, 0);
}

/* `n` tasks for the handler, once it has a child; they are written together. */
static void
begin(int which, int n)
{
	const struct conf_handler *h = &conf->handlers[which];

	first = 0;
	for (int i = 0; i < 1000 && !exec_ready(&env, h); i++)
		await_stop(env.loop, PATIENCE);
	memset(ends, 0, sizeof(ends));
	memset(begins, 0, sizeof(begins));
	for (int i = 0; i < n; i++) {
		rows[i] = (struct task_row){
			.task_type = SPAN("t"), .queue = SPAN("q"), .payload = SPAN("{}"), .max_attempts = 3
		};
		rows[i].id.b[0] = (uint8_t)i;
		arena_free(&runs[i].arena);
		runs[i] = (struct exec_run){ .magic = EXEC_RUN_MAGIC,
			.env = &env,
			.row = &rows[i],
			.handler = h,
			.attempt = 1,
			.lease_id = 7,
			.arena = arena_new(1024),
			.ended = on_end,
			.begun = on_begun };
		is_int(exec_start(&runs[i]), EXEC_BEGUN, "%s: task %d is given", h->title, i);
		is_int(runs[i].waits, i > 0, "%s: only the first is begun", h->title);
	}
	exec_flush(&env);
}

static void
wait_ends(int n)
{
	first = n;
	if ((int)strlen(ends) < n)
		await_stop(env.loop, PATIENCE);
	if (!is_int((int)strlen(ends), n, "%d ends", n))
		exit(1);
}

static const char *
end_of(int i)
{
	static const char *const names[] = { "success", "failure", "crash", "unbegun" };
	const struct exec_end *e = &runs[i].end;

	return e->failure != NULL ? e->failure->code : names[e->ending];
}

static void
ends_are(const char *what, const char *order, const char *const *want)
{
	is_str(ends, order, "%s: who ends when", what);
	for (int i = 0; want[i] != NULL; i++)
		is_str(end_of(i), want[i], "%s: the end of task %d", what, i);
}

/* --- tests ------------------------------------------------------------------------------------------------------------------------ */

static void
test_order(void)
{
	begin(TURNED, 3);
	wait_ends(3);
	ends_are("turned round", "210", (const char *const[]){ "success", "success", "success", NULL });
	ok(span_is(runs[2].end.result, "\"c\""), "to each its own");
	is_str(begins, "21", "what overtook was begun at last");
}

static void
test_blame(void)
{
	static const struct {
		int kind;
		const char *order, *what;
		const char *want[4];
	} rows_[] = {
		{ DIES, "021", "a crash", { "success", "SIGSEGV", "unbegun", NULL } },
		{ STRAY, "021", "a second answer", { "success", "PROTOCOL_ERROR", "unbegun", NULL } },
		{ TELLS, "210", "an exit after word of the last",
		    { "HANDLER_FAILED", "unbegun", "HANDLER_FAILED", NULL } },
		{ EXCEEDS, "210", "a wrong answer for the last", { "unbegun", "unbegun", "PROTOCOL_ERROR", NULL } },
		{ GARBLES, "210", "no answer at all", { "PROTOCOL_ERROR", "unbegun", "unbegun", NULL } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows_); i++) {
		begin(rows_[i].kind, 3);
		wait_ends(3);
		ends_are(rows_[i].what, rows_[i].order, rows_[i].want);
	}
	begin(LEAVES, 3);
	wait_ends(3);
	ends_are("nothing was read", "210", (const char *const[]){ "unbegun", "unbegun", "unbegun", NULL });
}

static void
test_stop(void)
{
	begin(HANGS, 3);
	exec_stop(&runs[0], SIGTERM);
	wait_ends(3);
	ends_are("the first is stopped", "210", (const char *const[]){ "SIGTERM", "unbegun", "unbegun", NULL });
	begin(HANGS, 3);
	exec_drop(&runs[1]);
	exec_stop(&runs[0], SIGKILL);
	wait_ends(2);
	ends_are("one is forgotten", "20", (const char *const[]){ "SIGKILL", NULL });
}

static void
test_deaf(void)
{
	begin(CLOSES, 2);
	wait_ends(2);
	is_str(end_of(0), "success", "what it has read it may answer");
	ok(runs[1].end.ending == EXEC_UNBEGUN || runs[1].end.ending == EXEC_FAILURE, "the rest has an end: %s",
	    end_of(1));
}

static void
test_places(void)
{
	const struct conf_handler *h = &conf->handlers[HANGS];

	begin(HANGS, 3);
	ok(exec_idle(&env, h), "there is a place for a fourth");
	exec_stop(&runs[0], SIGKILL);
	ok(!exec_idle(&env, h), "but not in a child that was asked to end");
	wait_ends(3);
}

int
main(void)
{
	static struct conf_handler handlers[KINDS];
	struct buf errors = { 0 };
	pid_t launcher;

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	conf = conf_load(NULL, &errors);
	if (!ok(conf != NULL, "default configuration"))
		return done();
	conf->handlers = handlers;
	conf->nhandlers = KINDS;
	for (int i = 0; i < KINDS; i++)
		handlers[i] =
		    (struct conf_handler){ .kind = CONF_HANDLER_POOL, .title = "pool", .children = 1, .pipeline = 4 };
	launcher = fake_launcher(commands);
	env = (struct exec_env){ .loop = loop_new(), .conf = conf, .changed = changed };
	turn = loop_timer_new(env.loop, on_turn, NULL);
	exec_open(&env);
	env.launch = launch_new(env.loop, fake_launcher_path, changed, NULL);
	launch_hello(env.launch, 7);
	test_order();
	test_blame();
	test_stop();
	test_deaf();
	test_places();
	exec_close(&env);
	launch_free(&env.launch);
	loop_timer_free(&turn);
	for (int i = 0; i < RUNS; i++)
		arena_free(&runs[i].arena);
	kill(launcher, SIGKILL);
	waitpid(launcher, NULL, 0);
	unlink(fake_launcher_path);
	loop_free(&env.loop);
	return done();
}
