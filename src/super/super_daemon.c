/* super_daemon.c - into the background.
 *
 * The first process waits until the daemon is up, or has failed, and exits with the code it is told; so a start script knows the truth.
 * The daemon is the grandchild: no session leader, no terminal.  Until it is up its stderr is that of the first process, for the messages of a
 * start that fails; after that it is closed, unless the log is meant to go there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "log/log.h"

#include "super/super_int.h"

static void
super_daemon_null(int fd, int flags)
{
	int null = open("/dev/null", flags | O_CLOEXEC);

	if (null >= 0) {
		(void)dup2(null, fd);
		MUST(close(null) == 0);
	}
}

/* Descriptors of whoever started us, which may be pipes that others read until we end.  Ours are all close-on-exec. */
static void
super_daemon_close(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name), flags = fd > 2 ? fcntl(fd, F_GETFD) : -1;

		if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
			(void)close(fd);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

NORETURN static void
super_daemon_wait(int fd)
{
	unsigned char code, rest;
	ssize_t n;

	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(EX_SOFTWARE);
	/* What a failed start has to say comes before our end. */
	do
		n = read(fd, &rest, 1);
	while (n < 0 && errno == EINTR);
	_exit(code);
}

static pid_t
super_daemon_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		log_fatal(EX_OSERR, "could not start the daemon: %s", strerror(errno));
	return pid;
}

void
super_daemon_begin(struct super *s)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		log_fatal(EX_OSERR, "could not make a pipe: %s", strerror(errno));
	if (super_daemon_fork() > 0) {
		MUST(close(fds[1]) == 0);
		super_daemon_wait(fds[0]);
	}
	MUST(close(fds[0]) == 0);
	MUST(setsid() >= 0);
	if (super_daemon_fork() > 0)
		_exit(0);
	MUST(chdir("/") == 0);
	super_daemon_null(0, O_RDONLY);
	super_daemon_null(1, O_WRONLY);
	super_daemon_close();
	s->up_fd = fds[1];
}

void
super_daemon_hush(const struct super *s, const struct conf *c)
{
	if (s->o->daemonize && strcmp(c->log.target, "stderr") != 0)
		super_daemon_null(2, O_WRONLY);
}

void
super_daemon_failed(struct super *s, int code)
{
	unsigned char byte = (unsigned char)code;

	if (s->up_fd >= 0 && write(s->up_fd, &byte, 1) != 1)
		log_debug("the process that started the daemon is gone", log_errno(errno));
}

void
super_daemon_up(struct super *s, int code)
{
	s->up_until = 0;
	if (s->up_fd < 0)
		return;
	super_daemon_failed(s, code);
	MUST(close(s->up_fd) == 0);
	s->up_fd = -1;
}
