/* lease.c - a client that runs tasks over HTTP: leases many in a request, says in another that all of them are done, and so on.
 *
 *	lease --address HOST:PORT --tasks N [--connections 4] [--max 100] [--queue default]
 *
 * One thread, one epoll, one request in flight on each kept connection; of the answer to a lease nothing is looked at but the leases.  It
 * ends when the server has taken `tasks` completions, and prints one line of JSON: the completions that were taken (tasks) and not taken
 * (refused), requests, and the seconds of CPU that it used itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

#define CHUNK (256 * 1024)
#define LEASE_TEXT 48
#define WAIT 1 /* seconds that a lease may wait for its first task */

struct line {
	int fd;
	bool leasing;       /* what is in flight asks for leases; else it completes */
	int leases;         /* in the request that completes */
	struct buf in, out; /* out: what of the request is not sent yet */
};

static struct sockaddr_in server = { .sin_family = AF_INET };
static const char *address, *queue = "default";
static long wanted, done, refused, requests, most = 100;
static int poller;

static void NORETURN
quit(const char *what, const char *why)
{
	fprintf(stderr, "lease: %s: %s\n", what, why);
	exit(1);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static void
line_write(struct line *l)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = l };
	ssize_t n = send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		quit("could not send", strerror(errno));
	buf_consume(&l->out, n > 0 ? (size_t)n : 0);
	if (l->out.len > 0)
		e.events |= EPOLLOUT;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, l->fd, &e) != 0)
		quit("could not watch a connection", strerror(errno));
}

static void
line_post(struct line *l, const char *path, struct span body)
{
	buf_printf(&l->out,
	    "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path,
	    body.len);
	buf_putspan(&l->out, body);
	requests++;
	line_write(l);
}

static void
line_lease(struct line *l)
{
	char path[128], body[64];

	snprintf(path, sizeof(path), "/v1/queues/%s/lease", queue);
	snprintf(body, sizeof(body), "{\"max\":%ld,\"wait\":%d}", most, WAIT);
	l->leasing = true;
	line_post(l, path, span_of(body));
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static int
count(struct span text, const char *word)
{
	size_t len = strlen(word);
	const char *at;
	int n = 0;

	while ((at = memmem(text.ptr, text.len, word, len)) != NULL) {
		n++;
		text.len -= (size_t)(at + len - text.ptr);
		text.ptr = at + len;
	}
	return n;
}

/* All that were leased are done. */
static void
line_leased(struct line *l, struct span body)
{
	static const char before[] = "\"lease\":\"";
	struct buf b = { 0 };
	const char *at, *end = body.ptr + body.len;

	buf_puts(&b, "{\"items\":[");
	l->leases = 0;
	while ((at = memmem(body.ptr, (size_t)(end - body.ptr), before, sizeof(before) - 1)) != NULL) {
		at += sizeof(before) - 1;
		if (end - at < LEASE_TEXT)
			quit("an answer was wrong", "a lease is cut");
		buf_printf(&b, "%s{\"lease\":\"%.*s\"}", l->leases++ > 0 ? "," : "", LEASE_TEXT, at);
		body.ptr = at + LEASE_TEXT;
	}
	buf_puts(&b, "]}");
	l->leasing = l->leases == 0;
	if (l->leasing)
		line_lease(l);
	else
		line_post(l, "/v1/leases/complete", buf_span(&b));
	buf_free(&b);
}

static void
line_completed(struct line *l, struct span body)
{
	int good = count(body, "\"verdict\":\"ok\"");

	done += good;
	refused += l->leases - good;
	line_lease(l);
}

/* The body of the answer, when all of it is there; a null pointer: not yet. */
static struct span
line_answer(const struct line *l)
{
	static const char name[] = "\ncontent-length:";
	const char *end = memmem(l->in.data, l->in.len, "\r\n\r\n", 4), *at = l->in.data;
	size_t head, length = 0;

	if (end == NULL)
		return (struct span){ 0 };
	head = (size_t)(end - l->in.data) + 4;
	if (atoi(l->in.data + 9) != 200)
		quit("an answer was not 200", l->in.data);
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (strncasecmp(at, name, sizeof(name) - 1) == 0)
			length = (size_t)atol(at + sizeof(name) - 1);
		at++;
	}
	if (l->in.len < head + length)
		return (struct span){ 0 };
	return (struct span){ l->in.data + head, length };
}

static void
line_read(struct line *l)
{
	struct span body;
	ssize_t n;

	buf_reserve(&l->in, CHUNK + 1);
	n = recv(l->fd, l->in.data + l->in.len, CHUNK, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		quit("a connection broke", n == 0 ? "the server closed it" : strerror(errno));
	l->in.len += (size_t)n;
	l->in.data[l->in.len] = '\0';
	body = line_answer(l);
	if (body.ptr == NULL)
		return;
	if (l->leasing)
		line_leased(l, body);
	else
		line_completed(l, body);
	buf_reset(&l->in);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static void
line_open(struct line *l)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = l };
	int one = 1;

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&server, sizeof(server)) != 0)
		quit("could not connect", strerror(errno));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &e) != 0)
		quit("could not watch a connection", strerror(errno));
	line_lease(l);
}

static void
read_address(void)
{
	const char *colon = address == NULL ? NULL : strrchr(address, ':');
	char host[64] = "";

	if (colon != NULL && (size_t)(colon - address) < sizeof(host))
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	if (inet_pton(AF_INET, host, &server.sin_addr) != 1)
		quit("bad arguments", "expected --address HOST:PORT, the host a number");
	server.sin_port = htons((uint16_t)atoi(colon + 1));
}

static int
read_options(int argc, char **argv)
{
	static const struct option names[] = { { "address", 1, NULL, 'a' }, { "tasks", 1, NULL, 't' },
		{ "connections", 1, NULL, 'c' }, { "max", 1, NULL, 'm' }, { "queue", 1, NULL, 'q' },
		{ NULL, 0, NULL, 0 } };
	int connections = 4, c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'a')
			address = optarg;
		else if (c == 't')
			wanted = atol(optarg);
		else if (c == 'c')
			connections = atoi(optarg);
		else if (c == 'm')
			most = atol(optarg);
		else if (c == 'q')
			queue = optarg;
		else
			exit(64);
	}
	if (wanted < 1 || connections < 1 || most < 1 || most > 1000)
		quit("bad arguments", "expected --tasks and --connections from 1, --max from 1 to 1000");
	read_address();
	return connections;
}

int
main(int argc, char **argv)
{
	int connections = read_options(argc, argv);
	struct line *lines = mem_zalloc(sizeof(*lines) * (size_t)connections);
	struct epoll_event events[64];
	struct rusage u;

	poller = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < connections; i++)
		line_open(&lines[i]);
	while (done + refused < wanted) {
		int n = epoll_wait(poller, events, 64, -1);

		for (int i = 0; i < n; i++) {
			if ((events[i].events & EPOLLOUT) != 0)
				line_write(events[i].data.ptr);
			if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
				line_read(events[i].data.ptr);
		}
	}
	getrusage(RUSAGE_SELF, &u);
	printf("{\"tasks\":%ld,\"refused\":%ld,\"requests\":%ld,\"cpu_s\":%.3f}\n", done, refused, requests,
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6);
	return 0;
}
