/* keep_duty.h - the duties of the keeper: what each calls and how often; see keep.c. */
#ifndef KEEP_KEEP_DUTY_H
#define KEEP_KEEP_DUTY_H

#include "store/store.h"
#include "store/store_watch.h"

enum duty_kind {
	DUTY_BOOT,
	DUTY_WATCH,
	DUTY_PROMOTE,
	DUTY_REAP,
	DUTY_LAPSE,
	DUTY_PARTITIONS,
	DUTY_PURGE,
	DUTY_DEPTH,
	DUTY_NAMES,
	DUTY_EXPIRE,
	DUTY_PAUSES,
	DUTY_PROGRESS,
	DUTY_SPOOL,
	DUTY_ESCALATE,
	DUTY_SWEEP,
	DUTY_FILE,
	DUTY_LETTERS, /* after it: what was filed is counted */
	DUTY_PURGE_LETTERS,
	DUTY_UPKEEP,
	DUTIES,
	DUTY_RELEASE = DUTIES
};

struct duty_row {
	const char *name;
	void (*verb)(struct store *s, store_count_fn *fn, void *arg); /* null: the spool, or o.escalate */
	int64_t busy;                                                 /* until the next time when something was found */
	int64_t idle; /* most, when nothing is found; -1: never again, unless the verb says when */
	int counter;  /* of what it counts; -1: none */
};

extern const struct duty_row duty_rows[DUTIES];
/* Of these, if they have found nothing, the watch tells when they are due. */
extern const enum store_due duty_told_of[DUTIES];

/* Whether that is so of one that has found `count` and is due in `next` us; negative: it knows of nothing. */
bool duty_is_told(int kind, int64_t count, int64_t next) MUSTCHECK;

#endif
