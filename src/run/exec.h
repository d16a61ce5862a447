/* exec.h - one run of one task by its handler: start, stop, end.  One meaning for every kind of work.
 *
 * A kind is a struct exec_kind and a row of the table in exec.c; run/ knows nothing else about it.  The kind runs the task and says
 * how it ended; what follows from the end (retry, burial, whose fault) is decided in run_outcome.c, time limits and
 * cancellation in run_task.c.
 *
 * Ends, for all kinds:
 *   success           a JSON value, or nothing
 *   failure           class, code, message.  A handler that reports an object with error_class, error_code, message or retry_after
 *                     (exec: on stdout, with a status other than 0) speaks for itself, unless a rule of its configuration says
 *                     otherwise (task/task_rules.h); a class or code that nobody knows makes the task dead at once
 *   crash             the process is gone by a signal that we did not send, or its launcher is gone: not an attempt
 *   unbegun           nobody has begun it, or it was interrupted for the sake of another: it waits again, as if nothing had happened
 *
 * pool: an answer that is none is TRANSIENT, PROTOCOL_ERROR; who is blamed for the end of a child is told in pool_job.c.
 *
 * exec: status 75 with {"snooze": seconds} on stdout puts the task off;
 * status 0 with output that is not one JSON value is TRANSIENT, BAD_OUTPUT (a cut output may be whole next time); more
 * output than work.output_max is NON_RETRYABLE, OUTPUT_TOO_LARGE; a command that cannot be started is TRANSIENT, START_FAILED.
 * http: what a status means is in task_class_of_status(), the rest at the head of exec_http.c.
 */
#ifndef RUN_EXEC_H
#define RUN_EXEC_H

#include "base/arena.h"
#include "conf/conf.h"
#include "sys/loop.h"
#include "task/task.h"
#include "task/task_rules.h"

struct exec_run;
struct exec_kind;
struct launch;
struct call_client;
struct pools;
struct commands;

/* What all runs of a worker process share. */
struct exec_env {
	struct loop *loop;
	const struct conf *conf;
	struct launch *launch;      /* null: this worker cannot start commands */
	struct call_client *calls;  /* null: no handler calls a service */
	void (*changed)(void *arg); /* what could not start may start now */
	void *arg;
	struct pools *pools;       /* of exec_pool.c */
	struct commands *commands; /* of exec_exec.c */
};

enum exec_ending { EXEC_SUCCESS, EXEC_FAILURE, EXEC_CRASH, EXEC_UNBEGUN };

struct exec_end {
	enum exec_ending ending;
	struct span result;           /* SUCCESS: JSON text, or empty */
	struct task_failure *failure; /* FAILURE, CRASH: never null */
	int64_t retry_after;          /* us, as the handler asked; -1: it did not */
	int64_t snooze;               /* us: put the task off for so long; -1: it did not ask.  Else beside a FAILURE */
	struct task_said said; /* beside a FAILURE: what the handler itself reported; judged by run_outcome_judge() */
	bool unknown_class;    /* found there: it reported a class that nobody knows */
	bool unknown_code;     /* likewise: a code, and no class */
};

/* Filled by the owner before exec_start(), but for `end`. */
struct exec_run {
	unsigned magic;
	const struct exec_env *env;
	const struct task_row *row;
	const struct conf_handler *handler;
	int attempt;         /* 1, 2, ... */
	int64_t lease_id;    /* for the envelope */
	int64_t deadline;    /* us since the epoch, for the envelope */
	struct arena *arena; /* freed by the owner after the end */
	void (*ended)(struct exec_run *x);
	/* It was begun, at that time of clock_now(): told once of a run that waits, never of another; may be null. */
	void (*begun)(struct exec_run *x, int64_t since);
	/* The handler says how far it is; may be null.  The note is its text as it came, and gone after the call. */
	void (*progress)(struct exec_run *x, int percent, struct span note);
	void *arg; /* of the owner */
	const struct exec_kind *kind;
	void *state; /* of the kind */
	bool waits;  /* says start(): its handler has it, but something else to do first.  Its time does not run yet */
	struct exec_end end;
};
#define EXEC_RUN_MAGIC 0x65786563u

enum exec_begin {
	EXEC_BEGUN, /* ended() follows on a later turn of the loop, exactly once */
	EXEC_ENDED, /* it is over already, `end` is filled; ended() is not called */
	EXEC_LATER  /* cannot start now through no fault of the task; nothing happened, try again */
};

struct exec_kind {
	const char *name;
	/* Null: always; false: start would say LATER. */
	bool (*ready)(const struct exec_env *env, const struct conf_handler *h);
	/* Null: always, when it is ready; false: all are busy, and tell when one is not.  Cheap: it is asked for each task that waits. */
	bool (*idle)(const struct exec_env *env, const struct conf_handler *h);
	/* Null: any; how many tasks of the handler may be here, those that wait included.  At least 1. */
	int (*width)(const struct exec_env *env, const struct conf_handler *h);
	enum exec_begin (*start)(struct exec_run *x);
	void (*flush)(struct exec_env *env); /* null, or: after some starts; what they have to say goes out together */
	void (*stop)(struct exec_run *x, int sig); /* SIGTERM asks, SIGKILL makes it end; ended() still follows */
	void (*drop)(struct exec_run *x);          /* forgets a run without an end: the process is going away */

	/* Of a kind that keeps something between runs; null: nothing to do. */
	void (*open)(struct exec_env *env);
	void (*turn)(struct exec_env *env); /* in each turn of the machine: starts what is missing */
	/* Starts nothing any more, lets go of what is idle.  grace >= 0: in haste, SIGTERM and after it SIGKILL.  May be called again. */
	void (*leave)(struct exec_env *env, int64_t grace);
	bool (*gone)(const struct exec_env *env); /* nothing is left */
	void (*close)(struct exec_env *env);      /* after all runs were dropped */
};

extern const struct exec_kind exec_builtin; /* exec_builtin.c: inside the worker, for trials */
extern const struct exec_kind exec_exec;    /* exec_exec.c: a command, by the launcher */
extern const struct exec_kind exec_http;    /* exec_http.c: a service */
extern const struct exec_kind exec_pool;    /* exec_pool.c: commands that stay, by the launcher */

/* --- exec.c: what every kind needs ------------------------------------------------------------------------------------------ */

bool exec_ready(const struct exec_env *env, const struct conf_handler *h);
bool exec_idle(const struct exec_env *env, const struct conf_handler *h);
int exec_width(const struct exec_env *env, const struct conf_handler *h); /* 0: any */
/* Each for all kinds. */
void exec_open(struct exec_env *env);
void exec_turn(struct exec_env *env);
void exec_leave(struct exec_env *env, int64_t grace);
bool exec_gone(const struct exec_env *env);
void exec_close(struct exec_env *env);

enum exec_begin exec_start(struct exec_run *x) MUSTCHECK;
void exec_flush(struct exec_env *env); /* must follow, on the same turn of the loop */
void exec_stop(struct exec_run *x, int sig);
void exec_drop(struct exec_run *x);

void exec_succeed(struct exec_run *x, struct span result);
/* Code and message are copied; the message is made valid text and cut.  What was said of another failure before is forgotten. */
struct task_failure *exec_fail(struct exec_run *x, enum task_class class, const char *code, struct span message);
void exec_crash(struct exec_run *x, const char *code, int wait_status, struct span message);
void exec_unbegun(struct exec_run *x);
/* The handler asks to put the task off; false, and nothing is changed, when that is no number of seconds from 0 on. */
bool exec_snooze(struct exec_run *x, double seconds);
void exec_code(struct exec_run *x, struct span code); /* of the failure that is there */
void exec_tail(struct exec_run *x,
    struct span said); /* the end of it is kept with the failure, if there is one; also when another follows */

/* --- exec_report.c ---------------------------------------------------------------------------------------------------------- */

/* exec_snooze() when `json` is an object that says so: {"snooze": seconds}. */
bool exec_snooze_said(struct exec_run *x, struct span json);
/* Takes into x->end what the handler said of its failure: an object with error_class, error_code, message, retry_after.  Its class is
 * judged later.  False, and nothing is changed, when `json` is not a valid object. */
bool exec_report(struct exec_run *x, struct span json);

/* --- exec_text.c ------------------------------------------------------------------------------------------------------------ */

/* Copies text for a database and a reader: bytes that are not UTF-8, and control characters other than tab and newline, become U+FFFD;
 * cut at a character.  `to` is terminated.  Returns the length. */
size_t exec_text_clean(char *to, size_t size, struct span from);
struct span exec_text_last_line(struct span text); /* the last that is not blank, trimmed; empty when there is none */
struct span exec_text_trim(struct span text);      /* white space of JSON at both ends */
double exec_text_number(
    struct span json); /* of a valid value; NaN when it is no number, infinite when none is so great */
/* Takes at most `most` bytes (at least 4) from the front, up to the end of a line where there is one, else of a character. */
struct span exec_text_take(struct span *text, size_t most);

#endif
