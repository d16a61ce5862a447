/* role.h - the skeleton shared by acceptor, worker, keeper and launcher: signals, slot, title, heartbeat, drain.
 *
 * SIGTERM drains, a second SIGTERM (or the drain deadline) ends now, SIGUSR1 reopens the log, the death of the supervisor is a
 * SIGTERM.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "super/super.h"
#include "sys/loop.h"

struct role_ops {
	const char *name;
	void (*drain)(void *arg);     /* finish and then role_done() */
	void (*now)(void *arg);       /* second signal or deadline: release what is left, role_done() soon */
};

struct role;
/* Attaches the slot, names the process, sets signals, drops to conf->user (unless it keeps root), watches the parent. */
struct role *role_begin(const struct super_child *me, const struct role_ops *ops, void *arg) MUSTCHECK;
struct loop *role_loop(struct role *r);
void role_state(struct role *r, const char *word);    /* title and slot: "running", "draining" */
bool role_draining(const struct role *r);
void role_done(struct role *r, int exit_code);        /* leaves the loop */
int role_run(struct role *r) MUSTCHECK;               /* the loop; returns the exit code */

/* The roles, for main's table. */
int role_acceptor(const struct super_child *me);
int role_worker(const struct super_child *me);
int role_keeper(const struct super_child *me);
int role_launcher(const struct super_child *me);

#endif
