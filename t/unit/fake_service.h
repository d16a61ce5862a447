/* fake_service.h - an HTTP service on the loop of a test: it answers each read with what `says` is, or not at all. */
#ifndef T_UNIT_FAKE_SERVICE_H
#define T_UNIT_FAKE_SERVICE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/loop.h"

#define PEERS 16

struct peer {
	int fd;
	struct loop_fd *watch;
};

/* One in a test. */
static struct service {
	struct loop *loop;
	int fd;
	int port;
	struct loop_fd *watch;
	struct peer peers[PEERS];
	int npeers;       /* connections so far */
	const char *says; /* null: nothing */
	char heard[8192]; /* what came last, terminated */
} service;

static void
peer_read(void *arg, int events UNUSED)
{
	struct peer *p = arg;
	ssize_t n = read(p->fd, service.heard, sizeof(service.heard) - 1);

	service.heard[n > 0 ? n : 0] = '\0';
	if (n <= 0) {
		loop_fd_free(&p->watch);
		close(p->fd);
	} else if (service.says != NULL && write(p->fd, service.says, strlen(service.says)) < 0) {
		perror("write");
	}
}

static void
peer_accept(void *arg UNUSED, int events UNUSED)
{
	struct peer *p = &service.peers[service.npeers];

	p->fd = accept(service.fd, NULL, NULL);
	if (p->fd < 0 || ++service.npeers == PEERS)
		abort();
	p->watch = loop_fd_new(service.loop, p->fd, LOOP_READ, peer_read, p);
}

static void
service_open(struct loop *loop)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	service.loop = loop;
	service.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(service.fd, (struct sockaddr *)(void *)&a, sizeof(a)) != 0 || listen(service.fd, PEERS) != 0 ||
	    getsockname(service.fd, (struct sockaddr *)(void *)&a, &len) != 0)
		abort();
	service.port = ntohs(a.sin_port);
	service.watch = loop_fd_new(loop, service.fd, LOOP_READ, peer_accept, NULL);
}

static void
service_close(void)
{
	loop_fd_free(&service.watch);
	close(service.fd);
	for (int i = 0; i < service.npeers; i++)
		loop_fd_free(&service.peers[i].watch);
}

#endif
