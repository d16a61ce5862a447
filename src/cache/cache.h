/* cache.h - Redis as a hot cache of answers: a hit, or a miss; every trouble is a miss.
 *
 * What Postgres answered to a key may stand here for a while, signed, so that a repetition of the same submission is answered without asking
 * Postgres.  Nothing is true because it stands here: a miss is always a correct answer, and a value that was not signed by this
 * installation, for this key, in this life of the cluster, is a miss.  One struct cache per process, made after fork; nothing here waits
 * for Redis longer than redis.timeout, and nothing blocks the loop.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/digest.h"
#include "base/id.h"
#include "conf/conf.h"
#include "sys/loop.h"

struct cache;

struct cache_options {
	struct loop *loop;
	const struct conf *conf;
	int64_t (*now)(void *arg); /* the database's clock, us since the epoch: it alone decides what is expired */
	void *arg;
};

/* Null when redis.address is off. */
struct cache *cache_open(const struct cache_options *o) MUSTCHECK;
/* Whoever still waits is told a miss first; not from a callback of the cache. */
void cache_close(struct cache **c);

/* The life of the cluster: after a promotion or a restore it is another one, and what was cached before is not found and not believed. */
struct cache_epoch {
	int64_t system; /* identifier of the cluster; 0: not known */
	int64_t timeline;
	uint8_t key[DIGEST_LEN]; /* signs the values */
};
/* To be told before each question, from what the store knows; cheap while it is the same.  Null: nobody knows, nothing is asked or put. */
void cache_epoch(struct cache *c, const struct cache_epoch *e);

struct cache_answer {
	uint8_t fingerprint[DIGEST_LEN]; /* of the first submission */
	struct id id;
	int64_t created_at, expires_at; /* the database's clock */
	int surface;                    /* enum task_surface, of the first submission */
	int version;                    /* of the renderer */
	struct span body;               /* the kept answer */
};

/* Null: a miss.  The answer is borrowed until the callback returns. */
typedef void cache_fn(void *arg, const struct cache_answer *hit);

/* Asks for a key (its digest, which is of tenant and key).  True: `fn` is called exactly once, on a later turn, after redis.timeout at the
 * latest.  False: nobody can be asked now, which is a miss, and `fn` is not called. */
bool cache_get(struct cache *c, const struct id *digest, cache_fn *fn, void *arg) MUSTCHECK;

/* What Postgres has answered.  Nobody is told what becomes of it. */
void cache_put(struct cache *c, const struct id *digest, const struct cache_answer *a);

#endif
