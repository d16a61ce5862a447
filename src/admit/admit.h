/* admit.h - request -> verdict.
 *
 * Takes a submission as it came over the edge (surface, header lines, body), reads and checks it, asks the store, and answers once with a
 * verdict that the edge turns into status and body.  Knows no HTTP.
 */
#ifndef ADMIT_ADMIT_H
#define ADMIT_ADMIT_H

#include "store/store.h"
#include "sys/ration.h"
#include "sys/recent.h"
#include "task/task_json.h"

enum admit_verdict {
	ADMIT_ACCEPT,     /* stored now */
	ADMIT_REPLAY,     /* the same submission again: the first answer */
	ADMIT_CONFLICT,   /* the key was used with another body */
	ADMIT_BUSY,       /* the key is in flight elsewhere; try again */
	ADMIT_NOT_UNIQUE, /* another task holds the unique name; the key is not used */
	ADMIT_UNSTORABLE, /* the database refuses this very task, and would again */
	ADMIT_INVALID,    /* problem says what */
	ADMIT_FULL,       /* the queue is full, and the key was not stored */
	ADMIT_LATER,      /* the store cannot now; outcome_unknown tells whether something may have happened */
	ADMIT_LIMITED,    /* an item of a bulk request beyond the tenant's rate */
	ADMIT_VERDICTS
};

struct admit_answer {
	enum admit_verdict verdict;
	const struct task_row *row;         /* ACCEPT, REPLAY: as submitted; CONFLICT: id, created_at of the first;
	                                     * NOT_UNIQUE: id of the holder */
	enum task_surface surface;          /* ACCEPT, REPLAY: of the first submission; the answer is in its form */
	struct span body;                   /* ACCEPT, REPLAY: the kept answer; of an item: empty */
	const struct task_problem *problem; /* INVALID */
	bool bad_key;                       /* INVALID: the key is wrong or missing; else the body is */
	struct span queue;                  /* FULL: its name, what waits there, and how much may */
	int64_t waits, most;
	bool outcome_unknown; /* LATER: Taskq-Outcome */
	const char *why;      /* LATER: for the log */
	int64_t expires_at;   /* of the key */
	enum task_hold hold;  /* NOT_UNIQUE: how the holder has the name */
	int64_t held_until;   /* NOT_UNIQUE: of a window; else 0 */
};
typedef void admit_fn(void *arg, const struct admit_answer *a);

struct admit_request {
	enum task_surface surface;
	struct span tenant;
	struct span key_header; /* the header's value; ptr null: absent */
	int key_lines;          /* header lines of that name: two are one too many */
	bool item;              /* of a bulk request: the key is a member of the body, not a header */
	struct span body;       /* borrowed until the callback */
	struct span trace_id;   /* from traceparent, for a body that names none; no part of the fingerprint */
	struct span request_id; /* for the log */
	struct arena *arena;    /* of the request; lives until the callback */
	int64_t deadline;
};
/* One per process: what every admission needs. */
struct admit;
struct admit_options {
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct ration *ration;
	struct recent *recent; /* answers that the acceptors remember together; null: none */ /* null: no limits */
};
struct admit *admit_new(const struct admit_options *o) MUSTCHECK;
/* Before the store is closed: who waits for the cache goes on to the store, and nobody asks the cache any more. */
void admit_close(struct admit *a);
void admit_free(struct admit **a); /* after the store was closed: until then it may answer */

/* --- admit_limit.c: before anything is read ------------------------------------------------------------------------------ */

enum admit_limit { ADMIT_LIMIT_NONE, ADMIT_LIMIT_RATE, ADMIT_LIMIT_AWAY /* the database; enough wait for it */ };
struct admit_limited {
	enum admit_limit by; /* NONE: granted */
	int quota, window;   /* the rate: so many in so many seconds; 0: none is set */
	int64_t left;        /* that could be taken now */
	int again;           /* s: refused, until the same may be granted; granted, until the whole quota is there */
};
/* n submissions of the tenant, all or none. */
struct admit_limited admit_limit_take(struct admit *a, struct span tenant, int n) MUSTCHECK;

/* --- admit.c ---------------------------------------------------------------------------------------------------------------- */

/* What `r` points to is borrowed until the callback, `r` itself is not.  What is INVALID in itself is said
 * before this returns; what only does not fit its schema when the store has said that the key is new. */
void admit_submit(struct admit *a, const struct admit_request *r, admit_fn *fn, void *arg);

/* --- admit_batch.c: a body of many ---------------------------------------------------------------------------------------- */

#define ADMIT_BATCH_MAX 10000 /* items of a bulk request */

struct admit_item {
	uint8_t verdict; /* enum admit_verdict; ADMIT_VERDICTS: not known yet */
	bool outcome_unknown;
	uint32_t text;    /* INVALID: its place in the texts: a JSON Pointer, NUL, what was expected, NUL */
	int32_t again;    /* LIMITED: seconds */
	struct id id;     /* ACCEPT, REPLAY: of the task; CONFLICT: of the first; NOT_UNIQUE: of the holder */
	int64_t at;       /* ACCEPT, REPLAY: the key expires; CONFLICT: the first was created; NOT_UNIQUE: held_until */
	const char *code; /* INVALID */
};

/* What is wrong with the body as a whole; the items before it have their verdicts. */
struct admit_batch_trouble {
	int status;       /* 0: nothing */
	const char *code; /* "invalid_json", "too_many_items", "item_too_large", "no_items" */
	char detail[200];
	uint64_t index;  /* of the item where it was met */
	uint64_t offset; /* in the body */
};

struct admit_batch_result {
	const struct admit_item *items; /* in the order of the body */
	int n;
	int count[ADMIT_VERDICTS]; /* items by verdict */
	const char *texts;
	const struct admit_batch_trouble *trouble;
};

struct admit_batch_request {
	struct span tenant, trace_id, request_id; /* borrowed until done() */
	bool lines;                               /* NDJSON */
	size_t item_max;                          /* bytes of an item */
	int64_t patience;                         /* us: for the verdict of an item */
	void (*room)(void *arg);                  /* admit_batch_full() is false again */
	void (*done)(
	    void *arg, const struct admit_batch_result *result); /* once, after admit_batch_end(); frees the batch */
	void *arg;
};
struct admit_batch *admit_batch_new(struct admit *a, const struct admit_batch_request *r) MUSTCHECK;
/* The next bytes of the body, in any pieces. */
void admit_batch_data(struct admit_batch *b, struct span piece);
bool admit_batch_full(const struct admit_batch *b); /* enough is in flight: send no more until room() */
/* The body ends; not whole: the client or the edge cut it off.  What is in flight is waited for. */
void admit_batch_end(struct admit_batch *b, bool whole);

#endif
