/* ctl_taskqctl_test.c - the program taskqctl on a region that this test keeps, as its supervisor. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "stats/stats.h"
#include "t/unit/tap.h"

static char dir[64];
static char output[16384], rest[4096];

/* Runs taskqctl with these words; output is in `output`, stderr too.  The exit status. */
static int
ctl(const char *args)
{
	const char *build = getenv("TASKQ_BUILDDIR");
	char command[512];
	size_t n;
	FILE *f;
	int st;

	snprintf(command, sizeof(command), "%s/taskqctl %s 2>&1", build != NULL ? build : ".", args);
	f = popen(command, "r");
	MUST(f != NULL);
	n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = '\0';
	while (fread(rest, 1, sizeof(rest), f) > 0) /* who is not heard to his end dies of SIGPIPE */
		;
	st = pclose(f);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static int
ctl_dir(const char *args)
{
	char words[256];

	snprintf(words, sizeof(words), "-d %s %s", dir, args);
	return ctl(words);
}

static bool
said(const char *words)
{
	bool yes = strstr(output, words) != NULL;

	if (!yes)
		printf("# it said: %s\n", output);
	return yes;
}

static void
test_usage(void)
{
	is_int(ctl("--help"), 0, "help");
	ok(said("usage: taskqctl") && said("status"), "tells the usage");
	is_int(ctl("--version"), 0, "version");
	is_int(ctl(""), 64, "no verb");
	is_int(ctl("dance"), 64, "an unknown verb");
	ok(said("\"dance\""), "is named");
	is_int(ctl("status now"), 64, "too much");
	is_int(ctl("--colour status"), 64, "an unknown option");
	is_int(ctl("-d /tmp -c /tmp/x status"), 64, "two places");
	is_int(ctl("-c /nonexistent/taskq.conf status"), 78, "a configuration that is not there");
	is_int(ctl_dir("metrics --json"), 64, "metrics have one form");
}

static void
test_none(const char *file)
{
	FILE *f;

	is_int(ctl_dir("status"), 69, "no daemon");
	ok(said("no daemon runs") && said(file), "says so, and where it looked");
	f = fopen(file, "w");
	MUST(f != NULL && fputs("something else", f) >= 0 && fclose(f) == 0);
	is_int(ctl_dir("status"), 76, "a file that is no region");
	ok(said("version"), "says so");
}

static void
test_running(const char *file)
{
	struct stats *s = stats_create(file);
	int slot = stats_slot_take(s, "worker", 3, 2);

	MUST(s != NULL && slot > 0);
	stats_slot_pid(s, slot, 4711);
	stats_attach(s, slot);
	stats_doing("running");
	stats_submitted(stats_series(SPAN("default"), SPAN("email")), 12345);
	is_int(ctl_dir("status"), 0, "a daemon runs");
	ok(said("worker          3     4711    2  running"), "its processes");
	ok(said("supervisor"), "and the supervisor");
	ok(said("12345  tasks stored"), "its numbers");
	is_int(ctl_dir("status --json"), 0, "as JSON");
	ok(said("\"submitted\": 12345") && said("\"role\": \"worker\"") && said("\"pid\": 4711") &&
		said("\"running\": true"),
	    "the same");
	is_int(ctl_dir("metrics"), 0, "metrics");
	ok(said("\ntaskq_tasks_submitted_total{queue=\"default\",task_type=\"email\"} 12345\n"), "in the text format");
}

static void
test_dead(const char *file)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(stats_create(file) == NULL);
	MUST(waitpid(pid, NULL, 0) == pid);
	is_int(ctl_dir("status"), 69, "the file of a daemon that is gone");
	ok(said("is gone"), "says so");
}

int
main(void)
{
	char file[128];

	snprintf(dir, sizeof(dir), "/tmp/taskq-ctl-XXXXXX");
	MUST(mkdtemp(dir) != NULL);
	snprintf(file, sizeof(file), "%s/stats", dir);
	test_usage();
	test_none(file);
	test_running(file);
	test_dead(file);
	unlink(file);
	ok(rmdir(dir) == 0, "nothing is left behind");
	return done();
}
