/* sys_proc_test.c - titles, ends, trees, deaths of parents; with real processes. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "sys/proc.h"
#include "t/unit/tap.h"

/* Waits for a byte, or for the end, of a pipe; the deadline keeps a failure from hanging. */
static int
wait_byte(int fd)
{
	char c = 0;

	alarm(30);
	return read(fd, &c, 1) == 1 ? c : -1;
}

static void
read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static void
test_title(char **argv)
{
	char text[256], before[64];

	snprintf(before, sizeof(before), "%s", argv[0]);
	setenv("SYS_PROC_TEST", "kept", 1);
	proc_title_set("taskqd: worker %d (%s)", 2, "running");
	read_file("/proc/self/cmdline", text, sizeof(text));
	is_str(text, "taskqd: worker 2 (running)", "the command line tells the title");
	proc_title_set("x");
	read_file("/proc/self/cmdline", text, sizeof(text));
	is_str(text, "x", "a shorter title leaves nothing of the longer");
	is_str(argv[0], before, "argv is still there");
	ok(getenv("PATH") != NULL && strcmp(getenv("SYS_PROC_TEST"), "kept") == 0, "so is the environment");
}

static void
test_status(void)
{
	char text[64];
	int st;
	pid_t pid = fork();

	if (pid == 0)
		_exit(3);
	MUST(waitpid(pid, &st, 0) == pid);
	proc_status_text(st, text, sizeof(text));
	is_str(text, "exit 3", "exit status as text");
	pid = fork();
	if (pid == 0) {
		raise(SIGKILL);
		_exit(0);
	}
	MUST(waitpid(pid, &st, 0) == pid);
	proc_status_text(st, text, sizeof(text));
	is_str(text, "killed by SIGKILL", "signal as text");
	is_str(proc_signal_name(99), "signal 99", "a signal without a name");
}

static bool
has(const struct buf *pids, pid_t pid)
{
	size_t at;
	pid_t one;

	for (at = 0; at < pids->len; at += sizeof(one)) {
		memcpy(&one, pids->data + at, sizeof(one));
		if (one == pid)
			return true;
	}
	return false;
}

static void
child_with_grandchild(int tell)
{
	pid_t grandchild = fork();

	if (grandchild == 0)
		for (;;)
			pause();
	MUST(write(tell, &grandchild, sizeof(grandchild)) == sizeof(grandchild));
	for (;;)
		pause();
}

/* A zombie counts as gone: it waits only for its parent. */
static bool
gone_soon(pid_t pid)
{
	int64_t deadline = clock_now() + 20 * CLOCK_SECOND;

	while (clock_now() < deadline) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (proc_start_time(pid) == 0)
			return true;
		usleep(2000);
	}
	return false;
}

static void
test_tree(void)
{
	struct buf pids = { 0 };
	pid_t child, grandchild;
	uint64_t start;
	int p[2];

	proc_become_subreaper();
	MUST(pipe(p) == 0);
	child = fork();
	if (child == 0)
		child_with_grandchild(p[1]);
	alarm(30);
	MUST(read(p[0], &grandchild, sizeof(grandchild)) == sizeof(grandchild));
	start = proc_start_time(child);
	ok(start != 0 && start == proc_start_time(child), "a process has a start time");
	ok(proc_parent(child) == getpid() && proc_parent(grandchild) == child, "and a parent");
	proc_children(getpid(), &pids);
	ok(has(&pids, child) && !has(&pids, grandchild), "children");
	kill(child, SIGKILL);
	ok(gone_soon(child), "a dead process has no start time");
	is_int(proc_parent(child), 0, "and no parent");
	buf_reset(&pids);
	proc_children(getpid(), &pids);
	ok(has(&pids, grandchild), "the subreaper inherits the orphan");
	kill(grandchild, SIGKILL);
	ok(gone_soon(grandchild), "and reaps it");
	buf_free(&pids);
	close(p[0]);
	close(p[1]);
}

static void
bound_child(int tell, pid_t parent)
{
	bool alive = proc_parent_death(SIGKILL, parent);

	MUST(write(tell, alive ? "y" : "n", 1) == 1);
	for (;;)
		pause();
}

static void
test_parent_death(void)
{
	int p[2];
	pid_t parent;

	MUST(pipe(p) == 0);
	parent = fork();
	if (parent == 0) {
		close(p[0]);
		if (fork() == 0)
			bound_child(p[1], getppid());
		for (;;)
			pause();
	}
	close(p[1]);
	is_int(wait_byte(p[0]), 'y', "the parent is who it should be");
	kill(parent, SIGKILL);
	is_int(wait_byte(p[0]), -1, "the child goes with its parent");
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(p[0]);
	ok(!proc_parent_death(0, 1) || getppid() == 1, "another parent than expected is told");
}

static void
test_drop(void)
{
	struct passwd *me = getpwuid(geteuid());
	int st;
	pid_t pid;

	errno = 0;
	ok(!proc_drop_to("no-such-user-here") && errno == EINVAL, "an unknown user is refused");
	if (geteuid() != 0) {
		ok(me == NULL || proc_drop_to(me->pw_name), "an ordinary user may become itself");
		ok(!proc_drop_to("root") && errno == EPERM, "and nobody else");
		return;
	}
	pid = fork();
	if (pid == 0)
		_exit(proc_drop_to("nobody") && geteuid() != 0 && getuid() != 0 && setuid(0) != 0 ? 0 : 1);
	MUST(waitpid(pid, &st, 0) == pid);
	is_int(st, 0, "root becomes nobody, for good");
	ok(proc_drop_to("root") && geteuid() == 0, "root may stay root when the configuration says so");
}

static void
on_hup(int sig UNUSED)
{
}

static void
test_signals(void)
{
	sigset_t set;
	struct sigaction act;

	signal(SIGHUP, on_hup);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	proc_signals_reset();
	sigaction(SIGHUP, NULL, &act);
	ok(act.sa_handler == SIG_DFL, "handlers are gone");
	sigaction(SIGPIPE, NULL, &act);
	ok(act.sa_handler == SIG_DFL, "ignored signals are not ignored");
	sigprocmask(SIG_BLOCK, NULL, &set);
	ok(!sigismember(&set, SIGTERM), "the mask is empty");
}

int
main(int argc, char **argv)
{
	proc_title_init(argc, argv);
	test_title(argv);
	test_status();
	test_tree();
	test_parent_death();
	test_drop();
	test_signals();
	return done();
}
