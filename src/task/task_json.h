/* task_json.h - the scanner of submitted bodies.
 *
 * One pass over the bytes, no allocation per value, constant stack, and no input that costs more than n log n: checks
 * RFC 8259 strictly (UTF-8 without surrogates or overlong forms, no duplicate names at any depth, depth <=
 * TASK_DEPTH_MAX, at most TASK_JSON_TOKENS values) and yields spans.  Numbers are never converted to double: an integer
 * is compared digit by digit, so 1 differs from 1.0 and 2^70 is exact.
 */
#ifndef TASK_TASK_JSON_H
#define TASK_TASK_JSON_H

#include "base/arena.h"
#include "task/task.h"

#define TASK_JSON_TOKENS 100000

/* What was wrong, for a problem+json answer. */
struct task_problem {
	int status;         /* 400 or 422 */
	const char *code;   /* "invalid_json", "invalid_field", "unknown_field", "duplicate_name", "too_deep" ... (static) */
	char pointer[256];  /* JSON Pointer of the place, "" for the document */
	char detail[256];   /* what was expected */
	size_t offset;      /* byte offset in the body */
	struct span input;  /* the value that was wrong, as sent; empty: none */
	/* On the compatible surface `detail` is pydantic's msg, and: */
	const char *compat_type; /* its type: "missing", "string_type", "json_invalid" ...; null on /v1 */
	char compat_ctx[160];    /* its ctx, JSON text like {"ge":1}; "" none */
};

/* Reads one submission: checks, fills defaults of the surface, takes the fingerprint (names sorted, white space gone,
 * numbers and strings exact).  On /v1 unknown fields are refused, on the compatible surface ignored (but checked as
 * JSON).  True when good.
 *
 * Two submissions have the same fingerprint exactly when they ask for the same task, whatever the surface, the order of
 * names, white space, spelling of strings, and defaults spelled out or not. */
bool task_request_read(struct span body, enum task_surface surface, struct arena *arena, struct task_request *r_r,
    struct task_problem *problem_r) MUSTCHECK;

/* Reads one item of a bulk request: a submission of /v1 with its key as a member, which is no part of the fingerprint.
 * key_r: its text, escapes undone, otherwise unchecked; ptr null: it has none. */
bool task_item_read(struct span item, struct arena *arena, struct task_request *r_r, struct span *key_r,
    struct task_problem *problem_r) MUSTCHECK;

/* --- clients of leases: task_lease_read.c ---------------------------------------------------------------------------------------- */

#define TASK_LEASES_MAX 1000 /* tasks that are leased at once; words of one request */

/* A client wants tasks. */
struct task_lease_ask {
	int max;                  /* 1 */
	int64_t wait;             /* us: 0 */
	int64_t ttl;              /* us: 0, that of the handler */
	struct span *types; /* none: any */
	int ntypes;
	struct span worker; /* how it calls itself; empty: it does not say */
};
bool task_lease_ask_read(struct span body, struct arena *arena, struct task_lease_ask *ask_r,
    struct task_problem *problem_r) MUSTCHECK;

enum task_lease_verb { TASK_LEASE_HEARTBEAT, TASK_LEASE_COMPLETE, TASK_LEASE_FAIL, TASK_LEASE_RELEASE };

/* A client says something of one that it has.  Texts are of the body or of the arena. */
struct task_lease_word {
	struct id id; /* of an item of a bulk request: its lease */
	int64_t lease_id;
	int64_t ttl;        /* HEARTBEAT; us: 0, that of the handler */
	int percent;        /* HEARTBEAT; -1: it does not say */
	struct span note;   /* HEARTBEAT */
	struct span result; /* COMPLETE: JSON text; empty: none */
	struct span report; /* FAIL: JSON object with error_class, error_code, message, retry_after, each of its type */
	int64_t delay;      /* RELEASE: us */
};
bool task_lease_word_read(struct span body, enum task_lease_verb verb, struct arena *arena, struct task_lease_word *w_r,
    struct task_problem *problem_r) MUSTCHECK;
/* {"items": [...]}: 1 to TASK_LEASES_MAX, each lease once. */
bool task_lease_words_read(struct span body, enum task_lease_verb verb, struct arena *arena, struct task_lease_word **words_r,
    int *n_r, struct task_problem *problem_r) MUSTCHECK;

/* Canonical text of any valid JSON value, as fingerprints have it; for the tests: names sorted by bytes, no white space, strings
 * minimally escaped (a lone surrogate stays \udXXX), numbers as written.  False + problem when it is not valid. */
bool task_json_canonical(struct span json, struct buf *out, struct task_problem *problem_r) MUSTCHECK;

/* True when the bytes are one valid JSON value (results of handlers). */
bool task_json_valid(struct span json);

/* --- walking through JSON that is known to be valid: task_json_walk.c -------------------------------------------------------- */

/* Takes the next member of an object, or value of an array (`name` null), from what is behind its bracket; false at the end. */
bool task_json_next(struct span *rest, struct span *name, struct span *value_r) MUSTCHECK;
struct span task_json_inside(struct span value); /* of a bracket: without it, and without the spaces before it */
void task_json_text(struct buf *b, struct span string); /* appends the text of a string, escapes undone; halves become U+FFFD */

/* --- bulk requests: task_json_split.c ---------------------------------------------------------------------------------------- */

/* Cuts a body, which comes in pieces, into its items: the elements of a JSON array, or lines.  It knows strings and brackets, nothing
 * deeper: what is inside an item is for whoever reads the item.  All zero but `lines` is the beginning. */
struct json_split {
	bool lines; /* NDJSON: a value a line; lines of white space are no items */
	int state;
	bool string, escape; /* inside a string; behind a backslash */
	size_t depth;        /* of the item's open brackets, of either kind */
	uint64_t offset;     /* bytes taken of the body */
	uint64_t begin;      /* where the newest item begins */
	uint64_t items;      /* that were begun */
	const char *wrong;   /* BAD: what was expected at offset */
};
enum json_split_event {
	JSON_SPLIT_MORE, /* the piece is used up, between two items or behind the last */
	JSON_SPLIT_PART, /* the piece is used up; these bytes of it belong to an item that goes on */
	JSON_SPLIT_ITEM, /* these bytes are the rest of an item, which ends with them */
	JSON_SPLIT_BAD   /* no items can be told from here on; say no more */
};
/* Call it until MORE, PART or BAD.  An item has at least one byte; its parts put together may end in white space.  Items and verdict do
 * not depend on how the body was cut. */
enum json_split_event json_split(struct json_split *s, struct span *piece, struct span *part_r) MUSTCHECK;
/* The body ends.  ITEM: a last line without an end; MORE: all is well. */
enum json_split_event json_split_end(struct json_split *s) MUSTCHECK;

#endif
