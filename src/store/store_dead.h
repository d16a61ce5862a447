/* store_dead.h - dead letters, as verbs; the same words and promises as store.h.
 *
 * A letter is written by whoever sees the death.  Within a second the keeper files it: it finds out the cause, of which there is one row
 * for any number of letters that are alike, and copies the attempts into the letter.  A letter that was not filed yet is in no list.
 */
#ifndef STORE_STORE_DEAD_H
#define STORE_STORE_DEAD_H

#include "store/store.h"

/* --- which letters: http/api_dead_filter.c reads one --------------------------------------------------------------------------- */

/* Open letters; what is not given is not asked.  All but the last three narrow the causes, so whoever looks at letters begins with those. */
#define STORE_DEAD_IDS 1000
struct store_dead_filter {
	bool all;                                   /* an act for all letters, said in so many words */
	struct span queue, task_type, reason, code; /* empty: any */
	enum task_class class;                      /* TASK_CLASS_NONE: any */
	struct id fingerprint;                      /* zero: any */
	int32_t cause;                              /* 0: any */
	struct span schema_version;                 /* ptr null: any; empty: letters without one */
	struct span label_name, label_value;        /* an empty name: any */
	int64_t died_after, died_before;            /* from, and before; 0: any */
	const struct id *ids;                       /* each once */
	int nids;                                   /* 0: any */
};
/* Nothing narrows it. */
bool store_dead_filter_is_empty(const struct store_dead_filter *f) MUSTCHECK;

/* --- filing, duties of the keeper: store_dead_file.c ------------------------------------------------------------------------------ */

/* Files letters, a small batch; then what was taken out of causes is folded into them.  count: letters; next is 0 while there are more. */
void store_file_letters(struct store *s, store_count_fn *fn, void *arg);
/* Resolved letters that are older than dead.keep, one stretch of a walk over all.  count: deleted. */
void store_purge_letters(struct store *s, store_count_fn *fn, void *arg);

/* --- reading: store_dead_read.c --------------------------------------------------------------------------------------------------- */

enum store_resolution {
	STORE_LETTER_OPEN,
	STORE_LETTER_REPLAYED,
	STORE_LETTER_DISCARDED,
	STORE_LETTER_FIXED
}; /* dead.resolution; OPEN is null there */

struct store_letter {
	struct id id;     /* of the task */
	int64_t lease_id; /* with the id it names the letter: a task may die more than once */
	struct span queue, task_type;
	int32_t cause; /* 0: not filed yet */
	struct span reason;
	enum task_class class;
	struct span code, message;
	struct id fingerprint;
	struct span schema_version, trace_id;
	int run, attempts, max_attempts, crashes;
	int exit; /* as in struct task_failure */
	int64_t created_at, died_at;
	struct span labels; /* JSON object; empty: none */
	/* of store_dead_get() only: */
	struct span tail;
	struct span payload;
	struct span group, ordering_key;
	int priority;
	int64_t run_at;
	int64_t first_seen; /* the first letter of its cause; 0: not filed yet */
	struct span acknowledged_by;
	enum store_resolution resolution;
	int64_t resolved_at; /* 0: open */
	struct span by, why; /* who resolved it */
	int64_t sweep;       /* that did; 0: a single act */
};

/* A page of open letters that were filed, newest first.  It looks at a bounded number of them: a page may be short, or empty, although more
 * follows. */
#define STORE_DEAD_PAGE 1000
struct store_dead_place {
	int64_t died_at; /* 0: from the newest */
	struct id id;
};
struct store_dead_page {
	enum store_status status;
	const struct store_letter *letters;
	int n;
	bool more;
	struct store_dead_place next; /* where the next begins */
};
typedef void store_dead_list_fn(void *arg, const struct store_dead_page *page);
/* limit: 1..STORE_DEAD_PAGE.  What the filter points to need not live on. */
void store_dead_list(struct store *s, const struct store_dead_filter *f, const struct store_dead_place *after,
    int limit, store_dead_list_fn *fn, void *arg);

/* The last letter of a task, resolved or not, with its attempts, oldest first; null: it has none. */
typedef void store_dead_get_fn(
    void *arg, enum store_status status, const struct store_letter *letter, const struct store_attempt *all, int n);
void store_dead_get(struct store *s, const struct id *id, store_dead_get_fn *fn, void *arg);

/* Letters that are alike. */
struct store_cause {
	int32_t id;
	struct span queue, task_type, reason;
	enum task_class class; /* NONE: none was told */
	struct span code;
	struct id fingerprint;
	struct span schema_version;
	struct span sample; /* message of one */
	int64_t first_at, last_at;
	int64_t filed, open;
	int64_t oldest_at;         /* of the open ones; 0: there is none */
	int64_t lately;            /* filed within the last hour, about */
	struct span seen_by, note; /* who acknowledged it */
	int64_t seen_at, due_at;
};
/* Causes with open letters or of the last hour, most open ones first; at most STORE_CAUSES.  It costs the same however many letters there are. */
#define STORE_CAUSES 1000
struct store_causes {
	enum store_status status;
	const struct store_cause *causes;
	int n;
	bool more; /* there are causes beyond those */
	int64_t now;
};
typedef void store_causes_fn(void *arg, const struct store_causes *causes);
void store_dead_summary(struct store *s, const struct store_dead_filter *f, store_causes_fn *fn, void *arg);

/* --- owners, acknowledgements, audit ------------------------------------------------------------------------------------------------ */

/* --- sweeps: replay, discard, fix; blocks ------------------------------------------------------------------------------------------- */

#endif
