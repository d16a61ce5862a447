/* answer.c - the quickest service there is, for handlers of kind http: answers every request with 200 and no result.
 *
 *	answer
 *
 * It listens on a free port of 127.0.0.1, prints its number and serves kept connections from one epoll until its standard input ends.  A
 * request is a head and as many bytes as its Content-Length says; nothing of it is looked at.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

#define CHUNK 65536

static const char words[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull";

struct line {
	int fd;
	struct buf in, out;
};

static int poller;

static void
watch(struct line *l, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = l };

	if (epoll_ctl(poller, op, l->fd, &e) != 0) {
		perror("answer: could not watch a connection");
		exit(1);
	}
}

static void
line_free(struct line *l)
{
	close(l->fd);
	buf_free(&l->in);
	buf_free(&l->out);
	mem_free(&l);
}

/* Length of the first request, head and body; 0: it is not all there. */
static size_t
request_length(const struct buf *b)
{
	static const char name[] = "\ncontent-length:";
	const char *end = memmem(b->data, b->len, "\r\n\r\n", 4), *at = b->data;
	size_t whole;

	if (end == NULL)
		return 0;
	whole = (size_t)(end - b->data) + 4;
	while (at != NULL && at < end) {
		if (strncasecmp(at, name, sizeof(name) - 1) == 0)
			whole += (size_t)atol(at + sizeof(name) - 1);
		at = memchr(at + 1, '\n', (size_t)(end - at));
	}
	return whole <= b->len ? whole : 0;
}

/* False: it is broken. */
static bool
line_write(struct line *l)
{
	ssize_t n = l->out.len > 0 ? send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n > 0)
		buf_consume(&l->out, (size_t)n);
	if (l->out.len > 0)
		watch(l, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	return true;
}

/* False: it is over. */
static bool
line_read(struct line *l)
{
	size_t length;
	ssize_t n;

	buf_reserve(&l->in, CHUNK);
	n = recv(l->fd, l->in.data + l->in.len, CHUNK, 0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	l->in.len += (size_t)n;
	while (l->in.len > 0 && (length = request_length(&l->in)) > 0) {
		buf_consume(&l->in, length);
		buf_put(&l->out, words, sizeof(words) - 1);
	}
	return line_write(l);
}

static void
take_connections(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct line *l = mem_zalloc(sizeof(*l));

		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		l->fd = fd;
		watch(l, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int
start_listening(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
		perror("answer: could not listen");
		exit(1);
	}
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

/* One event; false: standard input has ended. */
static bool
serve(struct line *l, uint32_t events, const struct line *listener, const struct line *input)
{
	char byte;

	if (l == input)
		return read(l->fd, &byte, 1) != 0;
	if (l == listener) {
		take_connections(l->fd);
		return true;
	}
	if ((events & EPOLLOUT) != 0)
		watch(l, EPOLL_CTL_MOD, EPOLLIN);
	if (((events & EPOLLOUT) != 0 && !line_write(l)) || ((events & ~(uint32_t)EPOLLOUT) != 0 && !line_read(l)))
		line_free(l);
	return true;
}

int
main(void)
{
	struct line listener = { .fd = start_listening() }, input = { .fd = STDIN_FILENO };
	struct epoll_event events[64];
	bool more = true;

	poller = epoll_create1(EPOLL_CLOEXEC);
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
	watch(&input, EPOLL_CTL_ADD, EPOLLIN);
	while (more) {
		int n = epoll_wait(poller, events, 64, -1);

		for (int i = 0; i < n && more; i++)
			more = serve(events[i].data.ptr, events[i].events, &listener, &input);
	}
	return 0;
}
