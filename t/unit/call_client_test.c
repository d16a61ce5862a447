/* call_client_test.c - calls on a loop: each ends exactly once or is cancelled, also from within another's end; connections are kept. */
#include <signal.h>

#include "base/clock.h"
#include "call/call.h"
#include "t/unit/await.h"
#include "t/unit/fake_service.h"

static struct loop *loop;
static struct conf *conf;
static struct call_client *client;

/* --- calls ------------------------------------------------------------------------------------------------------------------------ */

struct end {
	int times;
	enum call_ending ending;
	int status;
	char body[64];
	struct call *cancels; /* in its callback */
	struct end *starts;
};
static int waiting;
static char url[64];

static void on_end(void *arg, const struct call_answer *a);

static struct call *
start_to(const char *to, int64_t timeout, struct end *e)
{
	static const char *const headers[] = { "X-Test: 1", NULL };
	struct call_request r = {
		.method = "POST",
		.url = to,
		.headers = headers,
		.body = SPAN("{}"),
		.timeout = timeout,
		.max_body = sizeof(e->body) - 1,
		.ca_file = "",
	};

	waiting++;
	return call_start(client, &r, on_end, e);
}

static struct call *
start(struct end *e)
{
	return start_to(url, 0, e);
}

static void
on_end(void *arg, const struct call_answer *a)
{
	struct end *e = arg;

	e->times++;
	e->ending = a->ending;
	e->status = a->status;
	snprintf(e->body, sizeof(e->body), "%.*s", (int)a->body.len, a->body.ptr);
	call_cancel(&e->cancels);
	if (e->starts != NULL)
		(void)!start(e->starts);
	if (--waiting == 0)
		loop_stop(loop);
}

static void
test_answers(void)
{
	struct end one = { 0 }, two = { 0 };

	service.says = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue";
	one.starts = &two;
	(void)!start(&one);
	is_int(one.times, 0, "nothing happens within the call");
	await_stop(loop, PATIENCE);
	is_int(one.times, 1, "it ended once");
	is_int(one.ending, CALL_ANSWERED, "answered");
	is_str(one.body, "true", "with its body");
	is_int(two.times, 1, "a call that was started by the end of another ended too");
	is_int(two.status, 200, "with a status");
	is_int(service.npeers, 1, "on the same connection");
	service.says =
	    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
	one = (struct end){ 0 };
	(void)!start(&one);
	await_stop(loop, PATIENCE);
	is_int(one.ending, CALL_TOO_LARGE, "more than the caller takes");
	is_int(one.status, 200, "the status is there");
	is_int(strlen(one.body), 63, "and what fits");
}

static void
test_cancel(void)
{
	struct end one = { 0 }, two = { 0 };
	struct call *c;
	int before = service.npeers;

	service.says = NULL;
	c = start(&one);
	call_cancel(&c);
	ok(c == NULL, "cancelled at once");
	c = start(&one);
	await_stop(loop, CLOCK_SECOND / 5);
	is_int(service.npeers, before + 1, "connected");
	call_cancel(&c);
	c = start_to("http://localhost:1/", 0, &one);
	call_cancel(&c);
	service.says = "HTTP/1.1 204 No\r\n\r\n";
	two.cancels = start(&one);
	one.cancels = start(&two);
	waiting = 1;
	await_stop(loop, PATIENCE);
	is_int(one.times + two.times, 1, "whoever ends first cancels the other");
	is_int(one.times ? one.ending : two.ending, CALL_ANSWERED, "in good order");
	await_stop(loop, CLOCK_SECOND / 10);
	is_int(one.times + two.times, 1, "which stays so");
}

static void
test_trouble(void)
{
	struct end silent = { 0 }, forbidden = { 0 }, last = { 0 };

	service.says = NULL;
	waiting = 0;
	(void)!start_to(url, CLOCK_SECOND / 10, &silent);
	(void)!start_to("http://127.0.0.2:1/", 0, &forbidden);
	await_stop(loop, PATIENCE);
	is_int(silent.ending, CALL_TIMED_OUT, "no answer in time");
	is_int(silent.times, 1, "once");
	is_int(forbidden.ending, CALL_FORBIDDEN, "the guard is asked");
	(void)!start(&last);
	call_client_free(&client);
	ok(client == NULL && last.times == 0, "a client that goes forgets its calls");
}

int
main(void)
{
	static const char *allow[] = { "127.0.0.1", NULL };
	struct buf errors = { 0 };

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	conf = conf_load(NULL, &errors);
	if (conf == NULL)
		abort();
	conf->call.allow = (struct conf_list){ allow, 1 };
	service_open(loop);
	client = call_client_new(loop, conf);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", service.port);
	test_answers();
	test_cancel();
	test_trouble();
	service_close();
	loop_free(&loop);
	conf_free(&conf);
	buf_free(&errors);
	return done();
}
