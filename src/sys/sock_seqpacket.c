/* sock_seqpacket.c - whole messages with descriptors between the processes of one node. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/sock_int.h"
#include "sys/sys.h"

#define MOST_FDS 4

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
};

int
sock_seqpacket_listen(const char *path)
{
	struct sockaddr_un sun;
	mode_t mask;
	int fd;

	if (!sock_unix_address(path, &sun))
		return -1;
	mask = umask(0177);
	fd = sock_bind_listen(SOCK_SEQPACKET, (struct sockaddr *)&sun, sizeof(sun), false, 64);
	umask(mask);
	return fd;
}

int
sock_seqpacket_connect(const char *path)
{
	struct sockaddr_un sun;
	int fd;

	if (!sock_unix_address(path, &sun))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	return sock_drop(fd);
}

bool
sock_send_fds(int fd, const void *msg, size_t len, const int *fds, int nfds)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	ASSERT(nfds >= 0 && nfds <= MOST_FDS && len > 0);
	if (nfds > 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* Takes the descriptors of the message; what is more than `room` is closed.  Returns how many there were. */
static int
take_fds(struct msghdr *m, int *fds, int room)
{
	struct cmsghdr *c;
	int got = 0, n, i, one;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (i = 0; i < n; i++, got++) {
			memcpy(&one, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(one));
			if (got < room)
				fds[got] = one;
			else
				close(one);
		}
	}
	return got;
}

ssize_t
sock_recv_fds(int fd, void *msg, size_t size, int *fds, int *nfds)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = msg, .iov_len = size };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	int room = *nfds, got;
	ssize_t n;

	*nfds = 0;
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	got = take_fds(&m, fds, room);
	if (got <= room && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) {
		*nfds = got;
		return n;
	}
	/* Half a message is none: nothing of it may leak. */
	for (got = got < room ? got : room; got > 0; got--)
		close(fds[got - 1]);
	errno = EMSGSIZE;
	return -1;
}

bool
sock_peer(int fd, pid_t *pid_r, uid_t *uid_r)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	*pid_r = cred.pid;
	*uid_r = cred.uid;
	return true;
}
