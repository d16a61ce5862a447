/* role_launcher_test.c - the launcher driven over its socket, with real processes.
 *
 * This program is also the handler that misbehaves: called with a word it becomes a daemon, hides, or ignores SIGTERM.  Whatever
 * goes wrong, nothing it starts outlives it by more than its own timeout.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>

#include "base/buf.h"
#include "base/clock.h"
#include "log/log.h"
#include "role/role.h"
#include "run/launch.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "tap.h"

#define PATIENCE (10 * CLOCK_SECOND)

static char dir[] = "/tmp/taskq-launcher-XXXXXX";
static char self[4096];
static struct conf conf;
static struct super_child me;
static pid_t launcher;

/* --- the handler that misbehaves ------------------------------------------------------------------------------------ */

static void
say_pid(void)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%d\n", (int)getpid());

	if (write(1, line, (size_t)n) != n)
		_exit(9);
}

enum { READY_READ = 10, READY_WRITE };

/* The processes in between leave when the daemon has closed READY_WRITE, which it does after its first words. */
static void
into_background(void)
{
	int ready[2];
	char byte;

	if (pipe(ready) != 0 || dup2(ready[0], READY_READ) < 0 || dup2(ready[1], READY_WRITE) < 0)
		_exit(9);
	close(ready[0]);
	close(ready[1]);
	for (int i = 0; i < 2; i++) {
		if (fork() > 0) {
			close(READY_WRITE);
			_exit(read(READY_READ, &byte, 1) != 0);
		}
		setsid();
	}
}

static int
misbehave(const char *word, char **argv)
{
	char *const none[] = { NULL };
	char *again[] = { argv[0], (char *)(uintptr_t) "sleep", NULL };

	if (strcmp(word, "daemon") == 0)
		into_background();
	if (strcmp(word, "hidden") == 0) {
		into_background();
		execve(argv[0], again, none);
		return 9;
	}
	/* A child in the group that ignores SIGTERM, and a daemon below it: three pids are said. */
	if (strcmp(word, "family") == 0) {
		signal(SIGTERM, SIG_IGN);
		if (fork() == 0 && fork() == 0)
			into_background();
	}
	alarm(60); /* not inherited by a fork, so after the last */
	say_pid();
	close(READY_WRITE);
	for (;;)
		pause();
}

/* --- the worker's side ---------------------------------------------------------------------------------------------- */

enum {
	H_TRUE,
	H_EXIT3,
	H_CAT,
	H_MISSING,
	H_PLAIN,
	H_ENV,
	H_LIMITS,
	H_DAEMON,
	H_HIDDEN,
	H_FAMILY,
	H_LEFT,
	H_USER,
	H_ID,
	HANDLERS
};

static const char *const commands[HANDLERS][4] = {
	[H_TRUE] = { "/bin/true" },
	[H_EXIT3] = { "/bin/sh", "-c", "exit 3" },
	[H_CAT] = { "/bin/sh", "-c", "cat; echo trouble >&2" },
	[H_MISSING] = { "/nonexistent/handler" },
	[H_PLAIN] = { "/etc/passwd" },
	[H_ENV] = { "/bin/sh", "-c", "env | sort; pwd; ls /proc/self/fd | wc -l" },
	[H_LIMITS] = { "/bin/sh", "-c", "ulimit -n; ulimit -t; ulimit -c; ulimit -v; ulimit -f" },
	[H_DAEMON] = { self, "daemon" },
	[H_HIDDEN] = { self, "hidden" },
	[H_FAMILY] = { self, "family" },
	[H_LEFT] = { "/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!" },
	[H_USER] = { "/bin/true" },
	[H_ID] = { "/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME; grep -c '^NoNewPrivs:.1' /proc/self/status" },
};

static const char *extra_env[] = { "GREETING=hello there", "LANG=C", NULL };

static void
conf_make(const char *other)
{
	conf.user = "";
	conf.drain_timeout = 20 * CLOCK_SECOND;
	conf.kill_grace = CLOCK_SECOND;
	conf.handlers = mem_zalloc(sizeof(*conf.handlers) * HANDLERS);
	conf.nhandlers = HANDLERS;
	for (int i = 0; i < HANDLERS; i++) {
		struct conf_handler *h = &conf.handlers[i];

		h->title = "t";
		h->kind = CONF_HANDLER_EXEC;
		h->command.items = (const char **)(uintptr_t)commands[i];
		while (h->command.n < 3 && commands[i][h->command.n] != NULL)
			h->command.n++;
		h->user = i == H_USER || i == H_ID ? other : "";
		h->directory = "/";
		h->limit_files = 64;
	}
	conf.handlers[H_ENV].environment = (struct conf_list){ extra_env, 2 };
	conf.handlers[H_ENV].directory = "/usr";
	conf.handlers[H_LIMITS].limit_cpu = 1500 * CLOCK_MS;
	conf.handlers[H_LIMITS].limit_memory = 1 << 30;
	conf.handlers[H_LIMITS].limit_file_size = 1 << 20;
}

static void
launcher_start(void)
{
	launcher = fork();
	if (launcher == 0)
		exit(role_launcher(&me));
}

static int
worker_connect(int64_t inc)
{
	struct launch_msg hello = { .verb = LAUNCH_HELLO, .inc = inc };
	int fd = sock_seqpacket_connect(me.launch_path);

	ok(fd >= 0 && sock_send_fds(fd, &hello, sizeof(hello), NULL, 0), "worker %d connects", (int)inc);
	return fd;
}

static bool
readable(int fd, int64_t us)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, (int)(us / CLOCK_MS)) == 1;
}

static struct launch_msg
hear(int fd)
{
	struct launch_msg m = { .verb = 99 };
	int nfds = 0;

	if (readable(fd, PATIENCE) && sock_recv_fds(fd, &m, sizeof(m), NULL, &nfds) != (ssize_t)sizeof(m))
		m.verb = 98;
	return m;
}

static void
ask_start(int fd, int handler, uint64_t token, int in, int out, int err)
{
	struct launch_msg m = { .verb = LAUNCH_START, .handler = handler, .token = token };
	int fds[] = { in, out, err };

	if (!sock_send_fds(fd, &m, sizeof(m), fds, 3))
		m.verb = 97;
}

static void
ask_kill(int fd, uint64_t token, int sig)
{
	struct launch_msg m = { .verb = LAUNCH_KILL, .token = token, .value = sig };

	ok(sock_send_fds(fd, &m, sizeof(m), NULL, 0), "asks for %s", proc_signal_name(sig));
}

/* A run with its output: what was said until the end of the pipe or, with `lines`, until so many lines. */
struct
try {
	int out;
	char text[4096];
	struct launch_msg first;
};

static void
try_start(struct try *t, int fd, int handler, uint64_t token)
{
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	memset(t, 0, sizeof(*t));
	if (pipe2(out, O_CLOEXEC) != 0)
		exit(9);
	ask_start(fd, handler, token, null, out[1], null);
	close(out[1]);
	close(null);
	t->out = out[0];
	t->first = hear(fd);
}

static void
try_read(struct try *t, int lines)
{
	size_t len = strlen(t->text);
	ssize_t n = 1;
	int seen = 0;

	while (n > 0 && len < sizeof(t->text) - 1 && (lines == 0 || seen < lines) && readable(t->out, PATIENCE)) {
		n = read(t->out, t->text + len, sizeof(t->text) - 1 - len);
		for (ssize_t i = 0; i < n; i++)
			seen += t->text[len + (size_t)i] == '\n';
		len += n > 0 ? (size_t)n : 0;
	}
}

/* How many of the pids in the text, a line each, are still there. */
static int
living(const char *text)
{
	int n = 0;

	for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n'), at += at != NULL) {
		int pid = atoi(at);

		n += pid > 1 && kill(pid, 0) == 0;
	}
	return n;
}

static int64_t
gone_inc(void)
{
	int64_t inc = -1;

	if (!readable(me.gone_pipe[0], PATIENCE) || read(me.gone_pipe[0], &inc, sizeof(inc)) != (ssize_t)sizeof(inc))
		return -1;
	return inc;
}

/* --- the tests ------------------------------------------------------------------------------------------------------- */

static void
test_simple(int fd)
{
	struct try t;
	struct launch_msg m;

	try_start(&t, fd, H_TRUE, 1);
	is_int(t.first.verb, LAUNCH_STARTED, "true is started");
	m = hear(fd);
	is_int(m.verb, LAUNCH_EXITED, "and has ended");
	is_int(m.token, 1, "with its token");
	is_int(m.value, 0, "and status 0");
	close(t.out);
	try_start(&t, fd, H_EXIT3, 2);
	m = hear(fd);
	ok(m.verb == LAUNCH_EXITED && WIFEXITED(m.value) && WEXITSTATUS(m.value) == 3, "exit 3 is told");
	close(t.out);
}

static void
test_descriptors(int fd)
{
	int in[2], out[2], err[2];
	char text[64] = "";

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
		exit(9);
	ask_start(fd, H_CAT, 3, in[0], out[1], err[1]);
	ok(write(in[1], "body", 4) == 4, "the envelope is written");
	close(in[0]);
	close(in[1]);
	close(out[1]);
	close(err[1]);
	ok(read(out[0], text, 63) == 4 && strncmp(text, "body", 4) == 0, "stdin comes back through stdout");
	ok(read(out[0], text, 63) == 0, "which ends");
	ok(read(err[0], text, 63) == 8 && strncmp(text, "trouble\n", 8) == 0, "stderr is its own");
	is_int(hear(fd).verb, LAUNCH_STARTED, "started");
	is_int(hear(fd).verb, LAUNCH_EXITED, "ended");
	close(out[0]);
	close(err[0]);
}

static void
test_refused(int fd)
{
	struct try t;
	struct launch_msg bad = { .verb = LAUNCH_START, .handler = HANDLERS, .token = 9 };

	try_start(&t, fd, H_MISSING, 4);
	is_int(t.first.verb, LAUNCH_REFUSED, "a missing program is refused");
	is_int(t.first.value, ENOENT, "with ENOENT");
	is_str(t.first.text, "could not execute \"/nonexistent/handler\"", "and words");
	close(t.out);
	try_start(&t, fd, H_PLAIN, 5);
	is_int(t.first.verb, LAUNCH_REFUSED, "a file that is no program is refused");
	is_int(t.first.value, EACCES, "with EACCES");
	close(t.out);
	ok(sock_send_fds(fd, &bad, sizeof(bad), NULL, 0), "a bad request is sent");
	is_int(hear(fd).verb, LAUNCH_REFUSED, "a handler that is not there is refused");
}

static void
test_surroundings(int fd)
{
	struct try t;

	setenv("SECRET", "leaked", 1);
	try_start(&t, fd, H_ENV, 6);
	try_read(&t, 0);
	(void)hear(fd);
	ok(strstr(t.text, "GREETING=hello there\n") != NULL, "the handler's environment is there");
	ok(strstr(t.text, "LANG=C\n") != NULL && strstr(t.text, "C.UTF-8") == NULL, "and wins");
	ok(strstr(t.text, "PATH=/usr/local/sbin:/usr/local/bin:") != NULL, "there is a path");
	ok(strstr(t.text, "HOME=/") != NULL, "and a home");
	ok(strstr(t.text, "SECRET") == NULL, "ours does not leak");
	ok(strstr(t.text, "\n/usr\n") != NULL, "the directory is the handler's");
	ok(strstr(t.text, "\n4\n") != NULL, "no descriptor beyond the three is open");
	close(t.out);
	try_start(&t, fd, H_LIMITS, 7);
	try_read(&t, 0);
	(void)hear(fd);
	is_str(t.text, "64\n2\n0\n1048576\n2048\n", "limits are set");
	close(t.out);
}

static void
test_user(int fd)
{
	struct passwd *nobody = getpwnam("nobody");
	struct try t;
	char want[256];

	try_start(&t, fd, H_USER, 8);
	if (geteuid() != 0) {
		is_int(t.first.verb, LAUNCH_REFUSED, "another user is refused without root");
		is_int(t.first.value, EPERM, "with EPERM");
	} else {
		is_int(t.first.verb, LAUNCH_STARTED, "another user is possible with root");
		(void)hear(fd);
		close(t.out);
		try_start(&t, fd, H_ID, 8);
		try_read(&t, 0);
		(void)hear(fd);
		snprintf(want, sizeof(want), "%d\n%d\n%d\n%s\n1\n", (int)nobody->pw_uid, (int)nobody->pw_gid,
		    (int)nobody->pw_gid, nobody->pw_dir);
		is_str(t.text, want, "user, group, groups, home and no way back");
	}
	close(t.out);
}

static void
test_kill(int fd)
{
	struct try t;
	struct launch_msg m;

	try_start(&t, fd, H_FAMILY, 10);
	try_read(&t, 3);
	is_int(living(t.text), 3, "a family of three lives");
	ask_kill(fd, 10, SIGTERM);
	ok(!readable(fd, 100 * CLOCK_MS), "it ignores SIGTERM");
	ask_kill(fd, 10, SIGKILL);
	m = hear(fd);
	ok(m.verb == LAUNCH_EXITED && WIFSIGNALED(m.value) && WTERMSIG(m.value) == SIGKILL, "SIGKILL ends it");
	is_int(living(t.text), 0, "and when that is told, nobody of the family is left");
	close(t.out);
}

static void
test_left_behind(int fd, int handler, const char *what)
{
	struct launch_msg m;
	struct try t;

	try_start(&t, fd, handler, 11);
	m = hear(fd);
	try_read(&t, 1);
	is_int(m.verb, LAUNCH_EXITED, "%s: the run has ended", what);
	is_int(m.value, 0, "%s: with the status of its first process", what);
	ok(atoi(t.text) > 1, "%s: there was one", what);
	is_int(living(t.text), 0, "%s: it is gone", what);
	close(t.out);
}

/* The stray of one run is not taken for another's, and not before its run ends. */
static void
test_two_runs(int fd)
{
	struct try family, t;

	try_start(&family, fd, H_FAMILY, 12);
	try_read(&family, 3);
	try_start(&t, fd, H_TRUE, 13);
	is_int(hear(fd).token, 13, "a short run ends beside a long one");
	is_int(living(family.text), 3, "whose processes all live, the daemon too");
	close(t.out);
	ask_kill(fd, 12, SIGKILL);
	is_int(hear(fd).token, 12, "until they are killed");
	is_int(living(family.text), 0, "all");
	close(family.out);
}

static void
test_thousand(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), started = 0, ended = 0, good = 0;
	struct buf pids = { 0 };
	int64_t begun = clock_now();

	while (ended < 1000 && clock_now() < begun + 6 * PATIENCE) {
		struct launch_msg m;

		while (started < 1000 && started < ended + 16)
			ask_start(fd, H_TRUE, 1000 + (uint64_t)started++, null, null, null);
		m = hear(fd);
		ended += m.verb == LAUNCH_EXITED;
		good += m.verb == LAUNCH_EXITED && m.value == 0;
	}
	is_int(good, 1000, "a thousand short runs");
	printf("# %.0f starts per second\n", 1e9 / (double)(clock_now() - begun));
	proc_children(launcher, &pids);
	is_int(pids.len, 0, "leave no child of the launcher");
	buf_free(&pids);
	close(null);
}

static void
test_cut(void)
{
	int fd = worker_connect(77), other = worker_connect(78);
	struct try family, hidden, stays;
	int64_t cut;

	try_start(&family, fd, H_FAMILY, 1);
	try_read(&family, 3);
	try_start(&stays, other, H_FAMILY, 1);
	try_read(&stays, 3);
	try_start(&hidden, fd, H_FAMILY, 2);
	try_read(&hidden, 3);
	is_int(living(family.text) + living(hidden.text) + living(stays.text), 9, "three families");
	cut = clock_now();
	close(fd);
	is_int(gone_inc(), 77, "the inc of a worker that is cut off arrives");
	ok(clock_now() - cut < CLOCK_SECOND, "within a second");
	is_int(living(family.text) + living(hidden.text), 0, "when all of its processes are gone");
	is_int(living(stays.text), 3, "the other worker's go on");
	close(other);
	is_int(gone_inc(), 78, "until it is gone too");
	is_int(living(stays.text), 0, "with all of its own");
	close(family.out);
	close(hidden.out);
	close(stays.out);
}

static int
launcher_wait(void)
{
	int64_t until = clock_now() + PATIENCE;
	int status = -1;
	pid_t pid;

	while ((pid = waitpid(launcher, &status, WNOHANG)) == 0 && clock_now() < until)
		poll(NULL, 0, 5);
	return pid == launcher ? status : -1;
}

static void
test_drain(void)
{
	int fd = worker_connect(5), status;
	struct try t;

	try_start(&t, fd, H_FAMILY, 1);
	try_read(&t, 3);
	kill(launcher, SIGTERM);
	is_int(waitpid(launcher, NULL, WNOHANG), 0, "a launcher in drain serves as long as there is a worker");
	ask_kill(fd, 1, SIGKILL);
	is_int(hear(fd).verb, LAUNCH_EXITED, "it does");
	close(t.out);
	close(fd);
	status = launcher_wait();
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "and leaves with 0 after the last");
	is_int(gone_inc(), 5, "having told the keeper");
	launcher_start();
	fd = worker_connect(6);
	try_start(&t, fd, H_FAMILY, 1);
	try_read(&t, 3);
	kill(launcher, SIGTERM);
	poll(NULL, 0, 50);
	kill(launcher, SIGTERM);
	status = launcher_wait();
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 75, "a second SIGTERM: now, and 75");
	is_int(living(t.text), 0, "nobody is left");
	close(fd);
	close(t.out);
}

static void
test_death(void)
{
	int fd;
	struct try t;
	int64_t until = clock_now() + PATIENCE;
	pid_t first;

	launcher_start();
	fd = worker_connect(7);
	try_start(&t, fd, H_FAMILY, 1);
	try_read(&t, 3);
	first = t.first.pid;
	kill(launcher, SIGKILL);
	(void)launcher_wait();
	while (clock_now() < until && waitpid(first, NULL, WNOHANG) != first)
		poll(NULL, 0, 5);
	ok(clock_now() < until, "a dead launcher takes its handlers with it");
	/* What it had started is the supervisor's to end; here nobody is. */
	for (char *at = t.text; at != NULL && *at != '\0'; at = strchr(at, '\n'), at += at != NULL)
		kill(atoi(at), SIGKILL);
	close(fd);
	close(t.out);
}

static void
prepare(void)
{
	struct log_settings quiet = { "stderr", LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT };
	char path[64];

	ok(mkdtemp(dir) != NULL && chmod(dir, 0755) == 0 && log_open(&quiet) == 0, "a place to work");
	snprintf(path, sizeof(path), "%s/stats", dir);
	me.conf = &conf;
	me.stats = stats_create(path);
	me.slot = stats_slot_take(me.stats, "launcher", 0, 1);
	me.keeps_root = true;
	me.supervisor = getpid();
	snprintf(me.launch_path, sizeof(me.launch_path), "%s/launch.sock", dir);
	me.launch_listener = sock_seqpacket_listen(me.launch_path);
	ok(me.launch_listener >= 0 && pipe2(me.gone_pipe, O_NONBLOCK | O_CLOEXEC) == 0, "a socket and a pipe");
	launcher_start();
}

int
main(int argc, char **argv)
{
	char cmd[64];
	int fd;

	if (argc > 1)
		return misbehave(argv[1], argv);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 9;
	alarm(300);
	proc_become_subreaper();
	conf_make(geteuid() == 0 ? "nobody" : "root");
	prepare();
	fd = worker_connect(1);
	test_simple(fd);
	test_descriptors(fd);
	test_refused(fd);
	test_surroundings(fd);
	test_user(fd);
	test_kill(fd);
	test_left_behind(fd, H_LEFT, "a process in the background");
	test_left_behind(fd, H_DAEMON, "a daemon");
	test_left_behind(fd, H_HIDDEN, "a daemon without environment");
	test_two_runs(fd);
	test_thousand(fd);
	close(fd);
	is_int(gone_inc(), 1, "the end of a connection is told even without runs");
	test_cut();
	test_drain();
	test_death();
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ok(system(cmd) == 0, "cleaned up");
	return done();
}
