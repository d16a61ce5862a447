/* super_int.h - what the files of this room share.
 *
 *	super.c          the loop: wait, reap, reload, drain, start the difference
 *	super_child.c    the table of living children
 *	super_spawn.c    birth and death: how
 *	super_policy.c   how many, when again: whether (numbers and time only, no process)
 *	super_reload.c   generations: made, swapped, retired, freed
 *	super_setup.c    everything before the first fork and after the last child
 *	super_dir.c      the run directory: whose it is, its lock, its small files
 *	super_daemon.c   into the background
 */
#ifndef SUPER_SUPER_INT_H
#define SUPER_SUPER_INT_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"

#include "super/super.h"

/* --- policy: every number of this room ------------------------------------------------------------------------------ */

#define SUPER_PROVEN CLOCK_SECOND                 /* a child that is ready and this old has done useful work */
#define SUPER_SLOW_FIRST (100 * CLOCK_MS)         /* delay after the second early death in a row; doubles ... */
#define SUPER_SLOW_MOST (60 * CLOCK_SECOND)       /* ... up to this */
#define SUPER_RELOAD_PACE CLOCK_SECOND            /* least time between two reloads */
#define SUPER_RELOAD_PATIENCE (15 * CLOCK_SECOND) /* for a new generation to be ready; then the old one stays */
#define SUPER_STOP_EXTRA (3 * CLOCK_SECOND)       /* beyond drain_timeout + kill_grace, before SIGKILL */
#define SUPER_STOP_NOW (3 * CLOCK_SECOND)         /* between the second SIGTERM and SIGKILL: a role allows itself 2 s */
#define SUPER_KILL_PATIENCE (5 * CLOCK_SECOND)    /* for what was killed to be gone, before we leave anyway */
#define SUPER_TAKEOVER_EXTRA \
	(5 * CLOCK_SECOND) /* beyond drain_timeout + kill_grace: for the children of a dead supervisor */
#define SUPER_UP_PATIENCE (30 * CLOCK_SECOND) /* --daemon: for the first generation to be ready */
#define SUPER_TICK CLOCK_SECOND               /* longest sleep of the loop */
#define SUPER_ROLES 8

/* One per role: slows the next start after deaths before useful work. */
struct super_throttle {
	int early;       /* early deaths in a row */
	int64_t next_at; /* no start before; 0: any time */
};

int64_t super_throttle_delay(int early); /* 0, 0, 0.1 s, 0.2 s ... after 0, 1, 2, 3 early deaths */
bool super_throttle_open(const struct super_throttle *t, int64_t now);
void super_throttle_started(struct super_throttle *t, int64_t now);
void super_throttle_died_early(struct super_throttle *t, int64_t now);
void super_throttle_proven(struct super_throttle *t);

/* May the generation come up beside what lives?  NEVER: not even beside the serving one alone. */
enum super_room { SUPER_ROOM_NOW, SUPER_ROOM_LATER, SUPER_ROOM_NEVER };
enum super_room super_room_for(int wanted, int serving, int living);

/* --- the table ------------------------------------------------------------------------------------------------------ */

/* Processes that share a configuration. */
struct super_generation {
	struct list node; /* in super.generations, oldest first */
	unsigned number;
	struct conf *conf;
	int launch_listener;
	char launch_path[108];
	bool retiring;    /* is told to end, nothing is started for it */
	int64_t deadline; /* of a retiring one; then SIGKILL */
	int64_t made_at;
};

struct super_proc {
	struct list node; /* in super.procs */
	pid_t pid;
	uint64_t start_time; /* with the pid a name for ever */
	const struct super_role *role;
	struct super_generation *generation;
	int index;
	int slot;
	int64_t started_at;
	bool ready;
	bool proven;
	bool told;   /* has got SIGTERM from us */
	bool killed; /* has got SIGKILL from us */
};

enum super_state { SUPER_START, SUPER_RUN, SUPER_RELOAD, SUPER_DRAIN, SUPER_STOP };

struct super {
	const struct super_options *o;
	char *conf_path; /* absolute; null: the defaults */
	pid_t pid;       /* ours */
	bool drops;      /* started by root with a user to become */
	uid_t uid;       /* of that user */
	gid_t gid;
	enum super_state state;
	struct id boot;
	int64_t boot_at;
	struct list generations;
	struct super_generation *serving; /* the one that should run */
	struct super_generation *fresh;   /* in RELOAD: coming up, to replace the serving one */
	unsigned last_generation;
	struct list procs;
	bool procs_changed; /* roles.json is old */
	struct super_throttle throttle[SUPER_ROLES];

	char pid_path[4096];
	int pid_fd;
	int signal_fd;
	int ready_pipe[2];
	int gone_pipe[2];
	int up_fd; /* --daemon: the first process waits here for the exit code; else -1 */
	int *listeners;
	int nlisteners;
	struct stats *stats;
	struct wake *wake;
	struct ration *ration;
	struct turn *turn;
	struct seats *seats;
	struct guard *guard;
	struct marks *marks;
	struct recent *recent;
	struct buf forgiven; /* pid_t of children that we had before we forked any; never touched */

	bool want_reload, want_reopen, want_reap;
	int want_stop;     /* TERM or INT, so often */
	int64_t reload_at; /* not before */
	int64_t watchdog_every, watchdog_at;
	bool was_ready;     /* READY=1 is out */
	int64_t up_until;   /* then the first process is told that it takes too long; 0: done */
	int64_t gone_until; /* at the end: how long the killed are waited for */
	bool unclean;       /* a drain left something behind */
};

struct super_proc *super_proc_add(struct super *s, struct super_generation *g, const struct super_role *role) MUSTCHECK;
void super_proc_remove(struct super *s, struct super_proc **p);
struct super_proc *super_proc_find(struct super *s, pid_t pid);
int super_proc_count(struct super *s, const struct super_generation *g, const struct super_role *role); /* null: any */
void super_procs_write(struct super *s);                                                                /* roles.json */

/* --- super_spawn.c -------------------------------------------------------------------------------------------------- */

bool super_spawn(struct super *s, struct super_generation *g, const struct super_role *role);
void super_proc_signal(struct super_proc *p, int sig);
void super_reap(struct super *s);
int super_strangers_kill(struct super *s); /* how many are left to die */

/* --- super_reload.c ------------------------------------------------------------------------------------------------- */

/* Takes the configuration; null + message in text when its launcher's socket cannot be made. */
struct super_generation *super_generation_new(struct super *s, struct conf *conf, char *text, size_t size) MUSTCHECK;
void super_generation_retire(struct super *s, struct super_generation *g);
void super_generations_step(struct super *s); /* tells, kills and frees the retiring */
bool super_generation_ready(struct super *s, const struct super_generation *g);
void super_reload_begin(struct super *s);
void super_reload_step(struct super *s);

/* --- super_dir.c ------------------------------------------------------------------------------------------------------ */

void super_setup_spool(struct super *s); /* warns when there is none to be had */
void super_setup_dir(struct super *s);   /* made, looked at, locked; leaves the program when it is not right */
bool super_write_file(const char *dir, const char *name, const struct buf *text); /* atomically; false + errno */
void super_remove_file(const char *dir, const char *name);

/* --- super_setup.c, super_daemon.c ------------------------------------------------------------------------------------ */

void super_setup(struct super *s); /* leaves the program when the machine is not right */
void super_cleanup(struct super *s);
NORETURN void super_fatal(struct super *s, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void super_log_open(
    struct super *s, const struct conf *c); /* as the configuration says; at an error the earlier one stays */
void super_log_reopen(struct super *s);
void super_own(const struct super *s, const char *path); /* a file made by root that a child opens as its user */

void super_daemon_begin(struct super *s);            /* returns in the daemon only */
void super_daemon_up(struct super *s, int code);     /* the first process exits with the code; later calls do nothing */
void super_daemon_failed(struct super *s, int code); /* the same, but not before we have left */
void super_daemon_hush(const struct super *s, const struct conf *c); /* stderr to /dev/null, unless it is the log */

/* --- super.c -------------------------------------------------------------------------------------------------------- */

void super_set_state(struct super *s, enum super_state state, const char *why);
/* Starts the difference between what should run of a generation and what runs: roles with this stop order or a higher one. */
void super_fill(struct super *s, struct super_generation *g, int order);

#endif
