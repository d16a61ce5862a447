/* launch_client.h - a worker's line to the launcher.
 *
 * Connects, says HELLO with the worker's identity, and again after every loss, with growing pauses.  The end of the line
 * ends every run that was on it: the launcher has killed, or will kill, what ran there.
 */
#ifndef RUN_LAUNCH_CLIENT_H
#define RUN_LAUNCH_CLIENT_H

#include "base/buf.h"
#include "base/list.h"
#include "sys/loop.h"

#include "run/launch.h"

struct launch;

/* One run on the line; embedded in the caller's object.  `heard` is called with STARTED (unless quiet), REFUSED or EXITED, or with null when the line
 * was lost; after REFUSED, EXITED and null the run is off the line.  Never called inside a call from the caller. */
struct launch_run {
	struct list node;
	uint64_t token;
	bool quiet; /* does not hear STARTED */
	void (*heard)(struct launch_run *w, const struct launch_msg *m);
};

/* Three pipes for the stdin, stdout and stderr of a run: ours do not block, theirs are for launch_start().  False when no descriptors are
 * left; then those of ours that are not -1 are open. */
bool launch_pipes(int ours[3], int theirs[3]) MUSTCHECK;
/* Writes what its stdin takes now, and takes it out of `b`.  False: nobody reads there any more. */
bool launch_pour(int fd, struct buf *b) MUSTCHECK;

/* `changed` is called after the line came or went, also inside launch_hello(). */
struct launch *launch_new(struct loop *loop, const char *path, void (*changed)(void *arg), void *arg) MUSTCHECK;
void launch_free(struct launch **l); /* hears nothing any more */
/* Who this worker is.  Another inc than before cuts the line first: what ran under the old one is killed by the launcher. */
void launch_hello(struct launch *l, int64_t inc);
bool launch_ready(const struct launch *l);
/* Sends START; takes the three descriptors (they are closed here). */
void launch_start(struct launch *l, struct launch_run *w, int handler, const int fds[3]);
void launch_kill(struct launch *l, const struct launch_run *w, int sig);
void launch_forget(struct launch *l, struct launch_run *w); /* off the line without a word */
/* The launcher does not answer any more: cut the line, which ends all runs on it. */
void launch_cut(struct launch *l, const char *why);

#endif
