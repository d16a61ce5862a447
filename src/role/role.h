/* role.h - the skeleton shared by acceptor, worker, keeper and launcher: signals, slot, title, heartbeat, drain.
 *
 * SIGTERM drains; a second SIGTERM, or conf->drain_timeout after the first, ends now; SIGUSR1 reopens the log; the death of the supervisor is
 * a SIGTERM.  SIGINT, SIGHUP and SIGPIPE are ignored: a terminal sends them to everybody, but only the supervisor decides.  A process whose
 * work is over gives its memory back.
 *
 *	int role_x(const struct super_child *me)
 *	{
 *		struct x x = { ... };
 *		struct role *r = role_begin(me, &ops, &x);
 *		... make what needs a loop: role_loop(r) ...
 *		return role_run(r);
 *	}
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "super/super.h"
#include "sys/loop.h"

struct role_ops {
	const char *name;
	void (*drain)(void *arg); /* finish and then role_done() */
	/* Second signal or deadline: release what is left and role_done().  A process that has not done so 2 s after the second
	 * signal, or kill_grace + 2 s after the deadline, exits with EX_TEMPFAIL. */
	void (*now)(void *arg);
	int64_t patience; /* added to the deadline: for the launcher, which others wait for; else 0 */
	void (*rest)(
	    void *arg); /* work is over for some seconds: what is kept for the next may go; null: nothing is kept */
};

struct role;
/* Attaches the slot, names the process, sets signals, drops to conf->user (unless it keeps root), watches the parent. */
struct role *role_begin(const struct super_child *me, const struct role_ops *ops, void *arg) MUSTCHECK;
struct loop *role_loop(struct role *r);
bool role_draining(const struct role *r);
void role_done(struct role *r, int exit_code); /* leaves the loop after this turn; the first code counts */
int role_run(struct role *r) MUSTCHECK; /* tells the supervisor "ready", runs the loop, frees the role; the exit code */

/* role_node.c: the name of this node: conf->node, else host and run_dir; borrowed until the next call. */
const char *role_node(const struct conf *c);
/* Where this daemon holds its lock: equal only for those of whom at most one lives; zero when that cannot be told. */
struct id role_home(const struct conf *c);

/* The roles, for main's table. */
int role_acceptor(const struct super_child *me);
int role_worker(const struct super_child *me);
int role_keeper(const struct super_child *me);
int role_launcher(const struct super_child *me);

#endif
