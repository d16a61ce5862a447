/* launch_int.h - what the launcher's files share.
 *
 *	role_launcher.c   connections of workers, the words of run/launch.h, drain
 *	launch_spawn.c    handlers made ready to start; starting one
 *	launch_reap.c     runs: which processes belong to one, and when the last of them is gone
 */
#ifndef ROLE_LAUNCH_INT_H
#define ROLE_LAUNCH_INT_H

#include <sys/types.h>

#include "base/base.h"
#include "base/list.h"
#include "conf/conf.h"
#include "run/launch.h"
#include "sys/loop.h"

/* --- launch_spawn.c ------------------------------------------------------------------------------------------------- */

/* A handler as execve() wants it.  `error` != 0: it cannot be started here, and why. */
struct launch_kind {
	const struct conf_handler *handler;
	char *const *argv;
	char **env; /* env[0] is left for the mark of the run */
	bool drops; /* to the ids below */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int ngroups;
	int error;
	char what[160];
};

/* One for each of conf->handlers; users are looked up here, once. */
struct launch_kind *launch_kinds_new(const struct conf *c) MUSTCHECK;
void launch_kinds_free(struct launch_kind **kinds, int n);

#define LAUNCH_MARK 48 /* "TASKQ_RUN=...", in the environment of every process of a run */

/* Starts the handler with the three descriptors, in its own session.  0 when refused; then `refused` says errno and what was attempted. */
pid_t launch_spawn(
    const struct launch_kind *k, char mark[LAUNCH_MARK], const int fds[3], struct launch_msg *refused) MUSTCHECK;

/* --- launch_reap.c -------------------------------------------------------------------------------------------------- */

struct launch_runs;

struct launch_run {
	struct list of_pid;   /* in its bucket */
	struct list of_state; /* in `alive` or `ended` */
	struct list of_peer;  /* the launcher's own list */
	void *peer;
	uint64_t token;
	char mark[LAUNCH_MARK];
	pid_t pid;  /* of the first process, also the id of its session */
	bool ended; /* the first process is dead; what else there is gets SIGKILL */
	int status;
	int left; /* processes of an ended run seen in the last look */
};

/* `gone` is called when the last process of a run is gone; the run is freed after it.  Never inside launch_run_add() or
 * launch_run_kill(). */
struct launch_runs *launch_runs_new(
    struct loop *l, void (*gone)(void *arg, struct launch_run *run), void *arg) MUSTCHECK;
void launch_runs_free(struct launch_runs **r);
void launch_mark_next(struct launch_runs *r, char mark[LAUNCH_MARK]);
struct launch_run *launch_run_add(struct launch_runs *r, void *peer, uint64_t token, pid_t pid, const char *mark);
/* To the whole group.  After SIGKILL the descendants that left the group follow when their ancestors are dead. */
void launch_run_kill(struct launch_run *run, int sig);
int launch_runs_count(const struct launch_runs *r);

#endif
