/* store_dead.h - dead letters, as verbs; the same words and promises as store.h.
 *
 * A letter is written by whoever sees the death.  Within a second the keeper files it: it finds out the cause, of which there is one row
 * for any number of letters that are alike, and copies the attempts into the letter.  A letter that was not filed yet is in no list.
 */
#ifndef STORE_STORE_DEAD_H
#define STORE_STORE_DEAD_H

#include "store/store_attempts.h"
#include "store/store_audit.h"

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
/* Tells this node, by wake_dead(), how many open letters its queues have.  count: queues with letters. */
void store_watch_letters(struct store *s, store_count_fn *fn, void *arg);
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
	int64_t expires_at; /* 0: it did not */
	int64_t first_seen; /* the first letter of its cause; 0: not filed yet */
	struct span owner;  /* of its cause, as the three that follow; empty: none */
	int64_t due_at;     /* 0: never */
	struct span acknowledged_by, note;
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
	struct span owner;         /* empty: none */
	int64_t seen_at, due_at;   /* 0: not, and never */
};
/* Causes with open letters or of the last hour, most open ones first; at most STORE_CAUSES.  It costs the same however many letters there are. */
#define STORE_CAUSES 10000
struct store_causes {
	enum store_status status;
	const struct store_cause *causes;
	int n;
	bool more; /* there are causes beyond those */
	int64_t now;
};
typedef void store_causes_fn(void *arg, const struct store_causes *causes);
void store_dead_summary(struct store *s, const struct store_dead_filter *f, store_causes_fn *fn, void *arg);

/* --- owners, acknowledgements: store_owner.c; escalation: store_escalate.c; the audit: store_audit.h ---------------------------------------- */

/* A row of the routing table: whose letters these are.  Empty, and zero: any.  Of the rows that fit, the fingerprint says most, then the task
 * type, then the queue; in SQL taskq.owner_of(queue, kind, fingerprint). */
struct store_owner {
	struct span queue, task_type;
	struct id fingerprint;
	struct span owner;
	int64_t sla; /* us from the death of a letter until something has to have been done about it */
};
#define STORE_OWNERS 1000 /* rows */
#define STORE_OWNER_MAX 100
typedef void store_owners_fn(void *arg, enum store_status status, const struct store_owner *owners, int n);
void store_owners(struct store *s, store_owners_fn *fn, void *arg);
/* REFUSED: the table is full.  changed: by this call, as far as can be known.  target: JSON, for the audit. */
typedef void store_owner_fn(void *arg, enum store_status status, bool changed);
void store_owner_set(struct store *s, const struct store_owner *o, const struct store_who *who, struct span target,
    store_owner_fn *fn, void *arg);
void store_owner_drop(struct store *s, const struct store_owner *o, const struct store_who *who, struct span target,
    store_owner_fn *fn, void *arg);

/* Somebody sees to it: causes with open letters, narrowed by what the filter says of causes.  Taken back when the last of them is resolved. */
struct store_ack {
	const struct store_dead_filter *filter;
	struct store_who who;
	struct span note;
	int64_t due_at, due_in; /* us; 0: not said.  Neither: the time that the owner has */
	struct span target;     /* JSON object, for the audit, which adds the causes */
};
struct store_acked {
	int32_t cause;
	int64_t due_at; /* 0: none, for it has no owner */
	struct span owner;
};
typedef void store_acked_fn(void *arg, enum store_status status, const struct store_acked *causes, int n);
void store_acknowledge(struct store *s, const struct store_ack *a, store_acked_fn *fn, void *arg);

/* What is overdue and was not told yet of this due time, for somebody who tells it and then says so; no other gets it meanwhile, for
 * STORE_ESCALATION at most.  Acknowledgements of causes without open letters are taken back. */
#define STORE_ESCALATIONS 20
#define STORE_ESCALATION (60 * CLOCK_SECOND)
struct store_overdue {
	int32_t cause;
	struct span queue, task_type, reason;
	enum task_class class;
	struct span code;
	struct id fingerprint;
	struct span schema_version, sample;
	int64_t open, oldest_at; /* letters, about */
	struct span owner;       /* empty: none */
	int64_t due_at;
	struct span seen_by, note;
	int tries; /* that failed before */
};
struct store_watched {
	enum store_status status;
	int64_t causes, overdue, unowned, acknowledged; /* with open letters */
	int64_t next; /* us until there is something to be told; 0: now, or something else is left to do; INT64_MAX: never, as it stands */
	int64_t now;
	const struct store_overdue *late;
	int n;
};
typedef void store_watched_fn(void *arg, const struct store_watched *w);
void store_escalate(struct store *s, store_watched_fn *fn, void *arg);
/* at: `now` of what was given out; 0: nobody could be told.  Should this be lost, it is told once more. */
void store_escalated(struct store *s, int32_t cause, int64_t at);

/* --- from elsewhere: store_dead_move.c -------------------------------------------------------------------------------------------------- */

/* A letter that becomes an open one here, with its task and its attempts; then it is filed like any other.  Of the letter count: id, queue,
 * task_type, group, ordering_key, priority, run, attempts, crashes, max_attempts, reason, class, code, message, exit, created_at, died_at,
 * run_at, tail, payload. */
#define STORE_IMPORTS 100
struct store_import {
	struct store_letter letter;
	struct span options; /* of the task, packed */
	const struct store_attempt *history;
	int nhistory;
};
/* OK: the id of each, another one where its own has no place here; zero: a task or a letter of that id was here already.  REFUSED: there is one
 * among them that the database does not take, and none was imported.  UNSURE: send them again.  Null otherwise. */
typedef void store_import_fn(void *arg, enum store_status status, const struct id *ids, int n);
void store_dead_import(struct store *s, const struct store_import *all, int n, const struct store_who *who,
    struct span target, store_import_fn *fn, void *arg);

/* --- sweeps: replay, discard, fix; blocks ------------------------------------------------------------------------------------------- */

#endif
