/* sys_sys_test.c - shared files, sockets, the pid file, notifications, failpoints; against the real kernel. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "sys/sys.h"
#include "t/unit/tap.h"

static char dir[64];

static const char *
in_dir(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void
test_shm(void)
{
	size_t size = 0;
	char *a = shm_create(in_dir("shm"), 100000), *b;
	const char *r = shm_open_read(in_dir("shm"), &size);

	ok(a != NULL && r != NULL, "created and opened");
	is_int(size, 100000, "the whole size");
	is_int(a[0] | a[99999], 0, "zeroed");
	a[99999] = 'x';
	is_int(r[99999], 'x', "a reader sees what the writer wrote");
	b = shm_create(in_dir("shm"), 4096);
	ok(b != NULL && r[99999] == 'x', "a new file replaces the name, not the old mapping");
	ok(shm_open_read(in_dir("none"), &size) == NULL && errno == ENOENT, "a missing file is told");
	ok(shm_create(in_dir("no/dir"), 4096) == NULL && errno == ENOENT, "so is a missing directory");
	munmap(a, 100000);
	munmap(b, 4096);
	munmap((void *)(uintptr_t)r, 100000);
}

static void
test_parse(void)
{
	static const struct {
		const char *in, *text; /* null: refused */
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:8080", "127.0.0.1:8080", true },
		{ "127.8.9.1:0", "127.8.9.1:0", true },
		{ "10.0.0.1:80", "10.0.0.1:80", false },
		{ "[::1]:8080", "[::1]:8080", true },
		{ "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", true },
		{ "[fe80::1]:1", "[fe80::1]:1", false },
		{ "*:80", "*:80", false },
		{ ":80", "*:80", false },
		{ "0.0.0.0:80", "0.0.0.0:80", false },
		{ "unix:/run/x.sock", "unix:/run/x.sock", true },
		{ "unix:run/x", NULL, false },
		{ "localhost:80", NULL, false },
		{ "::1:80", NULL, false },
		{ "127.0.0.1", NULL, false },
		{ "127.0.0.1:", NULL, false },
		{ "127.0.0.1:65536", NULL, false },
		{ "127.0.0.1:-1", NULL, false },
		{ "127.0.0.1:80x", NULL, false },
		{ "", NULL, false },
	};
	char longest[300];
	struct sock_addr a;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const char *error = sock_parse(cases[i].in, &a);

		is_str(error == NULL ? a.text : NULL, cases[i].text, "address \"%s\"", cases[i].in);
		if (error == NULL)
			is_int(sock_is_loopback(&a), cases[i].loopback, "loopback or not: %s", a.text);
	}
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "unix:/", 6);
	longest[sizeof(longest) - 1] = '\0';
	ok(sock_parse(longest, &a) != NULL, "a path longer than the kernel takes");
}

static void
test_listen(void)
{
	char name[128], spec[160];
	struct sock_addr a;
	int fd, again;

	MUST(sock_parse("127.0.0.1:0", &a) == NULL);
	fd = sock_listen(&a, 16);
	ok(fd >= 0 && sock_port(fd) > 0, "the kernel chose a port");
	snprintf(spec, sizeof(spec), "127.0.0.1:%d", sock_port(fd));
	sock_name(fd, name, sizeof(name));
	is_str(name, spec, "and the name tells it");
	ok(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC, "non-blocking, close-on-exec");
	MUST(sock_parse(spec, &a) == NULL);
	again = sock_listen(&a, 16);
	ok(again < 0 && errno == EADDRINUSE, "a port in use is told");
	close(fd);
	MUST(sock_parse("*:0", &a) == NULL);
	fd = sock_listen(&a, 16);
	ok(fd >= 0, "every address");
	close(fd);

	snprintf(spec, sizeof(spec), "unix:%s", in_dir("u.sock"));
	MUST(sock_parse(spec, &a) == NULL);
	fd = sock_listen(&a, 16);
	sock_name(fd, name, sizeof(name));
	is_str(name, spec, "a unix socket");
	is_int(sock_port(fd), 0, "has no port");
	again = sock_listen(&a, 16);
	ok(again < 0 && errno == EADDRINUSE, "a living unix socket is not taken over");
	close(fd);
	fd = sock_listen(&a, 16);
	ok(fd >= 0, "the file of a dead one is");
	close(fd);
}

static void
test_seqpacket(void)
{
	int l = sock_seqpacket_listen(in_dir("seq")), c = sock_seqpacket_connect(in_dir("seq")),
	    s = accept(l, NULL, NULL);
	int p[2], fds[4], nfds = 4;
	struct stat st;
	char text[32];
	pid_t pid;
	uid_t uid;

	ok(stat(in_dir("seq"), &st) == 0 && (st.st_mode & 0777) == 0600, "only the owner may connect");
	ok(sock_peer(s, &pid, &uid) && pid == getpid() && uid == geteuid(), "who is there");
	MUST(pipe(p) == 0);
	ok(sock_send_fds(c, "hello", 5, p, 2) && sock_send_fds(c, "you", 3, NULL, 0), "two messages");
	is_int(sock_recv_fds(s, text, sizeof(text), fds, &nfds), 5, "the first, whole");
	is_int(nfds, 2, "with its descriptors");
	ok(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, "which are close-on-exec");
	ok(write(fds[1], "z", 1) == 1 && read(p[0], text, 1) == 1 && text[0] == 'z', "and the same pipe");
	nfds = 4;
	is_int(sock_recv_fds(s, text, sizeof(text), fds, &nfds), 3, "the second");
	is_int(nfds, 0, "without");
	nfds = 0;
	ok(sock_send_fds(c, "far too long", 12, NULL, 0) && sock_recv_fds(s, text, 3, fds, &nfds) < 0 &&
		errno == EMSGSIZE,
	    "a message that does not fit is an error, not a part");
	nfds = 4;
	ok(sock_recv_fds(s, text, sizeof(text), fds, &nfds) < 0 && errno == EAGAIN, "nothing there");
	close(c);
	is_int(sock_recv_fds(s, text, sizeof(text), fds, &nfds), 0, "the end");
	ok(!sock_send_fds(s, "x", 1, NULL, 0) && errno == EPIPE, "sending to nobody is an error, not a signal");
	close(s);
	close(l);
}

static void
test_pidfile(void)
{
	pid_t holder = -1, child;
	int fd = pidfile_lock(in_dir("pid"), &holder), again, p[2];
	char c;

	ok(fd >= 0 && holder == 0, "locked");
	pidfile_write(fd, getpid());
	again = pidfile_lock(in_dir("pid"), &holder);
	ok(again < 0 && errno == EWOULDBLOCK && holder == getpid(), "the second one learns who holds it");
	MUST(pipe(p) == 0);
	child = fork();
	if (child == 0) {
		close(p[1]);
		alarm(30);
		_exit(read(p[0], &c, 1) == 1);
	}
	close(fd);
	again = pidfile_lock(in_dir("pid"), &holder);
	ok(again < 0 && errno == EWOULDBLOCK, "a child keeps the lock of its dead parent");
	close(p[1]);
	MUST(waitpid(child, NULL, 0) == child);
	again = pidfile_lock(in_dir("pid"), &holder);
	ok(again >= 0, "free when the last is gone");
	pidfile_remove(in_dir("pid"));
	ok(access(in_dir("pid"), F_OK) != 0, "removed");
	close(again);
}

/* What somebody else may have put where the file belongs. */
static void
test_pidfile_planted(void)
{
	pid_t holder;
	int fd = open(in_dir("victim"), O_WRONLY | O_CREAT, 0600);

	MUST(fd >= 0 && write(fd, "precious", 8) == 8 && close(fd) == 0);
	MUST(symlink(in_dir("victim"), in_dir("pid")) == 0);
	ok(pidfile_lock(in_dir("pid"), &holder) < 0 && errno == ELOOP, "a link is not followed");
	MUST(unlink(in_dir("pid")) == 0 && link(in_dir("victim"), in_dir("pid")) == 0);
	ok(pidfile_lock(in_dir("pid"), &holder) < 0 && errno == EPERM, "a second name of a file is refused");
	MUST(unlink(in_dir("pid")) == 0 && mkfifo(in_dir("pid"), 0600) == 0);
	ok(pidfile_lock(in_dir("pid"), &holder) < 0 && errno == EPERM, "a pipe is refused");
	MUST(unlink(in_dir("pid")) == 0);
	if (geteuid() == 0) {
		MUST(chown(in_dir("victim"), 65534, 65534) == 0);
		MUST(rename(in_dir("victim"), in_dir("pid")) == 0);
		ok(pidfile_lock(in_dir("pid"), &holder) < 0 && errno == EPERM, "a file of somebody else is refused");
	}
	(void)unlink(in_dir("pid"));
	(void)unlink(in_dir("victim"));
}

static void
test_notify(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[128] = "", pid[32];
	ssize_t n;

	notify_send("READY=1");
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", in_dir("notify"));
	MUST(bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	notify_send("READY=1\nSTATUS=%d", 5);
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	is_str(text, "READY=1\nSTATUS=5", "the manager hears");
	notify_reloading();
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	ok(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0, "reloading, with the time");
	close(fd);
	notify_send("STOPPING=1"); /* nobody there: no harm */
	is_int(notify_watchdog(), 0, "no watchdog");
	setenv("WATCHDOG_USEC", "3000000", 1);
	is_int(notify_watchdog(), 3000000, "a watchdog");
	snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
	setenv("WATCHDOG_PID", pid, 1);
	is_int(notify_watchdog(), 0, "of another process");
	unsetenv("NOTIFY_SOCKET");
}

#ifdef TASKQ_FAILPOINTS
static int
status_of(const char *fp)
{
	int st = -1;
	pid_t pid;

	setenv("TASKQ_FP", fp, 1);
	pid = fork();
	if (pid == 0) {
		alarm(30);
		_exit((failpoint("x") << 4) + (failpoint("x") != 0) + failpoint("other"));
	}
	MUST(waitpid(pid, &st, 0) == pid);
	return st;
}

static void
test_failpoint(void)
{
	int64_t start;
	int fd;

	is_int(status_of(""), 0, "no failpoint");
	ok(WTERMSIG(status_of("y=abort;x=kill9")) == SIGKILL, "kill9");
	ok(WTERMSIG(status_of("x=kill9@2")) == SIGKILL, "at the second pass");
	is_int(status_of("x=kill9@3"), 0, "not at the third when there are two");
	is_int(WEXITSTATUS(status_of("x=err:EIO")), (EIO << 4) + 1, "an errno by name, at each pass");
	is_int(WEXITSTATUS(status_of("x=err:5@1")), 5 << 4, "by number, at one pass");
	start = clock_now();
	is_int(status_of("x=sleep:3"), 0, "sleep goes on");
	ok(clock_now() - start >= 6000, "after its time");
	start = clock_now();
	is_int(status_of("x=stop:20@1"), 0, "a stopped process is continued");
	ok(clock_now() - start >= 20000, "after its time");
	setenv("TASKQ_FP_FUSES", dir, 1);
	is_int(status_of("x=err:5"), 0, "without its fuse it does nothing");
	fd = open(in_dir("x"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	ok(fd >= 0 && close(fd) == 0, "a fuse");
	is_int(WEXITSTATUS(status_of("x=err:5")), 5 << 4, "with it, once");
	ok(access(in_dir("x"), F_OK) != 0, "then it is burnt");
	unsetenv("TASKQ_FP_FUSES");
	unsetenv("TASKQ_FP");
}
#endif

static void
clean(void)
{
	static const char *const names[] = { "shm", "u.sock", "seq", "pid", "notify" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_dir(names[i]));
	ok(rmdir(dir) == 0, "nothing else is left behind");
}

int
main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/taskq-sys-XXXXXX");
	MUST(mkdtemp(dir) != NULL);
	test_shm();
	test_parse();
	test_listen();
	test_seqpacket();
	test_pidfile();
	test_pidfile_planted();
	test_notify();
#ifdef TASKQ_FAILPOINTS
	test_failpoint();
#endif
	clean();
	return done();
}
