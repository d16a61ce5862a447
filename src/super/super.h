/* super.h - lifecycle of processes; knows no SQL, no HTTP, no task.
 *
 * main() hands over a table of roles.  The supervisor forks them, watches, restarts with throttling, drains and reloads.  A
 * reload is a new generation: children are started with the new configuration, then the old ones are told to drain.  It holds no event
 * base, no libpq; signals set flags, meaning lives in the loop, which compares what should run with what runs and starts the difference.
 */
#ifndef SUPER_SUPER_H
#define SUPER_SUPER_H

#include "base/base.h"
#include "base/id.h"
#include "conf/conf.h"
#include "stats/stats.h"
#include "sys/guard.h"
#include "sys/marks.h"
#include "sys/ration.h"
#include "sys/recent.h"
#include "sys/seats.h"
#include "sys/turn.h"
#include "sys/wake.h"

/* All that crosses the fork.  A role starts with TERM, INT, HUP, USR1 and CHLD blocked, so that none can reach it before it is ready
 * for them; it unblocks them itself (role_begin() does). */
struct super_child {
	const struct conf *conf; /* of this generation */
	const char *conf_path;
	struct stats *stats;
	int slot;  /* of the stats region */
	int index; /* among its role: 0, 1, ... */
	unsigned generation;
	bool keeps_root; /* of the role: do not drop to conf->user */
	struct id boot;  /* this start of the supervisor */
	int64_t boot_at; /* clock_now() of it */
	pid_t supervisor;
	const int *listeners; /* listening HTTP sockets, shared by all */
	int nlisteners;
	struct wake *wake;
	struct ration *ration;
	struct turn *turn;
	struct seats *seats;
	struct guard *guard;
	struct marks *marks;
	struct recent *recent; /* null: keys.recent is 0 */
	int launch_listener;   /* SEQPACKET socket of this generation's launcher; the launcher accepts on it */
	char launch_path[108]; /* workers connect to it */
	int gone_pipe[2];      /* launcher -> keeper: an int64_t inc for each dead worker whose handlers are gone */
	int ready_fd;          /* see super_child_ready() */
};

/* By the child, once, when it does its work: a new generation replaces the old one, and READY=1 is sent, when all of its
 * processes have said so; one that dies before it did slows its next start. */
void super_child_ready(const struct super_child *me);

typedef int super_role_fn(const struct super_child *me); /* the process; its result is the exit code */

struct super_role {
	const char *name; /* "acceptor" */
	super_role_fn *run;
	int (*count)(const struct conf *c); /* how many of a generation */
	int stop_order;  /* drain: 1 first; a higher one when all lower ones are gone; the launcher last */
	bool keeps_root; /* the launcher; others drop to conf->user */
	bool listens;    /* the acceptors get the listening sockets; in others they are closed */
};

/* Roles are started in the order of the table. */
struct super_options {
	const char *conf_path; /* null: the defaults; HUP then only starts a new generation */
	struct conf *conf;     /* ownership passes */
	const struct super_role *roles;
	int nroles;
	bool daemonize;
	const char *const *routes; /* "METHOD path", terminated by null, for the stats region */
};
/* The daemon's whole life; the log is open already.  Returns the exit code of the program: 0 when all ended well and in time,
 * EX_TEMPFAIL when a drain left something behind; a machine that is not right is a line on stderr and an exit. */
int super_run(const struct super_options *o) MUSTCHECK;

#endif
