/* launch.h - the words between a worker and the launcher, over a SOCK_SEQPACKET socket on this host.
 *
 * The launcher starts exec handlers so that no process with a database connection forks.  A worker says HELLO once with its
 * inc, then START (with the child's stdin, stdout, stderr as descriptors) and KILL; the launcher answers STARTED or REFUSED, and EXITED.
 * A quiet START is not answered with STARTED: most runs are short, and a message is a twentieth of what one costs.
 * When a worker's connection ends, the launcher kills all its handlers, their groups and descendants, and then writes the worker's inc to
 * the keeper's pipe: only then are its leases returned.
 */
#ifndef RUN_LAUNCH_H
#define RUN_LAUNCH_H

#include <stdint.h>

enum launch_verb {
	LAUNCH_HELLO,   /* inc */
	LAUNCH_START,   /* token, handler, value: LAUNCH_QUIET or 0; three descriptors */
	LAUNCH_KILL,    /* token, signal; the whole group, SIGKILL also all descendants */
	LAUNCH_STARTED, /* token, pid */
	LAUNCH_REFUSED, /* token, error (errno), and what was attempted */
	LAUNCH_EXITED   /* token, wait status; every process of the run is gone */
};

#define LAUNCH_QUIET 1 /* tell nothing of a start that is well */

struct launch_msg {
	uint32_t verb;
	int32_t value;  /* signal, errno, wait status or LAUNCH_QUIET */
	uint64_t token; /* the worker's name for the run */
	int64_t inc;
	int32_t pid;
	int32_t handler; /* index in conf->handlers */
	char text[160];  /* REFUSED: "cannot execute \"/x\"" */
};

#endif
