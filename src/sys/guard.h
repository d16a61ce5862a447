/* guard.h - what the processes of one node know together of each handler: is it worth starting now, how many at once, how many again.
 *
 * Made by the supervisor before the first fork.  A table of atomics, keyed by a hash of the handler's name; no lock, so whoever is killed
 * holds none.  All times are clock_now(), which the processes of a node share.  It is of this node alone and forgotten at its end.
 *
 *	breaker    CLOSED --too many failures, or a lasting one--> OPEN --pause over--> HALF --all probes good--> CLOSED
 *	                                                             ^----one probe failed, pause doubled----/
 *	budget     retries allowed in a window: a floor and a share of the first runs; a token bucket, what is beyond it is told to wait
 *	window     runs at once, when adaptive: up by one for each windowful of successes, down by one for each failure
 *
 * A probe whose process died is taken back by guard_slot_clear(); one that says nothing for rule.patience is given to another.
 * A null handler (the table is full) is guarded by nobody: everything may start.
 *
 * guard.c: the table, slots, what is seen.  guard_breaker.c.  guard_flow.c: budget and window.
 */
#ifndef SYS_GUARD_H
#define SYS_GUARD_H

#include "base/base.h"

#define GUARD_HANDLERS 1024
#define GUARD_SLOTS 160 /* processes at once */
#define GUARD_PROBES_MAX 50
#define GUARD_LASTING_FACTOR 5 /* the pause after a lasting failure */

struct guard;
struct guard_handler;

/* How a handler is guarded, as configured; the caller keeps it. */
struct guard_rule {
	bool breaker;
	int64_t window; /* failures are remembered for so long; > 0 */
	int least;      /* runs in the window below which nothing opens */
	int share;      /* per cent of failures that opens */
	int64_t pause;  /* first */
	int64_t pause_max;
	int probes;           /* 1..GUARD_PROBES_MAX */
	int64_t patience;     /* a probe that takes longer is lost */
	int64_t retry_window; /* 0: retries are not counted */
	int retry_floor;      /* > 0 */
	int retry_share;      /* per cent */
	bool adaptive;
	int start;   /* first window */
	int most;    /* greatest window */
	int cohorts; /* windowfuls of failures without a success between them, after which the handler is dead */
};

enum guard_leave { GUARD_YES, GUARD_PROBE, GUARD_NO };
/* Kept from the start of a run to its end. */
struct guard_pass {
	enum guard_leave leave;
	unsigned round; /* of a probe: which opening it is for */
};

/* GOOD: the handler answered, be it with a failure that is the task's own fault.  LASTING: no use trying soon.  NONE: the run tells nothing
 * (stopped by us). */
enum guard_result { GUARD_GOOD, GUARD_FAILED, GUARD_LASTING, GUARD_NONE };
enum guard_event { GUARD_SAME, GUARD_OPENED, GUARD_CLOSED };

struct guard_end {
	enum guard_result result;
	bool first; /* of its task, so it earns a share of a retry */
	int64_t
	    wish; /* us: the handler asked to be left alone for so long; -1: it did not.  Lengthens a pause, at most to pause_max */
};

struct guard *guard_new(void) MUSTCHECK; /* null + errno */
struct guard_handler *guard_of(
    struct guard *g, struct span name) MUSTCHECK; /* the same for ever; null: the table is full */
/* By the supervisor when the process of this slot is gone: its runs and its probes end. */
void guard_slot_clear(struct guard *g, int slot);
void guard_reset(struct guard_handler *h); /* closed, nothing remembered, budget full, window as at first */

/* --- runs; slot: of the process, and nobody else's ------------------------------------------------------------------------------- */

struct guard_pass guard_may_start(struct guard_handler *h, const struct guard_rule *r, int slot, int64_t now) MUSTCHECK;
/* Not called after NO. */
enum guard_event guard_ended(struct guard_handler *h, const struct guard_rule *r, int slot, struct guard_pass pass,
    const struct guard_end *end, int64_t now);
bool guard_is_closed(const struct guard_handler *h, const struct guard_rule *r) MUSTCHECK; /* its breaker */
/* How many may start now, all processes together; INT_MAX: as many as you like.  At 0, *again_r is when to ask again: us from now. */
int guard_room(const struct guard_handler *h, const struct guard_rule *r, int64_t now, int64_t *again_r) MUSTCHECK;
/* Takes a retry out of the budget and tells how long it must wait before its own delay begins: 0 while the budget has room. */
int64_t guard_retry(struct guard_handler *h, const struct guard_rule *r, int64_t now) MUSTCHECK;

/* --- runs that outlive the process that let them start: leases of clients.  Any process of the node may tell their end ------------- */

/* NO, or it may be given out now; a probe is nobody's then, and lost after rule.patience. */
enum guard_leave guard_lend(struct guard_handler *h, const struct guard_rule *r, int64_t now) MUSTCHECK;
/* since: when it was given out.  What began after the breaker opened was a probe. */
enum guard_event guard_lent_ended(
    struct guard_handler *h, const struct guard_rule *r, int64_t since, const struct guard_end *end, int64_t now);

/* --- what is seen --------------------------------------------------------------------------------------------------------------------- */

enum guard_state { GUARD_STATE_CLOSED, GUARD_STATE_OPEN, GUARD_STATE_HALF };
struct guard_seen {
	enum guard_state state;
	int64_t until; /* OPEN: us from now */
	int runs;      /* in the window of the breaker */
	int failures;
	int64_t retries_left;
	int window; /* runs at once; 0: not adaptive */
	int running;
	int64_t opened;  /* times */
	int64_t refused; /* retries that had to wait for the budget */
};
void guard_look(const struct guard_handler *h, const struct guard_rule *r, int64_t now, struct guard_seen *out);
const char *guard_state_name(enum guard_state s); /* "closed", "open", "half_open" */

#endif
