/* sock.c - addresses, listening sockets, connections.  Messages with descriptors are in sock_seqpacket.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/sock_int.h"
#include "sys/sys.h"

/* --- addresses ------------------------------------------------------------------------------------------------------- */

bool
sock_unix_address(const char *path, struct sockaddr_un *sun_r)
{
	*sun_r = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(sun_r->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(sun_r->sun_path, path, strlen(path) + 1);
	return true;
}

static const char *
parse_unix(const char *path, struct sock_addr *a)
{
	struct sockaddr_un sun;

	if (path[0] != '/')
		return "expected an absolute path after unix:";
	if (!sock_unix_address(path, &sun) || strlen(path) + sizeof("unix:") > sizeof(a->text))
		return "the path of a unix socket has at most 107 bytes";
	memcpy(&a->ss, &sun, sizeof(sun));
	a->len = sizeof(sun);
	snprintf(a->text, sizeof(a->text), "unix:%s", path);
	return NULL;
}

static bool
parse_port(const char *text, uint16_t *port_r)
{
	char *end;
	long port = strtol(text, &end, 10);

	*port_r = htons((uint16_t)port);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port <= 65535;
}

static bool
parse_host(const char *host, uint16_t port, struct sock_addr *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->ss;
	size_t n = strlen(host);
	char bare[INET6_ADDRSTRLEN];

	if (n > 2 && n < sizeof(bare) && host[0] == '[' && host[n - 1] == ']') {
		memcpy(bare, host + 1, n - 2);
		bare[n - 2] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		a->len = sizeof(*in6);
		return inet_pton(AF_INET6, bare, &in6->sin6_addr) == 1;
	}
	if (host[0] == '\0' || strcmp(host, "*") == 0) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		in6->sin6_addr = in6addr_any;
		a->len = sizeof(*in6);
		return true;
	}
	in->sin_family = AF_INET;
	in->sin_port = port;
	a->len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

const char *
sock_parse(const char *text, struct sock_addr *addr_r)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	uint16_t port;

	memset(addr_r, 0, sizeof(*addr_r));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, addr_r);
	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return "expected ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or unix:/PATH";
	if (!parse_port(colon + 1, &port))
		return "expected a port between 0 and 65535 after the last colon";
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (!parse_host(host, port, addr_r))
		return "expected a numeric address, an IPv6 one in brackets, or *";
	snprintf(addr_r->text, sizeof(addr_r->text), "%s%s", text[0] == ':' ? "*" : "", text);
	return NULL;
}

bool
sock_is_loopback(const struct sock_addr *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->ss;

	switch (a->ss.ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127);
	default:
		return false;
	}
}

/* --- listening ------------------------------------------------------------------------------------------------------- */

/* A socket file outlives its process.  It is in the way only when nobody answers on it. */
static void
remove_dead_socket(const struct sockaddr_un *sun, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0 && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

int
sock_drop(int fd)
{
	int e = errno;

	close(fd);
	errno = e;
	return -1;
}

int
sock_bind_listen(int type, const struct sockaddr *sa, socklen_t len, bool dual, int backlog)
{
	int on = 1, off = 0;
	int fd = socket(sa->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (sa->sa_family == AF_UNIX)
		remove_dead_socket((const struct sockaddr_un *)sa, type);
	else
		MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	if (sa->sa_family == AF_INET6)
		MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? &off : &on, sizeof(on)) == 0);
	if (bind(fd, sa, len) == 0 && listen(fd, backlog) == 0)
		return fd;
	return sock_drop(fd);
}

int
sock_listen(const struct sock_addr *a, int backlog)
{
	bool every = a->text[0] == '*';
	int fd = sock_bind_listen(SOCK_STREAM, (const struct sockaddr *)&a->ss, a->len, every, backlog);

	/* A kernel without IPv6: every address is every IPv4 address. */
	if (fd < 0 && every && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_port = ((const struct sockaddr_in6 *)&a->ss)->sin6_port };

		fd = sock_bind_listen(SOCK_STREAM, (struct sockaddr *)&in, sizeof(in), false, backlog);
	}
	return fd;
}

int
sock_connect(const struct sock_addr *a)
{
	int on = 1;
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (a->ss.ss_family != AF_UNIX)
		MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	if (connect(fd, (const struct sockaddr *)&a->ss, a->len) == 0 || errno == EINPROGRESS)
		return fd;
	return sock_drop(fd);
}

int
sock_port(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	MUST(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	if (ss.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&ss)->sin_port);
	if (ss.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	return 0;
}

void
sock_name(int fd, char *text, size_t size)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	char host[INET6_ADDRSTRLEN] = "";

	MUST(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	switch (ss.ss_family) {
	case AF_INET:
		MUST(inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, host, sizeof(host)) != NULL);
		snprintf(text, size, "%s:%d", host, sock_port(fd));
		break;
	case AF_INET6:
		MUST(inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr, host, sizeof(host)) != NULL);
		snprintf(text, size, "[%s]:%d", host, sock_port(fd));
		break;
	default:
		snprintf(text, size, "unix:%s", ((struct sockaddr_un *)&ss)->sun_path);
	}
}

void
sock_unlisten(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	/* while we listen nobody of ours takes the path for a dead one's */
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family == AF_UNIX)
		(void)unlink(((struct sockaddr_un *)&ss)->sun_path);
	MUST(close(fd) == 0);
}
