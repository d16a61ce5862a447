/* admit_int.h - what the files of this room share, and the way of a submission through them.
 *
 *	admit_submit
 *	  admit_check        the key, then the body                         INVALID
 *	  admit_schema       the payload; that it does not fit is only said when the key is new
 *	  admit_recent_find  an acceptor of this node has heard it lately   REPLAY, CONFLICT
 *	  admit_cache_ask    Redis, where that pays: it knows the key       REPLAY, CONFLICT
 *	  admit_queue_enter  room in its queue?
 *	    store_submit     yes: store it                                  ACCEPT, REPLAY, CONFLICT, BUSY, NOT_UNIQUE, LATER
 *	    store_known      no, or a misfit: was it stored before?         REPLAY, CONFLICT, LATER; else FULL, INVALID
 *	  admit_recent_keep, admit_cache_put: the answer, for the next time
 *
 * admit_limit_take comes before all of it: from the edge by the head of a request, from admit_batch.c for each item of a bulk request,
 * which then goes the same way without the two memories, behind the items of its key that came before.
 */
#ifndef ADMIT_ADMIT_INT_H
#define ADMIT_ADMIT_INT_H

#include "admit/admit.h"
#include "cache/cache.h"

struct admit_cache {
	struct cache *cache; /* null: off, or closed */
	bool known;          /* the epoch was, when it was looked at last */
	struct store_epoch epoch;
	bool said;       /* that it is not permitted to know */
	bool eager;      /* every submission is asked; else one in many */
	int asked, hits; /* of this window */
	unsigned skipped;
};

struct admit {
	unsigned magic;
	struct loop *loop;
	const struct conf *conf;
	struct store *store;
	struct ration *ration;
	struct recent *recent;
	int waiting; /* submissions that the store has */
	struct buf spare; /* memory for the next answer */
	struct admit_cache cache;
};
#define ADMIT_MAGIC 0x41646d30u

/* A submission that was read. */
struct admit_checked {
	struct task_request request;
	char key_text[TASK_KEY_MAX + 1];
	struct span key; /* in key_text */
	struct task_problem problem;
	bool bad_key; /* the problem is about the key */
	bool misfit;  /* the problem is a payload that does not fit: admission_send() asks store_known() */
};

/* admit_check.c: key first, then the body.  False: the problem is set. */
bool admit_check(const struct admit_request *r, struct admit_checked *c_r) MUSTCHECK;

/* admit_limit.c.  False: its queue is full. */
bool admit_queue_enter(struct admit *a, const struct task_request *r, struct ration_place *p_r) MUSTCHECK;
void admit_queue_settle(struct admit *a, const struct task_request *r, const struct ration_place *p, bool stored);

/* admit.c: a submission that was checked and waits to be sent; it lives in the arena of its request. */
struct admission;
/* Null: INVALID was said. */
struct admission *admission_new(struct admit *admit, const struct admit_request *r, admit_fn *fn, void *arg) MUSTCHECK;
struct span admission_key(const struct admission *a);
bool admission_is_unique(const struct admission *a); /* it wants a unique name */
void admission_send(struct admission *a, int64_t deadline);

/* admit_schema.c: for what admit_check() found good: does the payload fit the schema of its handler?  If not, the problem is set, but the
 * store has the first word: the repetition of what was accepted before the schema came gets its first answer. */
bool admit_schema(const struct admit *admit, const struct admit_request *r, struct admit_checked *c) MUSTCHECK;

/* admit_recent.c: what the store would say of this key, if an acceptor of this node has heard it lately. */
bool admit_recent_find(const struct admit *admit, const struct id *digest, const struct task_request *q,
    struct store_submitted *s_r) MUSTCHECK;
/* In the callback of the store: what it has just answered, ACCEPTED or REPLAYED. */
void admit_recent_keep(const struct admit *admit, const struct id *digest, const uint8_t fingerprint[DIGEST_LEN],
    const struct store_submitted *s);

/* admit_cache.c */
void admit_cache_open(struct admit *admit);
void admit_cache_close(struct admit *admit); /* who has asked is told a miss */
/* True: `fn` is called once, on a later turn.  False: the store has to be asked. */
bool admit_cache_ask(struct admit *admit, const struct id *digest, cache_fn *fn, void *arg) MUSTCHECK;
void admit_cache_learn(struct admit *admit, bool hit); /* what became of a question */
bool admit_cache_believes(const struct admit *admit);  /* a hit may be used now */
/* In the callback of the store: what it has just answered, ACCEPTED or REPLAYED. */
void admit_cache_put(struct admit *admit, const struct id *digest, const uint8_t fingerprint[DIGEST_LEN],
    const struct store_submitted *s, struct span body);

#endif
