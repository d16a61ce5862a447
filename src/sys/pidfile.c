/* pidfile.c - one supervisor per pid file.
 *
 * flock() belongs to the open file description, which forked children share: the lock falls when the supervisor and all its
 * children are gone.  Close-on-exec, so that handlers never hold it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"

#include "sys/sys.h"

static pid_t
read_holder(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	/* After a kill of the supervisor its children still hold the lock, but the pid is nobody's. */
	if (pid <= 0 || pid > INT32_MAX || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
		return 0;
	return (pid_t)pid;
}

/* Another name of somebody's file, or a file of somebody else, is not written to. */
static bool
is_ours(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	errno = EPERM;
	return S_ISREG(st.st_mode) && st.st_nlink <= 1 && st.st_uid == geteuid();
}

/* Between open and flock the last holder may have removed the file: then the lock is on a file without a name. */
static bool
still_named(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int
pidfile_lock(const char *path, pid_t *holder_r)
{
	int fd, e;

	*holder_r = 0;
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return -1;
		if (!is_ours(fd) || flock(fd, LOCK_EX | LOCK_NB) != 0) {
			e = errno;
			if (e == EWOULDBLOCK)
				*holder_r = read_holder(fd);
			close(fd);
			errno = e;
			return -1;
		}
		if (still_named(fd, path))
			return fd;
		close(fd);
	}
}

void
pidfile_write(int fd, pid_t pid)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)pid);

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warning("could not write the pid file", log_errno(errno));
}

void
pidfile_remove(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		log_warning("could not remove the pid file", log_str("path", path), log_errno(errno));
}
