/* guard_int.h - one handler in the shared memory, and what the files of the guard do to it. */
#ifndef SYS_GUARD_INT_H
#define SYS_GUARD_INT_H

#include <stdatomic.h>

#include "sys/guard.h"

#define GUARD_RECHECK INT64_C(100000) /* us: what another process may change meanwhile */

/* Counts over a sliding window: a ring of buckets, each a sixteenth of it.  A bucket is one word, so it is never half new. */
#define GUARD_BUCKETS 16 /* divides the wrap of an epoch */
struct guard_ring {
	_Atomic uint64_t buckets[GUARD_BUCKETS];
};
struct guard_sum {
	int runs, failures;
};
void guard_ring_add(struct guard_ring *g, int64_t window, int64_t now, bool failed);
struct guard_sum guard_ring_sum(const struct guard_ring *g, int64_t window, int64_t now);
void guard_ring_clear(struct guard_ring *g);

struct guard_handler {
	_Atomic uint64_t name;    /* 0: free */
	_Atomic uint64_t breaker; /* guard_breaker.c */
	struct guard_ring ends;
	struct guard_ring firsts;
	_Atomic int64_t paid;    /* when the debt of retries is paid, us */
	_Atomic uint64_t window; /* guard_flow.c; 0: as at first */
	_Atomic int64_t opened;
	_Atomic int64_t opened_at; /* last */
	_Atomic int64_t refused;
	_Atomic uint16_t running[GUARD_SLOTS]; /* written by the process of the slot */
	_Atomic uint16_t probes[GUARD_SLOTS];  /* round and number under way; the same */
};

/* guard.c */
int guard_running(const struct guard_handler *h);

/* guard_breaker.c */
struct guard_pass guard_breaker_pass(struct guard_handler *h, const struct guard_rule *r, int slot, int64_t now);
struct guard_pass guard_breaker_lent(
    const struct guard_handler *h, int64_t since); /* what it had, as far as it matters now */
enum guard_event guard_breaker_ended(struct guard_handler *h, const struct guard_rule *r, int slot,
    struct guard_pass pass, const struct guard_end *end, int64_t now);
bool guard_breaker_open(struct guard_handler *h, const struct guard_rule *r, const struct guard_end *end, int64_t now);
int guard_breaker_room(const struct guard_handler *h, const struct guard_rule *r, int64_t now, int64_t *again_r);
void guard_breaker_slot_clear(struct guard_handler *h, int slot);
void guard_breaker_reset(struct guard_handler *h);
void guard_breaker_look(const struct guard_handler *h, const struct guard_rule *r, int64_t now, struct guard_seen *out);

/* guard_flow.c */
int guard_window(const struct guard_handler *h, const struct guard_rule *r);
bool guard_window_ended(struct guard_handler *h, const struct guard_rule *r, bool good); /* true: it seems dead */
int64_t guard_budget_left(const struct guard_handler *h, const struct guard_rule *r, int64_t now);

#endif
