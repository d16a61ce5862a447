/* pool.h - what exec_pool.c and pool_child.c share: the children of one handler in one worker process.
 *
 *	starting -> idle <-> busy
 *	    \         \        \---> doomed    a signal is sent: it ran too long, was cancelled, or said something wrong
 *	     \         \-----------> leaving   its stdin is closed: recycled or drained; TERM and KILL follow, a grace apart
 *	      \--------------------> (gone)    from any state, when the launcher says so
 *
 * A task ends when its child has answered, or else when every process of its child is gone.
 */
#ifndef RUN_POOL_H
#define RUN_POOL_H

#include "base/list.h"

#include "run/exec.h"
#include "run/launch_client.h"
#include "run/pool_wire.h"

enum pool_state { POOL_STARTING, POOL_IDLE, POOL_BUSY, POOL_DOOMED, POOL_LEAVING };

struct pool {
	const struct exec_env *env;
	const struct conf_handler *handler;
	int want;             /* children */
	struct list children; /* all that are not gone */
	struct list idle;     /* of them; the one that worked last first */
	int total;
	int up;                   /* idle or busy */
	int fails;                /* deaths in a row of children that had done nothing */
	int64_t not_before;       /* for the next start */
	int64_t typical;          /* us that a task takes lately; 0: not known */
	bool leaving;             /* no starts any more */
	struct loop_timer *timer; /* at not_before */
};

struct pool_child {
	unsigned magic;
	struct pool *pool;
	struct list node; /* of pool->children */
	struct list of_idle;
	enum pool_state state;
	struct launch_run line;
	int pid;
	int fd[3]; /* our ends of its stdin, stdout, stderr; -1: closed */
	struct loop_fd *watch[3];
	struct buf out; /* what its stdin has not taken yet */
	size_t sent;    /* length of the envelope */
	struct pool_frames in;
	struct buf room; /* for the note of an answer */
	struct buf err;  /* a line of stderr that has no end yet */
	char said[256];  /* the last whole one */
	int lines;       /* of stderr that came since lines_since */
	int64_t lines_since;
	bool deaf;          /* its stdin is closed at its end */
	bool ours;          /* we have asked it to end, and not for what it did */
	struct exec_run *x; /* null: none */
	bool decided;       /* x->end is filled; it waits for the end of the child */
	char lease[TASK_LEASE_TEXT];
	int done; /* tasks */
	int64_t born_at;
	int64_t given_at;
	int64_t weighed_at;
	struct loop_timer *timer; /* leaving: patience */
	bool asked;               /* leaving: SIGTERM is sent */
};
#define POOL_CHILD_MAGIC 0x6368696cu

/* --- pool_child.c ----------------------------------------------------------------------------------------------------------- */

struct pool_child *pool_child_new(struct pool *p) MUSTCHECK; /* null: no descriptors are left */
void pool_child_free(struct pool_child **c);                 /* forgets it; the launcher ends what still lives */
/* To an idle one.  False: its stdin is closed, nothing has happened to the task, and the child is doomed. */
bool pool_child_give(struct pool_child *c, struct exec_run *x) MUSTCHECK;
void pool_child_stop(struct pool_child *c, int sig);
void pool_child_forget(struct pool_child *c);               /* its task: the process is going away */
void pool_child_leave(struct pool_child *c);                /* an idle one */
void pool_child_hurry(struct pool_child *c, int64_t grace); /* a leaving one: SIGTERM now */
bool pool_child_overdue(struct pool_child *c);              /* an idle one is due to be recycled */

/* Of these two files. */
void pool_child_move(struct pool_child *c, enum pool_state to);
void pool_child_doom(struct pool_child *c, int sig);
void pool_child_over(struct pool_child *c); /* its task has an end; the pool has heard of the child already */
void pool_child_close(struct pool_child *c, int which);

/* --- pool_hear.c ------------------------------------------------------------------------------------------------------------ */

void pool_hear_answers(struct pool_child *c, int chunks); /* bounded */
void pool_hear_stderr(struct pool_child *c, int chunks);
/* What a child must not do: it is killed, and its task, if it has one, fails by it.  `shown`: what it wrote. */
void pool_hear_wrong(struct pool_child *c, const char *expected, struct span shown);

/* --- exec_pool.c: told by children -------------------------------------------------------------------------------------------- */

void pool_rest(struct pool_child *c); /* it is idle now: started, or done with a task */
int64_t pool_bereft(
    struct pool_child *c, const char *why); /* it ended and we had not asked; returns the pause before the next start */
void pool_gone(struct pool_child *c);       /* it is gone and will be freed */

#endif
