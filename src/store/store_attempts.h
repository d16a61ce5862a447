/* store_attempts.h - how the runs of a task ended, as a verb; the same words and promises as store.h. */
#ifndef STORE_STORE_ATTEMPTS_H
#define STORE_STORE_ATTEMPTS_H

#include "store/store.h"

/* How its runs ended, oldest first; of very many the last.  Null: no such task.  store_attempts.c */
#define STORE_ATTEMPTS 1000
enum store_attempt_how {
	STORE_ATTEMPT_RETRY = 1,
	STORE_ATTEMPT_DEAD = 2,
	STORE_ATTEMPT_FAILED = 4,
	STORE_ATTEMPT_PUT_OFF = 5,
	STORE_ATTEMPT_SUCCEEDED = 11,
	STORE_ATTEMPT_CANCELLED = 13
};
struct store_attempt {
	int run; /* 1, 2, ... */
	enum store_attempt_how how;
	int64_t worker;     /* inc; 0: not known */
	struct span node;   /* of it; empty: not known */
	int64_t started_at; /* 0: not known */
	int64_t ended_at;
	enum task_class class;
	struct span code, message, tail;
	int exit; /* as in struct task_failure */
};
typedef void store_attempts_fn(void *arg, enum store_status status, const struct store_attempt *all, int n);
void store_attempts(struct store *s, const struct id *id, store_attempts_fn *fn, void *arg);

#endif
