/* keep_spool.c - the files of dead workers, one after the other: locked, read aside of the loop, delivered in batches, removed.
 *
 *	look -> next file -> read -> batch -> batch ... -> removed or set aside -> next file ... -> answer
 *
 * A batch that the database refuses for what is in it goes again outcome by outcome; the one at fault is said and its file set aside.  A database
 * that is away ends the whole, which is repeated from the beginning: what was written is found there by its lease.
 *
 * Logs each file that it takes, and each outcome that comes too late.  Next: spool/spool.h, store/store_deliver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "log/log.h"
#include "spool/spool.h"
#include "stats/stats.h"
#include "store/store_deliver.h"
#include "sys/aside.h"

#include "keep/keep_spool.h"

#define BATCH 200
#define BATCH_BYTES (1 << 20)
#define KEEP_SPOOL_MAGIC 0x6b737020u

struct keep_spool {
	unsigned magic;
	struct keep_spool_options o;
	struct aside *aside;
	struct loop_timer *timer; /* the next file, or the answer: not in the call that asked */
	store_count_fn *fn;       /* null: nothing is under way */
	void *arg;
	int64_t count;
	enum store_status status;
	struct spool_left *left;
	int nleft, at;
	/* of the file */
	int fd; /* -1: none */
	int error;
	struct buf bytes;
	struct span rest;
	bool foreign; /* one was seen, and said */
	bool bad;     /* to be set aside */
	int64_t delivered, stale;
	/* of the batch */
	struct arena *arena;
	struct store_outcome outcomes[BATCH];
	struct spool_record records[BATCH];
	int n, sent; /* `sent` of them are under way, from `from` on */
	int from;
	bool singly;
};

static void batch_send(struct keep_spool *k);

/* --- what is told -------------------------------------------------------------------------------------------------------------- */

static void
tell_sum(const struct keep_spool *k)
{
	struct spool_sum sum;

	spool_survey(k->o.dir, k->o.node, &sum);
	stats_set(S_SPOOL_OUTCOMES, sum.outcomes);
	stats_set(S_SPOOL_BYTES, sum.bytes);
	stats_set(S_SPOOL_BAD, sum.bad);
	stats_set(S_SPOOL_OLDEST, sum.oldest);
}

static const char *
file_name(const struct keep_spool *k)
{
	return k->left[k->at].name;
}

static void
tell_outcome(struct keep_spool *k, const struct spool_record *r, bool accepted)
{
	if (accepted) {
		k->delivered++;
		stats_inc(S_SPOOL_DELIVERED);
		store_outcome_count(r->kind, r->queue, r->task_type, r->ran);
		return;
	}
	k->stale++;
	stats_inc(S_STALE);
	stats_inc(S_SPOOL_STALE);
	log_warning("a kept outcome came too late: the task is not of that run any more", log_id("task_id", &r->id),
	    log_span("trace_id", r->trace_id), log_str("file", file_name(k)));
}

/* --- the end --------------------------------------------------------------------------------------------------------------------- */

static void
file_close(struct keep_spool *k)
{
	if (k->fd >= 0)
		MUST(close(k->fd) == 0);
	k->fd = -1;
	buf_free(&k->bytes);
	arena_free(&k->arena);
	k->n = 0;
}

static void
next_soon(struct keep_spool *k)
{
	file_close(k);
	k->at++;
	loop_timer_set(k->timer, 0);
}

/* The answer comes on a turn of its own. */
static void
end_soon(struct keep_spool *k, enum store_status status)
{
	file_close(k);
	k->status = status;
	k->at = k->nleft;
	loop_timer_set(k->timer, 0);
}

static void
answer(struct keep_spool *k)
{
	store_count_fn *fn = k->fn;

	if (k->nleft > 0)
		tell_sum(k);
	mem_free(&k->left);
	k->nleft = k->at = 0;
	k->fn = NULL;
	fn(k->arg, k->status, k->count, -1);
}

/* Delivered as far as it can be. */
static void
file_done(struct keep_spool *k)
{
	int error;

	if (k->bad) {
		error = spool_left_set_aside(k->o.dir, file_name(k));
		log_crit("a file of kept outcomes is damaged: set aside, look at it", log_str("file", file_name(k)),
		    log_str("directory", k->o.dir), log_int("delivered", k->delivered), log_int("stale", k->stale));
	} else {
		error = spool_left_remove(k->o.dir, file_name(k));
		log_notice("delivered outcomes that were kept on disk", log_str("file", file_name(k)),
		    log_int("delivered", k->delivered), log_int("stale", k->stale));
	}
	if (error != 0)
		log_error("could not remove a file of kept outcomes", log_str("file", file_name(k)), log_errno(error));
	k->count += k->delivered;
	next_soon(k);
}

/* --- batches ---------------------------------------------------------------------------------------------------------------------- */

static const struct task_failure *
failure_of(struct arena *a, const struct spool_record *r)
{
	struct task_failure *f = arena_alloc(a, sizeof(*f));

	f->class = (enum task_class)r->class;
	f->exit = r->exit;
	snprintf(f->code, sizeof(f->code), "%.*s", (int)r->code.len, r->code.ptr);
	snprintf(f->message, sizeof(f->message), "%.*s", (int)r->message.len, r->message.ptr);
	return f;
}

static bool
sensible(const struct spool_record *r)
{
	return r->kind >= STORE_SUCCEEDED && r->kind <= STORE_PUT_OFF && (r->kind == STORE_SUCCEEDED || r->failed) &&
	       id_cmp(&r->lo, &r->hi) <= 0 && task_id_same_batch(&r->lo, &r->hi);
}

static bool
batch_has(const struct keep_spool *k, const struct id *id)
{
	for (int i = 0; i < k->n; i++)
		if (id_eq(&k->records[i].id, id))
			return true;
	return false;
}

static void
batch_put(struct keep_spool *k, const struct spool_record *r)
{
	k->records[k->n] = *r;
	k->outcomes[k->n++] = (struct store_outcome){
		.id = r->id,
		.lease = { .lo = r->lo, .hi = r->hi, .lease_id = r->lease_id },
		.kind = (enum store_outcome_kind)r->kind,
		.result = r->result,
		.failure = r->failed ? failure_of(k->arena, r) : NULL,
		.reason = arena_spandup(k->arena, r->reason),
		.delay = r->delay,
		.charge = r->charge,
		.crash = r->crash,
		.started_at = r->started_at,
	};
}

static void
tell_broken(struct keep_spool *k, enum spool_took took)
{
	if (took == SPOOL_TORN) {
		log_warning("the last write to a file of kept outcomes was cut short", log_str("file", file_name(k)));
		return;
	}
	k->bad = true;
	log_error("kept outcomes cannot be read: passed over", log_str("file", file_name(k)),
	    log_int("at", (int64_t)(k->bytes.len - k->rest.len)));
}

/* Another outcome of a task that is in it ends the batch: they are told apart by two statements. */
static void
batch_fill(struct keep_spool *k)
{
	size_t begin = k->rest.len;

	arena_free(&k->arena);
	k->arena = arena_new(8192);
	k->n = k->from = 0;
	k->singly = false;
	while (k->n < BATCH && begin - k->rest.len < BATCH_BYTES) {
		struct span before = k->rest;
		struct spool_record r;
		enum spool_took took = spool_record_take(&k->rest, &r);

		if (took == SPOOL_END)
			return;
		if (took == SPOOL_TOOK && !sensible(&r))
			took = SPOOL_BROKEN;
		if (took != SPOOL_TOOK) {
			tell_broken(k, took);
		} else if (batch_has(k, &r.id)) {
			k->rest = before;
			return;
		} else {
			batch_put(k, &r);
		}
	}
}

static void
batch_next(struct keep_spool *k)
{
	if (k->from >= k->n)
		batch_fill(k);
	if (k->n > 0)
		batch_send(k);
	else if (k->rest.len > 0)
		batch_next(k); /* all of it was passed over */
	else
		file_done(k);
}

static void
batch_refused(struct keep_spool *k)
{
	if (k->sent > 1) {
		k->singly = true;
		return;
	}
	k->bad = true;
	log_error("postgres refused a kept outcome", log_id("task_id", &k->records[k->from].id),
	    log_str("file", file_name(k)));
	k->from++;
}

static void
batch_delivered(void *arg, enum store_status status, const bool *accepted)
{
	struct keep_spool *k = arg;

	MAGIC_CHECK(k, KEEP_SPOOL_MAGIC);
	if (status == STORE_FAILED || status == STORE_UNSURE) {
		end_soon(k, status);
		return;
	}
	if (status == STORE_REFUSED) {
		batch_refused(k);
	} else {
		for (int i = 0; i < k->sent; i++)
			tell_outcome(k, &k->records[k->from + i], accepted[i]);
		k->from += k->sent;
	}
	batch_next(k);
}

static void
batch_send(struct keep_spool *k)
{
	k->sent = k->singly ? 1 : k->n - k->from;
	store_deliver(k->o.store, k->outcomes + k->from, k->sent, batch_delivered, k);
}

/* --- files ------------------------------------------------------------------------------------------------------------------------- */

static void
work_read(void *arg)
{
	struct keep_spool *k = arg;

	k->error = spool_left_read(k->fd, &k->bytes);
}

/* It was never written whole, or by somebody whom we do not understand. */
static void
file_unreadable(struct keep_spool *k, enum spool_took took)
{
	tell_broken(k, took);
	file_done(k);
}

static void
file_read(void *arg)
{
	struct keep_spool *k = arg;
	struct spool_head h = { 0 };
	enum spool_took took;
	uint64_t here;

	MAGIC_CHECK(k, KEEP_SPOOL_MAGIC);
	here = store_place(k->o.store);
	if (k->error != 0) {
		log_crit("could not read a file of kept outcomes: set aside", log_str("file", file_name(k)),
		    log_errno(k->error));
		k->bad = true;
		file_done(k);
		return;
	}
	k->rest = buf_span(&k->bytes);
	took = spool_head_take(&k->rest, &h);
	if (took != SPOOL_TOOK) {
		file_unreadable(k, took);
	} else if (here == 0) {
		end_soon(k, STORE_FAILED);
	} else if (h.place != 0 && h.place != here) {
		if (!k->foreign)
			log_crit(
			    "kept outcomes are of another database: they stay on disk", log_str("file", file_name(k)));
		k->foreign = true;
		next_soon(k);
	} else {
		batch_next(k);
	}
}

/* Somebody else may be at it, who answers for it then; unless it is wanted by name, because leases are to be taken back. */
static void
file_begin(struct keep_spool *k)
{
	k->bad = false;
	k->delivered = k->stale = 0;
	k->fd = spool_left_open(k->o.dir, file_name(k));
	if (k->fd >= 0) {
		aside_run(k->aside, work_read, file_read, k);
	} else if (errno == EWOULDBLOCK) {
		end_soon(k, STORE_FAILED);
	} else {
		if (errno != ENOENT)
			log_crit(
			    "could not open a file of kept outcomes", log_str("file", file_name(k)), log_errno(errno));
		next_soon(k);
	}
}

static void
turn(void *arg)
{
	struct keep_spool *k = arg;

	MAGIC_CHECK(k, KEEP_SPOOL_MAGIC);
	if (k->at < k->nleft)
		file_begin(k);
	else
		answer(k);
}

/* --- public --------------------------------------------------------------------------------------------------------------------------- */

struct keep_spool *
keep_spool_new(const struct keep_spool_options *o)
{
	struct keep_spool *k = mem_zalloc(sizeof(*k));

	k->magic = KEEP_SPOOL_MAGIC;
	k->o = *o;
	k->fd = -1;
	k->aside = aside_new(o->loop);
	k->timer = loop_timer_new(o->loop, turn, k);
	return k;
}

void
keep_spool_free(struct keep_spool **kp)
{
	struct keep_spool *k = *kp;

	if (k == NULL)
		return;
	MAGIC_CHECK(k, KEEP_SPOOL_MAGIC);
	aside_free(&k->aside);
	loop_timer_free(&k->timer);
	file_close(k);
	mem_free(&k->left);
	k->magic = 0;
	mem_free(kp);
}

void
keep_spool_deliver(struct keep_spool *k, int64_t inc, store_count_fn *fn, void *arg)
{
	int n = 0;

	ASSERT(k->fn == NULL);
	k->fn = fn;
	k->arg = arg;
	k->count = 0;
	k->status = STORE_OK;
	k->nleft = spool_list(k->o.dir, k->o.node, &k->left);
	if (k->nleft < 0) {
		log_crit("could not look for kept outcomes", log_str("directory", k->o.dir), log_errno(errno));
		k->nleft = 0;
	}
	for (int i = 0; i < k->nleft && inc != 0; i++)
		if (k->left[i].inc == inc)
			k->left[n++] = k->left[i];
	if (inc != 0)
		k->nleft = n;
	k->at = 0;
	if (inc == 0 || k->nleft > 0)
		tell_sum(k);
	loop_timer_set(k->timer, 0);
}
