/* cache_int.h - what the files of this room share.
 *
 * cache.c is the policy: who is asked, what is believed, when Redis is left alone.  cache_line.c is one connection, cache_breaker.c decides
 * when there is one, cache_value.c is the form of a value.
 */
#ifndef CACHE_CACHE_INT_H
#define CACHE_CACHE_INT_H

#include "base/buf.h"
#include "cache/cache.h"

/* --- values: cache_value.c ---------------------------------------------------------------------------------------------------- */

/* Appends. */
void cache_value_pack(
    struct buf *b, const struct cache_epoch *e, const struct id *digest, const struct cache_answer *a);
/* False: not packed by us for this key in this epoch.  The body points into `value`. */
bool cache_value_unpack(
    struct span value, const struct cache_epoch *e, const struct id *digest, struct cache_answer *a_r) MUSTCHECK;
/* A value's name is "taskq:SYSTEM-TIMELINE-TAG:" and the digest in hexadecimal; the tag tells installations in one cluster apart. */
#define CACHE_PREFIX_MAX 72
#define CACHE_NAME_MAX (CACHE_PREFIX_MAX + 32)
void cache_value_prefix(char prefix[CACHE_PREFIX_MAX], const struct cache_epoch *e);
struct span cache_value_name(char name[CACHE_NAME_MAX], const char *prefix, const struct id *digest);

/* --- when to ask at all: cache_breaker.c ---------------------------------------------------------------------------------------- */

#define BREAKER_FAILURES 5 /* in a row */
#define BREAKER_FIRST INT64_C(100000)
#define BREAKER_LAST INT64_C(5000000)

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF };
struct breaker {
	enum breaker_state state;
	int failures;  /* since the last good answer */
	int64_t delay; /* us: how long it stays open the next time; 0: the first time */
};
bool breaker_failed(struct breaker *b) MUSTCHECK;  /* a question failed; true: that was one too many */
int64_t breaker_open(struct breaker *b) MUSTCHECK; /* for so long */
void breaker_half(struct breaker *b);              /* one probe goes out */
void breaker_close(struct breaker *b);             /* the probe came back */
void breaker_good(struct breaker *b);              /* a question was answered in time */

/* --- one connection: cache_line.c ------------------------------------------------------------------------------------------------- */

struct line;

enum line_kind { LINE_NIL, LINE_TEXT, LINE_STATUS, LINE_ERROR, LINE_INTEGER };
struct line_reply {
	enum line_kind kind;
	struct span text; /* TEXT, STATUS, ERROR; borrowed */
};
typedef void line_fn(void *arg, const struct line_reply *reply); /* null: the line was closed before */

struct line_options {
	struct loop *loop;
	const struct conf *conf;
	void (*up)(void *arg);                    /* greeted, and quick enough */
	void (*lost)(void *arg, const char *why); /* by itself, not by line_close() */
	void *arg;
};
struct line *line_new(const struct line_options *o) MUSTCHECK;
void line_free(struct line **l);
void line_connect(struct line *l); /* when closed; then `up` or `lost`, on a later turn */
/* All that waits for a reply is told that none comes. */
void line_close(struct line *l);
bool line_is_up(const struct line *l);
/* A command of n words; answered exactly once, on a later turn.  False: too much is on the way already. */
bool line_send(struct line *l, const struct span *words, int n, line_fn *fn, void *arg) MUSTCHECK;
size_t line_unsent(const struct line *l);         /* bytes */
int64_t line_waiting_since(const struct line *l); /* clock_now() of the oldest command without a reply; 0: none */

#endif
