/* run_http_test.c - a run by a service: its end, whichever way it comes, and a stop that is the end of the call. */
#include <signal.h>

#include "base/clock.h"
#include "call/call.h"
#include "run/exec.h"

#include "t/unit/await.h"
#include "t/unit/fake_service.h"

static struct conf *conf;
static struct conf_handler handler;
static struct exec_env env;
static struct exec_run run;
static bool ended;

static void
on_end(struct exec_run *x UNUSED)
{
	ended = true;
	loop_stop(env.loop);
}

static void
turn(int64_t us)
{
	if (!ended)
		await_stop(env.loop, us);
}

static void
begin(const char *answer)
{
	static struct task_row row;

	row = (struct task_row){ .queue = SPAN("q"), .task_type = SPAN("t"), .payload = SPAN("{}"), .max_attempts = 3 };
	arena_free(&run.arena);
	run = (struct exec_run){ .magic = EXEC_RUN_MAGIC, .env = &env, .row = &row, .handler = &handler, .attempt = 2 };
	run.arena = arena_new(1024);
	run.ended = on_end;
	ended = false;
	service.says = answer;
	is_int(exec_start(&run), EXEC_BEGUN, "begun");
}

static void
run_whole(const char *answer)
{
	begin(answer);
	turn(20 * CLOCK_SECOND);
	ok(ended && run.state == NULL, "ended, and nothing is left");
}

static const char *
code(void)
{
	return run.end.ending == EXEC_SUCCESS ? "success" : run.end.failure->code;
}

static void
test_ends(void)
{
	run_whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]");
	is_str(code(), "success", "a JSON value");
	ok(span_is(run.end.result, "[1]"), "is the result");
	ok(strstr(service.heard, "\r\nTaskq-Attempt: 2\r\n") != NULL, "the attempt was told");
	run_whole("HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
	is_str(code(), "HTTP_503", "a status");
	is_int(run.end.retry_after, 7 * CLOCK_SECOND, "and when to come again");
	is_int(run.end.failure->exit, TASK_EXIT_HTTP + 503, "for the rules");
	run_whole("HTTP/1.1 500 No\r\nRetry-After: 7\r\nContent-Length: 17\r\n\r\n{\"retry_after\":9}");
	is_int(run.end.retry_after, 9 * CLOCK_SECOND, "the body knows better");
	run_whole("HTTP/1.1 200 OK\r\nTaskq-Snooze: 60\r\nContent-Length: 0\r\n\r\n");
	is_int(run.end.snooze, 60 * CLOCK_SECOND, "put off by 200");
	run_whole("HTTP/1.1 503 No\r\ntaskq-snooze: 1.5\r\nContent-Length: 0\r\n\r\n");
	is_int(run.end.snooze, 1500 * CLOCK_MS, "put off by 503");
	run_whole("HTTP/1.1 500 No\r\nTaskq-Snooze: 60\r\nContent-Length: 0\r\n\r\n");
	is_int(run.end.snooze, -1, "not by 500");
	for (const char *const *bad =
		 (const char *const[]){ "soon", "-1", "0x10", "nan", "inf", "1e999", "5s", "\"5\"", NULL };
	     *bad != NULL; bad++) {
		char answer[128];

		snprintf(
		    answer, sizeof(answer), "HTTP/1.1 200 OK\r\nTaskq-Snooze: %s\r\nContent-Length: 0\r\n\r\n", *bad);
		run_whole(answer);
		is_int(run.end.snooze, -1, "not by %s", *bad);
		is_str(run.end.failure->code, "BAD_OUTPUT", "%s is no success either", *bad);
	}
	run_whole("HTTP/1.1 503 No\r\nTaskq-Snooze: soon\r\nContent-Length: 0\r\n\r\n");
	is_str(code(), "HTTP_503", "nor by a word");
}

static void
test_stop(void)
{
	begin(NULL);
	turn(CLOCK_SECOND / 10);
	ok(!ended, "no answer");
	exec_stop(&run, SIGTERM);
	ok(!ended, "a stop does not end it inside the call");
	exec_stop(&run, SIGKILL);
	turn(20 * CLOCK_SECOND);
	ok(ended && run.state == NULL, "but soon");
	is_int(run.end.ending, EXEC_FAILURE, "and is not a success");
	begin(NULL);
	turn(CLOCK_SECOND / 10);
	exec_drop(&run);
	turn(CLOCK_SECOND / 10);
	ok(!ended && run.state == NULL, "a dropped run does not end");
}

int
main(void)
{
	static const char *allow[] = { "127.0.0.1", NULL };
	char url[64];
	struct buf errors = { 0 };

	signal(SIGPIPE, SIG_IGN);
	conf = conf_load(NULL, &errors);
	if (conf == NULL)
		abort();
	conf->call.allow = (struct conf_list){ allow, 1 };
	env = (struct exec_env){ .loop = loop_new(), .conf = conf };
	env.calls = call_client_new(env.loop, conf);
	service_open(env.loop);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", service.port);
	handler = (struct conf_handler){ .title = "t", .kind = CONF_HANDLER_HTTP, .url = url, .ca_file = "" };
	test_ends();
	test_stop();
	arena_free(&run.arena);
	call_client_free(&env.calls);
	service_close();
	loop_free(&env.loop);
	conf_free(&conf);
	buf_free(&errors);
	return done();
}
