/* sys.h - the small things of the kernel: shared mappings, sockets, the pid file, the start protocol of systemd. */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/base.h"

/* --- shm.c --------------------------------------------------------------------------------------------------------- */

/* Creates (replacing) a file of `size` bytes, every block reserved (a full file system is an error here, not SIGBUS
 * later), mapped shared and writable, zeroed.  Null + errno when it fails. */
void *shm_create(const char *path, size_t size) MUSTCHECK;
/* Maps an existing one read-only.  Null + errno when it fails. */
const void *shm_open_read(const char *path, size_t *size_r) MUSTCHECK;

/* --- sock.c -------------------------------------------------------------------------------------------------------- */

struct sock_addr {
	struct sockaddr_storage ss;
	socklen_t len;
	char text[128]; /* as in the configuration: "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock" */
};

/* Numeric addresses only; "*:80" and ":80" mean every address.  Returns null or what is wrong, as text to print. */
const char *sock_parse(const char *text, struct sock_addr *addr_r) MUSTCHECK;
bool sock_is_loopback(const struct sock_addr *a); /* loopback or unix */
/* Bound, listening, non-blocking, close-on-exec; an old unix socket file is removed when nobody answers on it.
 * -1 + errno when it fails. */
int sock_listen(const struct sock_addr *a, int backlog) MUSTCHECK;
/* Non-blocking, close-on-exec, on its way: writable when it is there or has failed (SO_ERROR).  -1 + errno when it fails at once. */
int sock_connect(const struct sock_addr *a) MUSTCHECK;
/* The port that the kernel chose for ":0"; 0 for unix. */
int sock_port(int fd);
/* The local name of a listening socket in the form of the configuration, with the real port. */
void sock_name(int fd, char *text, size_t size);
void sock_unlisten(int fd); /* closes a listener of ours; the file of a unix one goes with it */

/* SOCK_SEQPACKET at a path, mode 0600; for the launcher. */
int sock_seqpacket_listen(const char *path) MUSTCHECK;
int sock_seqpacket_connect(const char *path) MUSTCHECK;
/* One message with up to 4 descriptors.  True when sent whole; false + errno (EAGAIN when the peer is slow). */
bool sock_send_fds(int fd, const void *msg, size_t len, const int *fds, int nfds) MUSTCHECK;
/* Received bytes, 0 at the end, -1 + errno.  Received descriptors are close-on-exec; *nfds is in: room, out: received. */
ssize_t sock_recv_fds(int fd, void *msg, size_t size, int *fds, int *nfds) MUSTCHECK;
bool sock_peer(int fd, pid_t *pid_r, uid_t *uid_r) MUSTCHECK; /* SO_PEERCRED */

/* --- pidfile.c ----------------------------------------------------------------------------------------------------- */

/* A regular file with one name that belongs to us, made when it is missing; no link is followed; EPERM, ELOOP.
 * flock()ed for as long as the supervisor *or any of its children* lives: a new start cannot meet old workers.  Returns
 * the fd; -1 + errno EWOULDBLOCK (holder's pid in *holder_r, 0 when unknown) or another errno. */
int pidfile_lock(const char *path, pid_t *holder_r) MUSTCHECK;
void pidfile_write(int fd, pid_t pid);
void pidfile_remove(const char *path); /* by the supervisor, at its end */

/* --- notify.c: sd_notify(3)'s datagram protocol, without libsystemd ------------------------------------------------- */

void notify_send(const char *fmt, ...) PRINTF_LIKE(1, 2); /* "READY=1"; nothing without NOTIFY_SOCKET */
void notify_reloading(void);                              /* RELOADING=1 with MONOTONIC_USEC */
int64_t notify_watchdog(void);                            /* interval in microseconds; 0: none wanted */

/* --- failpoint.c: named places where a test may stop, kill or fail us; compiled in only by --enable-failpoints ------- */

#ifdef TASKQ_FAILPOINTS
/* TASKQ_FP="claim.sent=kill9@3;submit.sent=stop:5000".  Actions: kill9, abort, sleep:ms, stop:ms, err:errno; @N = at the Nth pass.
 * TASKQ_FP_FUSES=DIR: only while DIR/NAME is there, and it is gone then.  Returns 0 or the errno of err:. */
int failpoint(const char *name);
#else
#define failpoint(name) 0
#endif

#endif
