/* store_sweep.h - one act for many dead letters: a replay, a discard, or a note that they were fixed by hand; and what must not be replayed.
 *
 * A sweep is a row of the database.  A keeper moves it on, a step at a time, each in one transaction: its letters, what becomes of their tasks and
 * its own counters are written together, so whatever dies in between, each letter is taken once.  It takes letters that had died when it was made.
 */
#ifndef STORE_STORE_SWEEP_H
#define STORE_STORE_SWEEP_H

#include "store/store_audit.h"
#include "store/store_dead.h"

enum store_act { STORE_ACT_REPLAY = 1, STORE_ACT_DISCARD, STORE_ACT_FIX };
#define STORE_ACTS 4
const char *store_act_word(enum store_act act); /* "replay", "discard", "fix" */

enum store_sweep_state {
	STORE_SWEEP_RUNS = 1,
	STORE_SWEEP_PAUSED,
	STORE_SWEEP_DONE,
	STORE_SWEEP_CANCELLED,
	STORE_SWEEP_STOPPED
};
#define STORE_SWEEP_STATES 6
const char *store_sweep_word(enum store_sweep_state state); /* "running", "paused", "done", "cancelled", "stopped" */

/* How it is to be done. */
struct store_sweep_how {
	int64_t rate;    /* thousandths of a letter per second; 0: as fast as it goes */
	int64_t slow;    /* us until that rate is reached; 0: at once */
	int concurrency; /* most in flight; 0: any */
	int canary;      /* so many must all succeed before the rest; 0: none */
	int stop_share;  /* per cent: it stops when more of what ended failed; -1: it does not */
	int stop_least;  /* but not before so many have ended */
	int64_t most;    /* letters; 0: all */
};

struct store_sweep {
	int64_t id;
	enum store_act act;
	enum store_sweep_state state;
	struct span filter; /* as it was asked for: JSON */
	struct store_sweep_how how;
	bool edited; /* with a payload of its own */
	struct store_who who;
	int64_t at;
	int64_t total; /* letters at its beginning, about */
	int64_t moved; /* resolved by it */
	int64_t blocked;
	int64_t in_flight, succeeded, failed, cancelled; /* of a replay: what became of them */
	bool walked;                                     /* nothing is left to move: it waits for what is in flight */
	struct span
	    held; /* what keeps it from going faster just now: "filing", "canary", "concurrency", "paused", "handler"; or empty */
	int64_t ended_at; /* 0: not yet */
	struct span ended_why;
};

/* --- a preview: store_sweep.c ------------------------------------------------------------------------------------------------- */

#define STORE_SWEEP_BOUND 10000 /* letters that are looked at */
#define STORE_SWEEP_SAMPLE 10
struct store_sweep_count {
	enum store_status status;
	int64_t n;        /* at least */
	bool exact;       /* and no more */
	int64_t estimate; /* by what the causes count; without time, label and ids */
	int64_t blocked;  /* of n: a replay would leave them */
	const struct id *ids;
	int nids;
};
typedef void store_sweep_count_fn(void *arg, const struct store_sweep_count *c);
void store_sweep_count(struct store *s, const struct store_dead_filter *f, store_sweep_count_fn *fn, void *arg);

/* --- sweeps: store_sweep.c ------------------------------------------------------------------------------------------------------ */

struct store_sweep_wish {
	enum store_act act;
	const struct store_dead_filter *filter;
	struct span asked; /* the same as JSON, to be shown */
	struct store_sweep_how how;
	struct span payload; /* instead of that of every letter; empty: none */
	struct span token;   /* who asks again by the same finds what was made */
	const uint8_t *fp;   /* DIGEST_LEN bytes: of what was asked */
	struct store_who who;
	int64_t total;
	bool idle; /* no letter is meant: only one that is known already is found */
};
/* made: now.  known: by an earlier request with this token; REFUSED when that asked for something else.  REFUSED with `other`: a sweep that
 * is not over, and may mean one of the same letters; without any: it was idle. */
struct store_sweep_made {
	enum store_status status;
	int64_t made, known, other; /* 0: none */
	enum store_act act;         /* of the other */
};
typedef void store_sweep_made_fn(void *arg, const struct store_sweep_made *m);
/* What `w` points to need not live on. */
void store_sweep_make(struct store *s, const struct store_sweep_wish *w, store_sweep_made_fn *fn, void *arg);

/* One (id), or the newest below `before`, at most `limit`. */
typedef void store_sweeps_fn(void *arg, enum store_status status, const struct store_sweep *sweeps, int n);
void store_sweeps(struct store *s, int64_t id, int64_t before, int limit, store_sweeps_fn *fn, void *arg);

/* To RUNS, PAUSED or CANCELLED.  changed: by this call, as far as can be known; the sweep as it is afterwards, null: there is none. */
typedef void store_sweep_set_fn(void *arg, enum store_status status, bool changed, const struct store_sweep *sweep);
void store_sweep_set(struct store *s, int64_t id, enum store_sweep_state to, const struct store_who *who,
    store_sweep_set_fn *fn, void *arg);

/* --- what must not be replayed: store_block.c ------------------------------------------------------------------------------------- */

struct store_block {
	struct span task_type;
	struct span schema_version; /* empty: all */
	struct store_who who;
	int64_t at;
};
#define STORE_BLOCKS 1000
typedef void store_block_fn(void *arg, enum store_status status, bool changed);
/* It holds for sweeps from their next step on, and for retries by hand. */
void store_block(struct store *s, const struct store_block *b, store_block_fn *fn, void *arg);
void store_unblock(struct store *s, const struct store_block *b, store_block_fn *fn, void *arg);
typedef void store_blocks_fn(void *arg, enum store_status status, const struct store_block *blocks, int n);
void store_blocks(struct store *s, store_blocks_fn *fn, void *arg);

/* --- the keeper: store_sweep_step.c ------------------------------------------------------------------------------------------------- */

/* Who knows how many letters the handler of a task type bears now (INT_MAX: any), and is told how many there were.  Null functions: any. */
struct store_sweep_guard {
	int (*room)(void *arg, struct span task_type);
	void (*moved)(void *arg, struct span task_type, int n);
	void *arg;
};
void store_sweep_guard(struct store *s, const struct store_sweep_guard *g);

/* One step of one sweep that is due.  count: letters; next: until the next is due, -1 when no sweep runs. */
void store_sweep(struct store *s, store_count_fn *fn, void *arg);

#endif
