/* role_role_test.c - the skeleton: drain, deadline, now, overdue, signals, the death of the supervisor. */
#include <sys/mman.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "log/log.h"
#include "role/role.h"
#include "sys/proc.h"

#include "tap.h"

#define PATIENCE (10 * CLOCK_SECOND)

enum ends { ENDS_AT_ONCE, ENDS_AT_NOW, ENDS_NEVER };

static struct page {
	_Atomic int drains, nows;
} * page;

static struct conf conf = { .user = "" };
static struct super_child me = { .conf = &conf };
static struct role *role;
static enum ends ends;
static char dir[] = "/tmp/taskq-role-XXXXXX";

static void
on_drain(void *arg UNUSED)
{
	page->drains++;
	if (ends == ENDS_AT_ONCE)
		role_done(role, 0);
}

static void
on_now(void *arg UNUSED)
{
	page->nows++;
	if (ends == ENDS_AT_NOW)
		role_done(role, 75);
}

static const struct role_ops ops = { .name = "tester", .drain = on_drain, .now = on_now };

/* The child, when it is ready. */
static pid_t
play(enum ends how, int64_t drain_timeout)
{
	struct pollfd p = { .events = POLLIN };
	int ready[2];
	pid_t pid, said = 0;

	conf.drain_timeout = drain_timeout;
	conf.kill_grace = 10 * CLOCK_MS;
	memset(page, 0, sizeof(*page));
	if (pipe2(ready, O_CLOEXEC) != 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		ends = how;
		me.ready_fd = ready[1];
		me.supervisor = getppid();
		alarm(60);
		role = role_begin(&me, &ops, NULL);
		exit(role_run(role));
	}
	p.fd = ready[0];
	ok(poll(&p, 1, (int)(PATIENCE / CLOCK_MS)) == 1 &&
		read(ready[0], &said, sizeof(said)) == (ssize_t)sizeof(said) && said == pid,
	    "ready");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int
code_of(pid_t pid)
{
	int status = -1;

	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 2))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	kill(pid, SIGKILL);
	return -1;
}

static bool
becomes(_Atomic int *what, int value)
{
	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 2))
		if (*what == value)
			return true;
	return false;
}

static void
test_drain(void)
{
	struct stats_process p[8];
	pid_t pid = play(ENDS_AT_ONCE, CLOCK_SECOND);

	is_int(stats_processes(me.stats, p, 8), 1, "it has a slot");
	is_str(p[0].doing, "running", "which says what it does");
	ok(p[0].heartbeat > 0, "and that it lives");
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	kill(pid, SIGPIPE);
	kill(pid, SIGTERM);
	is_int(code_of(pid), 0, "SIGTERM drains, INT, HUP and PIPE do nothing");
	ok(page->drains == 1 && page->nows == 0, "once, and no more was needed");
}

static void
test_second(void)
{
	pid_t pid = play(ENDS_AT_NOW, 30 * CLOCK_SECOND);

	kill(pid, SIGTERM);
	ok(becomes(&page->drains, 1), "drains");
	kill(pid, SIGTERM);
	is_int(code_of(pid), 75, "a second SIGTERM: now");
	is_int(page->nows, 1, "said once");
}

static void
test_deadline(void)
{
	pid_t pid = play(ENDS_AT_NOW, 20 * CLOCK_MS);

	kill(pid, SIGTERM);
	is_int(code_of(pid), 75, "the deadline: now");
	ok(page->drains == 1 && page->nows == 1, "each said once");
}

static void
test_overdue(void)
{
	int64_t begun = clock_now();
	pid_t pid = play(ENDS_NEVER, 20 * CLOCK_MS);

	kill(pid, SIGTERM);
	is_int(code_of(pid), 75, "one that never leaves is left");
	ok(clock_now() - begun >= 2 * CLOCK_SECOND, "not before its time");
	is_int(page->nows, 1, "having been told");
}

/* The supervisor is a child of ours that starts the role and is killed. */
static void
test_parent_death(void)
{
	_Atomic pid_t *child = (_Atomic pid_t *)(void *)(page + 1);
	pid_t supervisor;

	fflush(stdout);
	supervisor = fork();
	if (supervisor == 0) {
		tap_count = 1000; /* its own lines are not for the plan */
		MUST(freopen("/dev/null", "w", stdout) != NULL);
		*child = play(ENDS_AT_ONCE, CLOCK_SECOND);
		pause();
	}
	for (int64_t until = clock_now() + PATIENCE; *child == 0 && clock_now() < until; poll(NULL, 0, 2))
		;
	kill(supervisor, SIGKILL);
	is_int(code_of(supervisor), 1009, "the supervisor is killed");
	is_int(code_of(*child), 0, "its child drains");
	is_int(page->drains, 1, "by its own function");
}

int
main(void)
{
	struct log_settings quiet = { "/dev/null", LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT };
	char path[64];

	alarm(120);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ok(page != MAP_FAILED && mkdtemp(dir) != NULL && log_open(&quiet) == 0, "a place to work");
	snprintf(path, sizeof(path), "%s/stats", dir);
	me.stats = stats_create(path);
	me.slot = stats_slot_take(me.stats, "tester", 0, 1);
	proc_become_subreaper();
	test_drain();
	test_second();
	test_deadline();
	test_overdue();
	test_parent_death();
	ok(unlink(path) == 0 && rmdir(dir) == 0, "cleaned up");
	return done();
}
