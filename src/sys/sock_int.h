/* sock_int.h - what the two files about sockets share. */
#ifndef SYS_SOCK_INT_H
#define SYS_SOCK_INT_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"

bool sock_unix_address(const char *path, struct sockaddr_un *sun_r) MUSTCHECK; /* false + ENAMETOOLONG */
/* Bound and listening, non-blocking, close-on-exec; `dual`: an IPv6 socket takes IPv4 too.  -1 + errno. */
int sock_bind_listen(int type, const struct sockaddr *sa, socklen_t len, bool dual, int backlog) MUSTCHECK;
int sock_drop(int fd); /* closes what could not be used: -1, and errno stays as it was */

#endif
