/* stats_stats_test.c - numbers of several processes: counted in forks, folded at deaths, printed as Prometheus wants them. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "stats/stats.h"
#include "sys/sys.h"
#include "t/unit/tap.h"

static char path[64];
#define HOUR (3600 * CLOCK_SECOND)

static struct stats *region;

static bool
has_line(const char *text, const char *line)
{
	size_t n = strlen(line);
	const char *at;

	for (at = text; (at = strstr(at, line)) != NULL; at++)
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
	printf("# no line: %s\n", line);
	return false;
}

static int
count(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

/* What a child counts: some of everything. */
static void
work(int index)
{
	int a = stats_series(SPAN("default"), SPAN("email")), b = stats_series(SPAN("bulk"), SPAN("email")), i;

	stats_doing("running");
	stats_set(S_RUNNING, 3);
	stats_set(S_SPOOL_OLDEST, clock_wall() - (index == 0 ? 7 : 3) * HOUR);
	for (i = 0; i < 1000; i++)
		stats_inc(S_PG_STATEMENTS);
	stats_add(S_KEY_NEW, 5);
	stats_inc(S_KEY_BUSY);
	stats_submitted(a, 7);
	stats_finished(a, STATS_SUCCEEDED, 0.02);
	stats_finished(b, STATS_SUCCEEDED, 4000);
	stats_finished(b, STATS_RETRIED, -1);
	stats_waited(a, -0.5);
	stats_http(0, 202, 0.004);
	stats_http(1, 200, 0.001);
	stats_http(-1, 404, 20);
	stats_observe(H_BATCH, 10);
	stats_observe(H_BATCH, 11);
	stats_heartbeat();
	if (index == 1)
		stats_panic("panic at x.c:1: something");
}

/* A child that counts, tells that it has, and waits to be killed. */
static pid_t
start_child(int slot, int index)
{
	int p[2];
	char c;
	pid_t pid;

	MUST(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		stats_attach(region, slot);
		work(index);
		MUST(write(p[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	stats_slot_pid(region, slot, pid);
	close(p[1]);
	MUST(read(p[0], &c, 1) == 1);
	close(p[0]);
	return pid;
}

static void
end_child(pid_t pid, int slot)
{
	kill(pid, SIGKILL);
	MUST(waitpid(pid, NULL, 0) == pid);
	stats_slot_release(region, slot);
}

/* Seconds in the line of the oldest. */
static long
oldest(const char *text)
{
	const char *at = strstr(text, "\ntaskq_spool_oldest_seconds ");

	return at == NULL ? -1 : atol(strchr(at, ' '));
}

static void
test_text(const char *text)
{
	ok(oldest(text) >= 7 * 3600 && oldest(text) < 8 * 3600, "the oldest of two, in seconds: %ld", oldest(text));
	ok(has_line(text, "# TYPE taskq_idempotency_total counter") &&
		count(text, "# TYPE taskq_idempotency_total ") == 1,
	    "one head for a family of four rows");
	ok(has_line(text, "taskq_idempotency_total{outcome=\"new\"} 10"), "fixed labels");
	ok(has_line(text, "taskq_idempotency_total{outcome=\"replay\"} 0"), "zero is printed");
	ok(has_line(text, "taskq_tasks_finished_total{queue=\"default\",task_type=\"email\",outcome=\"succeeded\"} 2"),
	    "by series and outcome");
	ok(has_line(
	       text, "taskq_tasks_finished_total{queue=\"default\",task_type=\"email\",outcome=\"dead_letter\"} 0"),
	    "a known series has all its outcomes");
	ok(has_line(
	       text, "taskq_task_run_duration_seconds_bucket{queue=\"default\",task_type=\"email\",le=\"0.01\"} 0") &&
		has_line(text,
		    "taskq_task_run_duration_seconds_bucket{queue=\"default\",task_type=\"email\",le=\"0.025\"} 2") &&
		has_line(text,
		    "taskq_task_run_duration_seconds_bucket{queue=\"default\",task_type=\"email\",le=\"+Inf\"} 2") &&
		has_line(text, "taskq_task_run_duration_seconds_count{queue=\"default\",task_type=\"email\"} 2") &&
		has_line(text, "taskq_task_run_duration_seconds_sum{queue=\"default\",task_type=\"email\"} 0.040000"),
	    "a histogram is cumulative");
	ok(has_line(text, "taskq_task_run_duration_seconds_bucket{queue=\"bulk\",task_type=\"email\",le=\"3600\"} 0") &&
		has_line(
		    text, "taskq_task_run_duration_seconds_bucket{queue=\"bulk\",task_type=\"email\",le=\"+Inf\"} 2"),
	    "above the last bound is +Inf; an outcome without a run is not in it");
	ok(has_line(
	       text, "taskq_task_queue_wait_seconds_bucket{queue=\"default\",task_type=\"email\",le=\"0.005\"} 2") &&
		has_line(text, "taskq_task_queue_wait_seconds_sum{queue=\"default\",task_type=\"email\"} 0.000000"),
	    "a clock that stepped back waited no time");
	ok(has_line(text, "taskq_submit_batch_tasks_bucket{le=\"10\"} 2") &&
		has_line(text, "taskq_submit_batch_tasks_bucket{le=\"20\"} 4"),
	    "a bound belongs to its bucket");
	ok(has_line(text, "taskq_http_requests_total{method=\"POST\",route=\"/v1/tasks\",code=\"202\"} 2") &&
		has_line(text, "taskq_http_requests_total{method=\"other\",route=\"other\",code=\"404\"} 2"),
	    "requests by route and status, also without a route");
	ok(has_line(
	       text, "taskq_http_request_duration_seconds_bucket{method=\"GET\",route=\"/metrics\",le=\"0.001\"} 2"),
	    "and their times");
	ok(has_line(text, "taskq_process_up{role=\"worker\",index=\"0\"} 1") &&
		has_line(text, "taskq_process_up{role=\"supervisor\",index=\"0\"} 1"),
	    "who is up");
	ok(strstr(text, "\ntaskq_build_info{version=\"") != NULL &&
		strstr(text, "\nprocess_cpu_seconds_total ") != NULL &&
		strstr(text, "\nprocess_resident_memory_bytes ") != NULL,
	    "build and process");
}

static void
test_aliases(const char *text)
{
	ok(has_line(text, "http_requests_total{method=\"POST\",path=\"/v1/tasks\",status=\"202\"} 2"),
	    "alias: requests");
	ok(strstr(text, "path=\"/metrics\"") == NULL, "without /metrics");
	ok(has_line(text, "http_requests_in_flight 0"), "alias: in flight");
	ok(has_line(text, "idempotency_events_total{outcome=\"race\"} 2"), "alias: keys");
	ok(has_line(text, "tasks_processed_total{task_type=\"email\",outcome=\"succeeded\"} 4"),
	    "alias: queues are added up");
	ok(has_line(text, "tasks_processed_total{task_type=\"email\",outcome=\"will_retry\"} 2") &&
		strstr(text, "tasks_processed_total{task_type=\"email\",outcome=\"cancelled\"}") == NULL,
	    "alias: its three outcomes");
	ok(has_line(text, "task_handler_duration_seconds_count{task_type=\"email\"} 4"), "alias: run times");
}

/* The rules of the format, for every line: one block per family, TYPE first, each series once. */
static void
test_format(char *text)
{
	char *line, *save = NULL, *seen[4096], family[128] = "";
	int n = 0, wrong = 0, i;

	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "# TYPE ", 7) == 0)
			sscanf(line + 7, "%127s", family);
		for (i = 0; i < n && strncmp(line, "# HELP ", 7) == 0; i++)
			if (strncmp(seen[i], line, strcspn(line + 7, " ") + 8) == 0)
				wrong++;
		if (line[0] != '#' && strncmp(line, family, strlen(family)) != 0)
			wrong++;
		if (line[0] != '#' && strrchr(line, ' ') != NULL)
			*strrchr(line, ' ') = '\0';
		for (i = 0; i < n; i++)
			if (strcmp(seen[i], line) == 0 && line[0] != '#')
				wrong++;
		if (n < (int)ARRAY_LEN(seen))
			seen[n++] = line;
	}
	ok(n > 200 && n < (int)ARRAY_LEN(seen), "a page of lines");
	is_int(wrong, 0, "every family in one block, every series once");
}

static void
test_life(void)
{
	struct stats_process p[8];
	struct buf text = { 0 };
	char panic[STATS_PANIC];
	int one = stats_slot_take(region, "worker", 0, 1), two = stats_slot_take(region, "worker", 1, 1);
	pid_t a = start_child(one, 0), b = start_child(two, 1);

	ok(one > 0 && two > 0 && one != two, "slots");
	is_int(stats_sum(region, S_PG_STATEMENTS), 2000, "two processes count");
	is_int(stats_sum(region, S_RUNNING), 6, "gauges are added up");
	stats_metrics(region, &text);
	test_text(buf_cstr(&text));
	test_aliases(buf_cstr(&text));
	end_child(b, two);
	is_int(stats_sum(region, S_PG_STATEMENTS), 2000, "totals stay when one dies");
	is_int(stats_sum(region, S_RUNNING), 3, "gauges go");
	stats_last_panic(region, panic);
	is_str(panic, "panic at x.c:1: something", "its last words stay");
	two = stats_slot_take(region, "keeper", 0, 2);
	is_int(stats_processes(region, p, 8), 2, "living processes");
	ok(strcmp(p[0].role, "worker") == 0 && p[0].pid == a && strcmp(p[0].doing, "running") == 0 &&
		p[0].heartbeat > 0,
	    "the first");
	ok(strcmp(p[1].role, "keeper") == 0 && p[1].generation == 2 && p[1].pid == 0 && p[1].doing[0] == '\0',
	    "the place of the dead is empty");
	b = start_child(two, 0);
	is_int(stats_sum(region, S_PG_STATEMENTS), 3000, "and the next counts on");
	is_int(stats_sum_submitted(region) * 100 + stats_sum_finished(region, STATS_SUCCEEDED) * 10 +
		   stats_sum_requests(region),
	    2169, "sums of families");
	end_child(a, one);
	end_child(b, two);
	is_int(stats_sum(region, S_PG_STATEMENTS), 3000, "all dead, nothing lost");
	buf_reset(&text);
	stats_metrics(region, &text);
	(void)buf_cstr(&text);
	test_format(text.data);
	buf_free(&text);
}

/* A reader beside deaths and births: no total ever goes back. */
static void
test_never_back(void)
{
	struct stats *reader = stats_map(path);
	int fill[STATS_SLOTS - 2], i, slot, back = 0;
	int64_t last = 0, now;
	pid_t pid;

	/* With the other slots taken a reader passes slot 0 long before the slot that is folded into it. */
	for (i = 0; i < (int)ARRAY_LEN(fill); i++)
		fill[i] = stats_slot_take(region, "filler", i, 3);
	pid = fork();
	if (pid == 0) { /* the supervisor of this test */
		for (i = 0; i < 60; i++) {
			slot = stats_slot_take(region, "worker", i, 3);
			stats_attach(region, slot);
			stats_add(S_REAPED, 1000);
			usleep(4000); /* longer than a reader needs, so that it is seen alive */
			stats_slot_release(region, slot);
		}
		_exit(0);
	}
	alarm(60);
	do {
		now = stats_sum(reader, S_REAPED);
		back += now < last;
		last = now;
	} while (waitpid(pid, NULL, WNOHANG) == 0);
	is_int(back, 0, "no total went back");
	is_int(stats_sum(reader, S_REAPED), 60000, "and nothing was lost");
	for (i = 0; i < (int)ARRAY_LEN(fill); i++)
		stats_slot_release(region, fill[i]);
}

static void
test_series_limit(void)
{
	int slot = stats_slot_take(region, "worker", 9, 1), i, other = 0, first;
	struct buf text = { 0 };
	char name[32], longest[100];

	stats_attach(region, slot);
	first = stats_series(SPAN("q\"\\\n"), SPAN("t0"));
	for (i = 0; i < STATS_SERIES + 10; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		other += stats_series(SPAN("q\"\\\n"), span_of(name)) == 0;
	}
	is_int(stats_series(SPAN("q\"\\\n"), SPAN("t0")), first, "an index stays");
	is_int(other, 13, "what does not fit is other: the table had two and its own place");
	for (i = 0; i < STATS_SERIES + 10; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		other -= stats_series(SPAN("q\"\\\n"), span_of(name)) == 0;
	}
	is_int(other, 0, "and stays so, as does what fits");
	memset(longest, 'x', sizeof(longest));
	is_int(stats_series(SPAN("q"), (struct span){ longest, sizeof(longest) }), 0, "so is a name that is too long");
	stats_submitted(0, 1);
	stats_metrics_mine(&text);
	ok(has_line(buf_cstr(&text), "taskq_tasks_submitted_total{queue=\"other\",task_type=\"other\"} 1"),
	    "other is counted");
	ok(has_line(buf_cstr(&text), "taskq_tasks_submitted_total{queue=\"q\\\"\\\\\\n\",task_type=\"t0\"} 0"),
	    "labels are escaped");
	ok(strstr(buf_cstr(&text), "\nprocess_open_fds ") != NULL, "my own descriptors");
	buf_free(&text);
	stats_attach(NULL, -1);
	stats_slot_release(region, slot);
	for (i = 0, other = 0; i < 2 * STATS_SLOTS; i++)
		other += stats_slot_take(region, "worker", i, 1) < 0;
	is_int(other, STATS_SLOTS + 1, "no more slots than there are");
}

static void
test_map(void)
{
	struct stats *r = stats_map(path);
	struct stats_process p;
	char *file;

	ok(r != NULL && stats_supervisor(r, &p) && p.pid == getpid(), "a reader knows the supervisor");
	ok(stats_map("/nonexistent/stats") == NULL && errno == ENOENT, "a missing file is told");
	file = shm_create(path, 4096);
	ok(file != NULL && stats_map(path) == NULL && errno == EPROTO, "another layout is told");
}

int
main(void)
{
	snprintf(path, sizeof(path), "/tmp/taskq-stats-XXXXXX");
	MUST(close(mkstemp(path)) == 0);
	stats_inc(S_CLAIMS);
	is_int(stats_series(SPAN("a"), SPAN("b")), 0, "before attach everything is nothing");
	region = stats_create(path);
	ok(region != NULL, "created");
	stats_route_name(region, 0, "POST", "/v1/tasks");
	stats_route_name(region, 1, "GET", "/metrics");
	test_life();
	test_never_back();
	test_series_limit();
	test_map();
	unlink(path);
	return done();
}
