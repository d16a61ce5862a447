/* proc.h - processes: titles, parents, ends, trees. */
#ifndef SYS_PROC_H
#define SYS_PROC_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"

/* main() hands over argv before anything else; the title is then written over argv and environ (the environment is copied
 * first).  ps shows "taskqd: worker 2 (running)". */
void proc_title_init(int argc, char **argv);
void proc_title_set(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The kernel sends `sig` when the parent dies.  To be called after the last change of uid (a change clears it); returns false
 * when the parent is already another than `parent` (then the caller exits). */
bool proc_parent_death(int sig, pid_t parent) MUSTCHECK;
void proc_become_subreaper(void);

/* setgroups, setresgid, setresuid to the user; checks that there is no way back.  False + errno when it fails.  A process
 * that is not root may only "drop" to itself. */
bool proc_drop_to(const char *user) MUSTCHECK;

/* Others of the same user may not look into our memory, where the password of the database is.  To be called after the last change of
 * uid.  Such a process leaves no core; with the address sanitizer, which must look into itself, this does nothing. */
void proc_hide(void);

/* As many open files as we are allowed, up to a million: the usual soft limit is for programs that use select(2). */
void proc_raise_files(void);

/* "exit 3", "killed by SIGSEGV (core dumped)". */
void proc_status_text(int wait_status, char *text, size_t size);
const char *proc_signal_name(int sig); /* "SIGTERM"; "signal 99" when unknown (static) */

/* Start time of a process in clock ticks since boot, from /proc/PID/stat; 0 when there is none.  pid + start time names a process for
 * ever. */
uint64_t proc_start_time(pid_t pid);
pid_t proc_parent(pid_t pid); /* of a zombie too; 0: there is no such process */

/* What a process uses, as anybody may read it.  False when it is gone. */
struct proc_usage {
	int64_t cpu;      /* us, user and system, also of children that were waited for */
	int64_t resident; /* bytes */
};
bool proc_usage(pid_t pid, struct proc_usage *u_r) MUSTCHECK;

/* The living direct children of `root` as seen in /proc now, appended as pid_t. */
void proc_children(pid_t root, struct buf *pids);
/* Those of the calling process, which has one thread, zombies included.  One small read where the kernel keeps the list. */
void proc_own_children(struct buf *pids);

/* Clears handlers and mask; for the moment between fork and exec. */
void proc_signals_reset(void);

#endif
