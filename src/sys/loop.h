/* loop.h - the only owner of an event base.
 *
 * Made after fork, one per process.  A callback never runs inside the call that asked for it.  Everything here belongs to the
 * process that made it; nothing is thread-safe.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/base.h"

struct loop;
struct loop_fd;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_fd_fn(void *arg, int events); /* events: the LOOP_ bits that are true */
typedef void loop_fn(void *arg);

struct loop *loop_new(void) MUSTCHECK;
void loop_free(struct loop **l);
void loop_run(struct loop *l);  /* until loop_stop() */
void loop_stop(struct loop *l); /* after the callbacks of this turn */

/* Watches an fd the caller owns.  `want` = LOOP_ bits or 0; may be changed at any time, also in the callback.
 * loop_fd_free() never closes the fd; call it before close(). */
struct loop_fd *loop_fd_new(struct loop *l, int fd, int want, loop_fd_fn *fn, void *arg) MUSTCHECK;
void loop_fd_want(struct loop_fd *f, int want);
void loop_fd_free(struct loop_fd **f);

/* One-shot timer; set again to repeat.  Spans in microseconds; one of 0 fires on a later turn. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg) MUSTCHECK;
void loop_timer_set(struct loop_timer *t, int64_t us);
void loop_timer_clear(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_free(struct loop_timer **t);

/* A signal as an event; lives as long as the loop. */
void loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg);

#endif
