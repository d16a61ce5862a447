/* run_exec_test.c - the kinds of work: builtin ones, and commands by way of a launcher. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/exec.h"
#include "run/launch_client.h"
#include "run/run_outcome.h"

#include "await.h"
#include "fake_launcher.h"

static struct conf *conf;
static struct exec_env env;
static struct exec_run run;
static bool ended, line_wanted;

static void
on_end(struct exec_run *x UNUSED)
{
	ended = true;
	loop_stop(env.loop);
}

/* Runs the loop until the run has ended, at most some seconds. */
static void
wait_end(void)
{
	if (!ended)
		await_stop(env.loop, PATIENCE);
	if (!ok(ended, "the run ended"))
		exit(1);
	run_outcome_judge(NULL, &run.end);
}

static enum exec_begin
begin(const struct conf_handler *h, const char *payload)
{
	static struct task_row row;
	enum exec_begin how;

	memset(&row, 0, sizeof(row));
	row.task_type = span_of("t");
	row.queue = span_of("q");
	row.payload = span_of(payload);
	row.max_attempts = 3;
	arena_free(&run.arena);
	run = (struct exec_run){ .magic = EXEC_RUN_MAGIC, .env = &env, .row = &row, .handler = h, .attempt = 1 };
	run.arena = arena_new(1024);
	run.ended = on_end;
	ended = false;
	how = exec_start(&run);
	if (how == EXEC_ENDED)
		run_outcome_judge(NULL, &run.end);
	return how;
}

static const struct task_failure *
failure(void)
{
	static const struct task_failure none = { 0 };

	return run.end.failure != NULL && run.end.ending != EXEC_SUCCESS ? run.end.failure : &none;
}

static void
is_failure(enum task_class class, const char *code, const char *message, const char *what)
{
	is_int(run.end.ending, class == TASK_CRASH ? EXEC_CRASH : EXEC_FAILURE, "%s: ending", what);
	is_int(failure()->class, class, "%s: class", what);
	is_str(failure()->code, code, "%s: code", what);
	is_str(failure()->message, message, "%s: message", what);
}

static void
is_success(const char *result, const char *what)
{
	is_int(run.end.ending, EXEC_SUCCESS, "%s: success (%s)", what, failure()->message);
	ok(run.end.ending == EXEC_SUCCESS && span_is(run.end.result, result), "%s: result %.*s", what,
	    (int)run.end.result.len, run.end.result.ptr);
}

static void
test_text(void)
{
	static const struct {
		const char *in, *out;
		size_t size;
	} rows[] = {
		{ "plain", "plain", 10 },
		{ "too long", "too", 4 },
		{ "\xC3\xA9t\xC3\xA9", "\xC3\xA9t", 5 },
		{ "bad\xFFutf\xC3", "bad\xEF\xBF\xBDutf\xEF\xBF\xBD", 40 },
		{ "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 40 },
		{ "\x1B[1mred\r", "\xEF\xBF\xBD[1mred\xEF\xBF\xBD", 40 },
	};
	struct span rest = span_of("one\ntwo\nthreefour x a\n\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC");
	char to[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)exec_text_clean(to, rows[i].size, span_of(rows[i].in));
		is_str(to, rows[i].out, "clean text %zu", i);
	}
	(void)exec_text_clean(to, sizeof(to), (struct span){ "a\0b", 3 });
	is_str(to,
	    "a\xEF\xBF\xBD"
	    "b",
	    "no NUL in clean text");
	ok(span_is(exec_text_last_line(span_of("one\ntwo  \n\n \n")), "two"), "last line");
	ok(span_is(exec_text_last_line(span_of("progress\rdone")), "done"), "last line after a carriage return");
	is_int(exec_text_last_line(span_of(" \n")).len, 0, "no line");
	ok(span_is(exec_text_take(&rest, 8), "one\ntwo"), "whole lines are taken");
	ok(span_is(exec_text_take(&rest, 8), "threefou"), "a long line is cut");
	ok(span_is(exec_text_take(&rest, 8), "r x a"), "and what was left of it");
	ok(span_is(exec_text_take(&rest, 8), "\xE2\x82\xAC\xE2\x82\xAC"), "not within a character");
	ok(span_is(exec_text_take(&rest, 8), "\xE2\x82\xAC") && rest.len == 0, "to the end");
}

static struct conf_handler
builtin(enum conf_builtin which)
{
	return (struct conf_handler){ .title = "t", .kind = CONF_HANDLER_BUILTIN, .builtin = (int)which };
}

static void
test_builtin(void)
{
	struct conf_handler noop = builtin(CONF_BUILTIN_NOOP), echo = builtin(CONF_BUILTIN_ECHO);
	struct conf_handler nap = builtin(CONF_BUILTIN_SLEEP), fail = builtin(CONF_BUILTIN_FAIL);

	is_int(begin(&noop, "{}"), EXEC_ENDED, "noop is over at once");
	is_success("", "noop");
	is_int(begin(&echo, "{\"a\": [1.0, 2e400, \"\\u0000\"]}"), EXEC_ENDED, "echo is over at once");
	is_success("{\"a\": [1.0, 2e400, \"\\u0000\"]}", "echo, byte for byte");

	is_int(begin(&nap, "{\"seconds\": 0.01}"), EXEC_BEGUN, "sleep takes its time");
	wait_end();
	is_success("", "sleep");
	is_int(begin(&nap, "{\"seconds\": 3600}"), EXEC_BEGUN, "a long sleep");
	exec_stop(&run, SIGTERM);
	ok(!ended, "a stop does not end it inside the call");
	wait_end();
	is_int(run.end.ending, EXEC_FAILURE, "a stopped sleep is not a success");
	is_int(begin(&nap, "{\"seconds\": 3600}"), EXEC_BEGUN, "a sleep to be dropped");
	exec_drop(&run);
	ok(run.state == NULL, "dropped");
	for (const char *const *bad = (const char *const[]){ "{}", "{\"seconds\": \"1\"}", "{\"seconds\": -1}", "[1]",
		 "{\"seconds\": 1e300}", NULL };
	     *bad != NULL; bad++) {
		is_int(begin(&nap, *bad), EXEC_ENDED, "sleep refuses %s", *bad);
		is_str(failure()->code, "INVALID_PAYLOAD", "sleep refuses %s", *bad);
		is_int(failure()->class, TASK_NON_RETRYABLE, "sleep refuses %s for good", *bad);
	}

	is_int(begin(&fail, "{}"), EXEC_ENDED, "fail is over at once");
	is_failure(TASK_TRANSIENT, "HANDLER_FAILED", "failed as asked", "fail");
	(void)begin(&fail, "{\"error_class\": \"RATE_LIMITED\", \"error_code\": \"slow-down\", \"message\": "
			   "\"w\xC3\xA9\", \"retry_after\": 7}");
	is_failure(TASK_RATE_LIMITED, "SLOW_DOWN", "w\xC3\xA9", "fail as told");
	is_int(run.end.retry_after, 7 * CLOCK_SECOND, "retry_after");
	(void)begin(&fail, "{\"error_class\": \"WEIRD\"}");
	ok(run.end.unknown_class, "a class that nobody knows");
	(void)begin(&fail, "{\"error_class\": \"CRASH\"}");
	ok(run.end.unknown_class, "a handler cannot report a crash");
	(void)begin(&fail, "{\"error_code\": \"odd one\"}");
	ok(run.end.unknown_code, "a code that nobody knows, and no class");
	is_str(failure()->code, "ODD_ONE", "it stays the code");
	(void)begin(&fail, "{\"error_class\": \"NON_RETRYABLE\", \"error_code\": \"\\ud800x\", \"message\": "
			   "\"half \\udfff\", \"retry_after\": 1e999}");
	is_failure(TASK_NON_RETRYABLE, "___X", "half \xEF\xBF\xBD", "what cannot be read does not hide the class");
	is_int(run.end.retry_after, -1, "and is not heard");
	(void)begin(&fail,
	    "{\"error_class\": \"AUTH\\u0000\", \"error_code\": \"\\u0000\", \"message\": \"a\\u0000b\\u001b[1m\"}");
	ok(run.end.unknown_class, "a class is the whole word");
	is_str(failure()->code, "_", "a code is never empty");
	ok(strstr(failure()->message, "a\xEF\xBF\xBD"
				      "b\xEF\xBF\xBD[1m") != NULL,
	    "a message has no control characters");
	(void)begin(&fail, "{\"error\\u005fclass\": \"AUTH\", \"error_code\": \"\"}");
	is_failure(TASK_AUTH, "HANDLER_FAILED", "failed as asked", "a name that is written otherwise");
	(void)begin(&fail, "{\"error_class\": [\"AUTH\"], \"x\": {\"error_class\": \"AUTH\"}, \"retry_after\": \"1\"}");
	is_failure(TASK_TRANSIENT, "HANDLER_FAILED", "failed as asked", "only strings, and of the object itself");
	(void)begin(&fail, "{\"retry_after\": 1e300}");
	is_int(run.end.retry_after, 7 * 86400 * CLOCK_SECOND, "retry_after is bounded");
	is_int(run.end.snooze, -1, "nobody put it off");
	ok(!exec_snooze(&run, -1) && run.end.snooze == -1, "nor can it be put off to the past");
	ok(exec_snooze(&run, 2.5), "put off");
	is_int(run.end.snooze, 2500 * CLOCK_MS, "for so long");
	is_str(failure()->code, "SNOOZED", "beside a failure");
	(void)begin(&fail, "[]");
	is_str(failure()->code, "INVALID_PAYLOAD", "fail wants an object");
}

/* --- commands ------------------------------------------------------------------------------------------------------------------- */

enum {
	CAT,
	ECHO_TYPE,
	EMPTY,
	TEXT,
	STATUS3,
	SPOKEN,
	NOISY,
	SEGV,
	HANG,
	STUBBORN,
	DEAF,
	CLOSED,
	MISSING,
	NO_INPUT,
	CODE66,
	LATER,
	TEMPFAIL,
	COMMANDS
};
static const char *const commands[COMMANDS] = {
	[CAT] = "cat",
	[ECHO_TYPE] = "printf ' {\"ok\": true} \\n'; echo noise >&2",
	[EMPTY] = "true",
	[TEXT] = "echo hello world",
	[STATUS3] = "exit 3",
	[SPOKEN] = "echo '{\"error_class\": \"NON_RETRYABLE\", \"error_code\": \"NO_SUCH\", \"message\": \"gone\"}'; "
		   "echo other >&2; exit 9",
	[NOISY] = "yes",
	[SEGV] = "kill -SEGV $$",
	[HANG] = "exec sleep 3600",
	[STUBBORN] = "trap '' TERM; : > $MARK; while :; do sleep 3600; done",
	[DEAF] = "exec <&-; echo '{}'",
	[CLOSED] = "echo 5; exec >&- 2>&-; sleep 0.1; exit 0",
	[MISSING] = "!/no/such",
	[NO_INPUT] = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; printf 'last \\377 "
		     "words\\n\\n' >&2; exit 1",
	[CODE66] = "exit 66",
	[LATER] = "echo '{\"snooze\": 1.5}'; echo busy >&2; exit 75",
	[TEMPFAIL] = "echo '{\"snooze\": \"soon\"}'; echo busy >&2; exit 75",
};

static void
run_command(int which, const char *payload)
{
	is_int(begin(&conf->handlers[which], payload), EXEC_BEGUN, "started \"%s\"", commands[which]);
}

static char *
big_payload(size_t len)
{
	char *p = mem_alloc(len + 3);

	memset(p, 'x', len + 2);
	p[0] = p[len + 1] = '"';
	p[len + 2] = '\0';
	return p;
}

static void
test_ends(void)
{
	run_command(ECHO_TYPE, "{}");
	wait_end();
	is_success("{\"ok\": true}", "a JSON value, trimmed");
	run_command(EMPTY, "{}");
	wait_end();
	is_success("", "no output");
	run_command(TEXT, "{}");
	wait_end();
	is_failure(
	    TASK_TRANSIENT, "BAD_OUTPUT", "standard output is not one JSON value but begins \"hello world\"", "text");
	run_command(LATER, "{}");
	wait_end();
	is_int(run.end.snooze, 1500 * CLOCK_MS, "put off by status 75 and its output");
	run_command(TEMPFAIL, "{}");
	wait_end();
	is_int(run.end.snooze, -1, "without a number of seconds");
	is_failure(TASK_TRANSIENT, "HANDLER_FAILED", "busy", "status 75 is a failure like others");
	run_command(STATUS3, "{}");
	wait_end();
	is_failure(TASK_TRANSIENT, "HANDLER_FAILED", "exit 3", "a silent failure");
	run_command(CODE66, "{}");
	wait_end();
	is_failure(TASK_NON_RETRYABLE, "EX_NOINPUT", "exit 66", "a status with a meaning");
	run_command(NO_INPUT, "{}");
	wait_end();
	is_failure(TASK_TRANSIENT, "HANDLER_FAILED", "last \xEF\xBF\xBD words", "the last line of much stderr");
	run_command(SPOKEN, "{}");
	wait_end();
	is_failure(TASK_NON_RETRYABLE, "NO_SUCH", "gone", "a handler that speaks for itself");
	run_command(SEGV, "{}");
	wait_end();
	is_int(run.end.ending, EXEC_CRASH, "a signal is a crash");
	is_str(failure()->code, "SIGSEGV", "and says which");
	run_command(MISSING, "{}");
	wait_end();
	is_failure(
	    TASK_TRANSIENT, "START_FAILED", "could not execute \"/no/such\": No such file or directory", "refused");
	run_command(CLOSED, "{}");
	wait_end();
	is_success("5", "outputs closed early: the exit decides");
}

static void
test_input(void)
{
	char *big = big_payload(60000), *huge = big_payload(900000);

	run_command(CAT, "{\"n\": 1}");
	wait_end();
	is_int(run.end.ending, EXEC_SUCCESS, "the envelope comes back");
	ok(memmem(run.end.result.ptr, run.end.result.len, "\"payload\":{\"n\": 1}", 18) != NULL,
	    "with the payload: %.*s", (int)run.end.result.len, run.end.result.ptr);
	run_command(CAT, big);
	wait_end();
	is_int(run.end.ending, EXEC_SUCCESS, "a big one too");
	ok(run.end.result.len > 60000, "whole");
	run_command(CAT, huge);
	wait_end();
	is_str(failure()->code, "OUTPUT_TOO_LARGE", "more output than allowed");
	run_command(DEAF, huge);
	wait_end();
	is_success("{}", "who does not read its input harms nobody");
	mem_free(&big);
	mem_free(&huge);
}

static void
test_stops(void)
{
	run_command(NOISY, "{}");
	wait_end();
	is_str(failure()->code, "OUTPUT_TOO_LARGE", "endless output is killed");
	is_int(failure()->class, TASK_NON_RETRYABLE, "for good");
	run_command(HANG, "{}");
	exec_stop(&run, SIGTERM);
	wait_end();
	is_str(failure()->code, "SIGTERM", "a stop ends it");
	run_command(STUBBORN, "{}");
	for (int i = 0; i < 10000 && access(getenv("MARK"), F_OK) != 0; i++)
		usleep(1000);
	unlink(getenv("MARK"));
	exec_stop(&run, SIGTERM);
	exec_stop(&run, SIGKILL);
	wait_end();
	is_str(failure()->code, "SIGKILL", "a kill ends what ignores a stop");
	run_command(HANG, "{}");
	exec_drop(&run);
	ok(run.state == NULL, "dropped");
}

static void
test_lost_launcher(pid_t launcher)
{
	run_command(HANG, "{}");
	kill(launcher, SIGKILL);
	wait_end();
	is_int(run.end.ending, EXEC_CRASH, "its launcher died: a crash");
	is_str(failure()->code, "LAUNCHER_LOST", "and said so");
	is_int(begin(&conf->handlers[EMPTY], "{}"), EXEC_LATER, "without a launcher nothing starts");
	waitpid(launcher, NULL, 0);
	unlink(fake_launcher_path);
	launcher = fake_launcher(commands);
	while (!launch_ready(env.launch)) {
		line_wanted = true;
		loop_run(env.loop); /* the change stops it */
	}
	line_wanted = false;
	run_command(EMPTY, "{}");
	wait_end();
	is_success("", "a new launcher is found");
	launch_hello(env.launch, 8);
	ok(!launch_ready(env.launch), "a new identity takes a new line");
	kill(launcher, SIGKILL);
	waitpid(launcher, NULL, 0);
}

static void
on_line(void *arg UNUSED)
{
	if (line_wanted)
		loop_stop(env.loop);
}

int
main(void)
{
	struct buf errors = { 0 };
	static struct conf_handler handlers[COMMANDS];
	char mark[64];
	pid_t launcher;

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	conf = conf_load(NULL, &errors);
	ok(conf != NULL, "default configuration");
	if (conf == NULL)
		return done();
	conf->handlers = handlers;
	conf->nhandlers = COMMANDS;
	for (int i = 0; i < COMMANDS; i++)
		handlers[i].kind = CONF_HANDLER_EXEC;
	snprintf(mark, sizeof(mark), "/tmp/taskq-run-exec-mark.%d", (int)getpid());
	setenv("MARK", mark, 1);
	launcher = fake_launcher(commands);
	env = (struct exec_env){ .loop = loop_new(), .conf = conf };
	exec_open(&env);
	test_text();
	test_builtin();
	is_int(begin(&handlers[EMPTY], "{}"), EXEC_LATER, "no launcher: not now");
	env.launch = launch_new(env.loop, fake_launcher_path, on_line, NULL);
	launch_hello(env.launch, 7);
	ok(launch_ready(env.launch), "connected");
	test_ends();
	test_input();
	test_stops();
	test_lost_launcher(launcher);
	exec_close(&env);
	launch_free(&env.launch);
	unlink(fake_launcher_path);
	arena_free(&run.arena);
	loop_free(&env.loop);
	return done();
}
