/* pool.h - what exec_pool.c and the pool_*.c share: the children of one handler in one worker process.
 *
 *	starting -> idle <-> busy
 *	    \         \        \---> doomed    a signal is sent: it ran too long, was cancelled, or said something wrong
 *	     \         \-----------> leaving   its stdin is closed: recycled or drained; TERM and KILL follow, a grace apart
 *	      \--------------------> (gone)    from any state, when the launcher says so
 *
 * A child has up to `pipeline` jobs, oldest first: tasks whose envelopes it was given and has not answered.  The oldest is the one that
 * it works at, and so is any of which it has told progress: these are begun.  A job ends when its child has answered it, or else when
 * every process of its child is gone.
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
	struct list open; /* of them, with a place for a job; idle ones first, and of these the one that worked last */
	struct list unsaid; /* of them, with envelopes that are not on their way yet */
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
	struct list of_open, of_unsaid;
	enum pool_state state;
	struct launch_run line;
	int pid;
	int fd[3]; /* our ends of its stdin, stdout, stderr; -1: closed */
	struct loop_fd *watch[3];
	struct buf out; /* what its stdin has not taken yet */
	uint64_t put;   /* bytes that were ever put into `out` */
	bool full;      /* its stdin took no more; it is watched */
	struct pool_frames in;
	struct buf room; /* for the note of an answer */
	struct buf err;  /* a line of stderr that has no end yet */
	char said[256];  /* the last whole one */
	struct buf tail; /* what stderr brought since its last answer: the end of it, and some more */
	int lines;       /* of stderr that came since lines_since */
	int64_t lines_since;
	bool deaf;        /* its stdin is closed at its end */
	int signal;       /* the gravest that it was doomed with */
	bool ragged;      /* it answered what it had not read whole: what it reads next is the rest */
	bool ours;        /* we have asked it to end, and not for what it did */
	struct list jobs; /* struct pool_job */
	int njobs;
	int done; /* tasks */
	int64_t born_at;
	int64_t heard_at; /* its last answer */
	int64_t weighed_at;
	struct loop_timer *timer; /* leaving: patience */
	bool asked;               /* leaving: SIGTERM is sent */
};
#define POOL_CHILD_MAGIC 0x6368696cu

/* A task that a child has; it lives in the arena of its run. */
struct pool_job {
	unsigned magic;
	struct list node;
	struct pool_child *child;
	struct exec_run *x;
	uint64_t from, to; /* its envelope in all that its child is given */
	int64_t given_at;
	bool begun;
	bool stopped; /* we were asked to end it */
	bool decided; /* x->end is filled; it waits for the end of the child */
};
#define POOL_JOB_MAGIC 0x6a6f6221u

/* --- pool_child.c ----------------------------------------------------------------------------------------------------------- */

struct pool_child *pool_child_new(struct pool *p) MUSTCHECK; /* null: no descriptors are left */
void pool_child_free(struct pool_child **c);                 /* forgets it; the launcher ends what still lives */
void pool_child_say(struct pool_child *c);                   /* what is in `out` */
void pool_child_stop(struct pool_child *c, int sig);
void pool_child_leave(struct pool_child *c);                /* an idle one */
void pool_child_hurry(struct pool_child *c, int64_t grace); /* a leaving one: SIGTERM now */
bool pool_child_overdue(struct pool_child *c);              /* it is due to be recycled, and gets no more jobs */

/* Of these files. */
void pool_child_move(struct pool_child *c, enum pool_state to);
void pool_child_doom(struct pool_child *c, int sig);
void pool_child_rest(struct pool_child *c); /* it was started, or is done with a job */
void pool_child_close(struct pool_child *c, int which);
uint64_t pool_child_took(const struct pool_child *c); /* so much of all that it was given is read */

/* --- pool_job.c ------------------------------------------------------------------------------------------------------------- */

void pool_job_give(struct pool_child *c, struct exec_run *x); /* to one with a place; pool_child_say() must follow */
struct pool_job *pool_job_oldest(const struct pool_child *c); /* null: none */
struct pool_job *pool_job_find(const struct pool_child *c, struct span lease);
void pool_job_begin(struct pool_job *j, int64_t since);
void pool_job_answered(struct pool_job *j); /* x->end is filled */
void pool_job_forget(struct pool_job *j);   /* the process is going away */
/* The child did what it must not: what fails by it is `j`, or, when that is null, all that are begun. */
void pool_job_wrong(
    struct pool_child *c, struct pool_job *j, enum task_class class, const char *code, const char *message);
void pool_jobs_deaf(struct pool_child *c); /* it reads no more: what becomes of the oldest? */
/* The child is gone: each has an end, by the status it ended with or because its launcher is lost. */
void pool_jobs_judge(struct pool_child *c, int status);
void pool_jobs_lost(struct pool_child *c);
void pool_jobs_end(struct pool_child *c); /* as judged */

/* --- pool_hear.c ------------------------------------------------------------------------------------------------------------ */

void pool_hear_answers(struct pool_child *c, int chunks); /* bounded */
void pool_hear_stderr(struct pool_child *c, int chunks);
/* With a failure of it goes what stderr brought since the last answer, also what is in the pipe still. */
void pool_hear_tail(struct pool_child *c, struct exec_run *x);
/* What a child must not do: it is killed, and `j` fails by it, or all that are begun.  `shown`: what it wrote. */
void pool_hear_wrong(struct pool_child *c, struct pool_job *j, const char *expected, struct span shown);

/* --- exec_pool.c: told by children -------------------------------------------------------------------------------------------- */

void pool_moved(struct pool_child *c);                   /* there may be a place, or a child less */
void pool_worked(struct pool_child *c, int64_t took);    /* it has done a task */
void pool_bereft(struct pool_child *c, const char *why); /* it ended and we had not asked */

#endif
