/* store_audit.h - who did what: the acts of operators, one row each, only ever appended to.
 *
 * A row is written in the transaction of what it tells of, so there is none without the other.  Acts: "retry" and "cancel" of a task, "pause"
 * and "resume" of a queue, task type or handler, "handler.reset"; "replay", "discard", "fix", "acknowledge", "import"; "owner.set", "owner.drop",
 * "block.set", "block.drop"; "replay.pause", "replay.resume", "replay.cancel".
 */
#ifndef STORE_STORE_AUDIT_H
#define STORE_STORE_AUDIT_H

#include "store/store.h"

/* Both are empty where nobody had to say. */
struct store_who {
	struct span by, why;
};
#define STORE_BY_MAX 100 /* bytes */
#define STORE_WHY_MAX 500

struct store_audit {
	int64_t id;
	int64_t at;
	struct span act;
	struct store_who who;
	struct span target; /* JSON object: on what */
	int64_t n;          /* how many */
};

struct store_audit_filter {
	struct span act, by; /* empty: any */
	int64_t since;       /* us since the epoch; 0: from the beginning */
	int64_t before;      /* next of the page before; 0: the newest */
	int limit;
};

struct store_audit_page {
	enum store_status status;
	const struct store_audit *rows; /* the newest first */
	int nrows; /* may be fewer than the limit although there are more: a page looks at a bounded number of rows */
	int64_t next; /* 0: it is the last */
};

typedef void store_audit_fn(void *arg, const struct store_audit_page *page);
void store_audit(struct store *s, const struct store_audit_filter *f, store_audit_fn *fn, void *arg);

/* An act that is not one of the database. */
typedef void store_audited_fn(void *arg, enum store_status status);
void store_audit_add(struct store *s, const char *act, const struct store_who *who, struct span target, int64_t n,
    store_audited_fn *fn, void *arg);

#endif
