/* api_sweep.h - what the endpoints of replays, discards and fixes share.
 */
#ifndef HTTP_API_SWEEP_H
#define HTTP_API_SWEEP_H

#include "store/store_sweep.h"

#include "http/api_dead.h"

/* A request for one; in its arena. */
struct api_sweep {
	struct api_call c; /* first: it is the argument of callbacks */
	struct api_dead_filter filter;
	struct store_sweep_wish wish;
	bool filtered; /* a filter was given */
	bool dry_run;
};

/* Reads the body of POST /v1/dead/replays, discards, fixes.  False: answered.  api_sweep_read.c */
bool api_sweep_read(struct api_sweep *g) MUSTCHECK;

#endif
