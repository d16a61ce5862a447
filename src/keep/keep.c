/* keep.c - the keeper's duties as timers on the loop; see keep.h.
 *
 * A duty is a row of `duty_rows` (keep_duty.c): what it calls and how often.  One that found something comes again soon, one that found nothing less and
 * less often, between `busy` and `idle`; or, when the watch tells of it, not before that says so: at rest one look serves many duties.
 * Releases of dead workers go before everything else.
 *
 * What dead workers left on the disk is delivered before their leases are taken back: else what they had finished would run again.
 *
 * Who is dead is read from the pipe when it is released, not before: a keeper that dies takes no release with it.  Two keepers (at a
 * reload) may look at the same one; a release does no harm twice, and who then takes another out of the pipe than the one it
 * looked at releases that one next.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "log/log.h"
#include "stats/stats.h"
#include "store/store_watch.h"
#include "sys/marks.h"

#include "keep/keep.h"
#include "keep/keep_duty.h"

#define RETRY_MIN (200 * CLOCK_MS)
#define RETRY_MAX (30 * CLOCK_SECOND)
#define PROMOTE_REST (20 * CLOCK_MS) /* however often it rings */
#define LETTERS_REST (100 * CLOCK_MS)
#define DRAIN_LOOK (200 * CLOCK_MS) /* at whether the database is still there */

struct duty {
	int64_t due;   /* clock_now(); INT64_MAX: not again */
	int64_t pause; /* grows while nothing is found, or while it fails */
	bool failing;
};

struct keep {
	unsigned magic;
	struct keep_options o;
	struct loop_timer *timer;
	struct loop_fd *bell;
	struct loop_fd *gone;
	struct buf incs;  /* int64_t: dead workers, the first is next */
	bool looked;      /* the first of them is still in the pipe */
	int look_pipe[2]; /* a copy of it comes through here */
	struct duty duties[DUTIES + 1];
	int doing; /* enum duty_kind under way; -1: none */
	bool rung; /* while promote was under way */
	int64_t promoted_at;
	uint32_t sweeps; /* as counted when the last bell rang */
	bool draining, drained;
	uint64_t dice;
};
#define KEEP_MAGIC 0x6b656570u

/* 90 to 110 per cent, so that the keepers of several nodes do not march in step. */
static int64_t
jitter(struct keep *k, int64_t us)
{
	k->dice = k->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return us + us / 10 * ((int64_t)(k->dice >> 33) % 201 - 100) / 100;
}

static const char *
duty_name(int kind)
{
	return kind == DUTY_RELEASE ? "release" : duty_rows[kind].name;
}

/* --- what is next --------------------------------------------------------------------------------------------------------------- */

static void duty_answered(void *arg, enum store_status status, int64_t count, int64_t next);

static void
turn_soon(struct keep *k)
{
	loop_timer_set(k->timer, 0);
}

/* The most overdue; -1 with the time to wait until one is due. */
static int
choose(const struct keep *k, int64_t now, int64_t *wait_r)
{
	int64_t first = INT64_MAX;
	int best = -1;

	if (k->incs.len >= sizeof(int64_t) && k->duties[DUTY_RELEASE].due <= now)
		return DUTY_RELEASE;
	if (k->incs.len >= sizeof(int64_t))
		first = k->duties[DUTY_RELEASE].due;
	for (int i = 0; i < DUTIES && !k->draining; i++) {
		if (k->duties[i].due <= now && (best < 0 || k->duties[i].due < k->duties[best].due))
			best = i;
		if (k->duties[i].due < first)
			first = k->duties[i].due;
	}
	*wait_r = first == INT64_MAX ? 60 * CLOCK_SECOND : first - now;
	return best;
}

static void
release(struct keep *k)
{
	struct id started[MARKS_IDS];
	int64_t inc;
	int n = -1;

	memcpy(&inc, k->incs.data, sizeof(inc));
	if (k->o.marks != NULL)
		n = marks_read(k->o.marks, inc, started);
	store_release_worker(k->o.store, inc, started, n, duty_answered, k);
}

/* Its marks were of use as long as the release could have to be repeated. */
static void
released(struct keep *k)
{
	int64_t inc;

	memcpy(&inc, k->incs.data, sizeof(inc));
	if (k->o.marks != NULL)
		marks_drop(k->o.marks, inc);
}

static void
act(struct keep *k, int kind)
{
	if (kind == DUTY_RELEASE)
		release(k);
	else if (kind == DUTY_ESCALATE)
		k->o.escalate(k->o.escalator, duty_answered, k);
	else
		duty_rows[kind].verb(k->o.store, duty_answered, k);
}

/* Nothing is left on the disk of whom the duty is about. */
static void
delivered(void *arg, enum store_status status, int64_t count, int64_t next)
{
	struct keep *k = arg;

	MAGIC_CHECK(k, KEEP_MAGIC);
	if (status != STORE_OK || k->doing == DUTY_SPOOL)
		duty_answered(k, status, count, next);
	else
		act(k, k->doing);
}

static bool
delivers(const struct keep *k, int kind, int64_t *inc_r)
{
	*inc_r = 0;
	if (kind == DUTY_RELEASE)
		memcpy(inc_r, k->incs.data, sizeof(*inc_r));
	return k->o.spool != NULL && (kind == DUTY_RELEASE || kind == DUTY_BOOT || kind == DUTY_SPOOL);
}

static void
begin(struct keep *k, int kind)
{
	int64_t inc;

	k->doing = kind;
	if (kind == DUTY_PROMOTE) {
		k->rung = false;
		k->promoted_at = clock_now();
	}
	if (delivers(k, kind, &inc))
		keep_spool_deliver(k->o.spool, inc, delivered, k);
	else
		act(k, kind);
}

/* What a keeper could not do the next one reads from the pipe; should it be full, the reaper finds those workers silent. */
static void
hand_back(struct keep *k)
{
	if (k->looked)
		buf_consume(&k->incs, sizeof(int64_t));
	k->looked = false;
	while (k->incs.len >= sizeof(int64_t)) {
		if (write(k->o.gone_pipe[1], k->incs.data, sizeof(int64_t)) < 0)
			log_warning("could not hand on the release of a worker", log_errno(errno));
		buf_consume(&k->incs, sizeof(int64_t));
	}
}

/* A duty on its way to a database that is away may have been done or not; the next keeper does it in any case. */
static bool
nothing_to_wait_for(const struct keep *k)
{
	if (k->doing >= 0)
		return store_not_ready(k->o.store) != NULL;
	return k->incs.len == 0 || k->duties[DUTY_RELEASE].failing;
}

/* --- who is dead ---------------------------------------------------------------------------------------------------------------- */

/* Writes of eight bytes to a pipe are whole. */
static bool
gone_read(struct keep *k, int64_t *inc_r)
{
	ssize_t n = tee(k->o.gone_pipe[0], k->look_pipe[1], sizeof(*inc_r), SPLICE_F_NONBLOCK);

	k->looked = n == (ssize_t)sizeof(*inc_r);
	if (k->looked)
		return read(k->look_pipe[0], inc_r, sizeof(*inc_r)) == n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* somebody forbids to copy */
	return read(k->o.gone_pipe[0], inc_r, sizeof(*inc_r)) == (ssize_t)sizeof(*inc_r);
}

/* While there is somebody to release the pipe is left alone. */
static void
gone_look(struct keep *k)
{
	int64_t inc;

	if (k->incs.len == 0 && gone_read(k, &inc))
		buf_put(&k->incs, &inc, sizeof(inc));
	if (k->gone != NULL)
		loop_fd_want(k->gone, k->incs.len > 0 ? 0 : LOOP_READ);
}

static void
gone_done(struct keep *k)
{
	int64_t inc, other;

	memcpy(&inc, k->incs.data, sizeof(inc));
	if (k->looked && read(k->o.gone_pipe[0], &other, sizeof(other)) == (ssize_t)sizeof(other) && other != inc)
		buf_put(&k->incs, &other, sizeof(other));
	k->looked = false;
	buf_consume(&k->incs, sizeof(inc));
	gone_look(k);
}

static void
gone_heard(void *arg, int events UNUSED)
{
	struct keep *k = arg;

	MAGIC_CHECK(k, KEEP_MAGIC);
	gone_look(k);
	if (k->incs.len > 0)
		turn_soon(k);
}

static void
turn(void *arg)
{
	struct keep *k = arg;
	int64_t wait = 0;
	int kind;

	MAGIC_CHECK(k, KEEP_MAGIC);
	if (k->drained)
		return;
	if (k->draining && k->doing < 0)
		gone_look(k);
	if (k->draining && nothing_to_wait_for(k)) {
		k->drained = true;
		hand_back(k);
		k->o.drained(k->o.arg);
		return;
	}
	if (k->doing >= 0) {
		if (k->draining)
			loop_timer_set(k->timer, DRAIN_LOOK);
		return;
	}
	kind = choose(k, clock_now(), &wait);
	if (kind >= 0)
		begin(k, kind);
	else
		loop_timer_set(k->timer, wait);
}

/* --- answers ---------------------------------------------------------------------------------------------------------------------- */

static void
duty_failed(struct keep *k, int kind, int64_t now)
{
	struct duty *d = &k->duties[kind];

	if (!d->failing) {
		log_warning("a duty failed and will be repeated", log_str("duty", duty_name(kind)));
		d->pause = RETRY_MIN;
	}
	d->failing = true;
	d->due = now + jitter(k, d->pause);
	d->pause = d->pause * 2 < RETRY_MAX ? d->pause * 2 : RETRY_MAX;
}

/* When it is due again. */
static int64_t
due_again(struct keep *k, int kind, int64_t count, int64_t next, int64_t now)
{
	struct duty *d = &k->duties[kind];
	const struct duty_row *row = &duty_rows[kind];
	int64_t pause = count > 0 ? row->busy : d->pause * 2;

	if (row->idle < 0)
		return next >= 0 ? now + jitter(k, next) : INT64_MAX;
	if (duty_is_told(kind, count, next))
		return INT64_MAX;
	if (pause < row->busy)
		pause = row->busy;
	if (pause < CLOCK_SECOND && count == 0)
		pause = CLOCK_SECOND;
	d->pause = pause = pause < row->idle ? pause : row->idle;
	if (next >= 0)
		pause = next < row->idle ? next : row->idle;
	return now + (next >= 0 ? pause : jitter(k, pause));
}

static void
duty_done(struct keep *k, int kind, int64_t count, int64_t next, int64_t now)
{
	struct duty *d = &k->duties[kind];

	if (d->failing)
		d->pause = 0;
	d->due = due_again(k, kind, count, next, now);
	if (kind == DUTY_PROMOTE && k->rung)
		d->due = k->promoted_at + PROMOTE_REST;
}

/* What is due before the watch comes again. */
static void
watch_told(struct keep *k)
{
	for (int i = 0; i < DUTIES; i++) {
		struct duty *d = &k->duties[i];
		int64_t due = duty_told_of[i] == STORE_DUE_NONE ? INT64_MAX : store_due(k->o.store, duty_told_of[i]);

		if (i == DUTY_ESCALATE && k->o.escalate == NULL)
			continue;
		if (!d->failing && due < d->due && due < k->duties[DUTY_WATCH].due)
			d->due = due;
	}
}

static void
duty_told(int kind, int64_t count)
{
	static const char *const words[] = {
		[DUTY_BOOT] = "took back tasks of an earlier start",
		[DUTY_REAP] = "took back tasks of silent workers",
		[DUTY_LAPSE] = "took back tasks of silent clients",
		[DUTY_RELEASE] = "took back tasks of a dead worker",
	};

	if (kind == DUTY_RELEASE || duty_rows[kind].counter >= 0)
		stats_add(kind == DUTY_RELEASE ? S_REAPED : (enum stats_counter)duty_rows[kind].counter, count);
	if (count == 0)
		return;
	if ((size_t)kind < ARRAY_LEN(words) && words[kind] != NULL)
		log_notice(words[kind], log_int("tasks", count));
	else
		log_debug("duty done", log_str("duty", duty_rows[kind].name), log_int("count", count));
}

static void
duty_answered(void *arg, enum store_status status, int64_t count, int64_t next)
{
	struct keep *k = arg;
	int64_t now = clock_now();
	int kind;

	MAGIC_CHECK(k, KEEP_MAGIC);
	kind = k->doing;
	ASSERT(kind >= 0);
	k->doing = -1;
	if (status != STORE_OK) {
		duty_failed(k, kind, now);
		turn_soon(k);
		return;
	}
	if (k->duties[kind].failing)
		log_notice("a duty works again", log_str("duty", duty_name(kind)));
	duty_told(kind, count);
	if (kind == DUTY_RELEASE) {
		released(k);
		gone_done(k);
		k->duties[DUTY_WATCH].pause = 0;
		k->duties[kind].due = 0;
	} else {
		duty_done(k, kind, count, next, now);
	}
	if (kind == DUTY_WATCH)
		watch_told(k);
	k->duties[kind].failing = false;
	turn_soon(k);
}

/* --- what is heard ------------------------------------------------------------------------------------------------------------------ */

/* Letters come in crowds: they are filed, and then counted, a moment after the first. */
static void
letters_came(struct keep *k, int64_t now)
{
	struct duty *file = &k->duties[DUTY_FILE], *count = &k->duties[DUTY_LETTERS];

	if (!file->failing && file->due > now + LETTERS_REST)
		file->due = now + LETTERS_REST;
	if (!count->failing && count->due > now + CLOCK_SECOND)
		count->due = now + CLOCK_SECOND;
}

/* Something waits that may be due before we thought. */
static void
bell_rang(void *arg, int events UNUSED)
{
	struct keep *k = arg;
	struct duty *d = &k->duties[DUTY_PROMOTE];

	MAGIC_CHECK(k, KEEP_MAGIC);
	wake_hush(wake_keeper_fd(k->o.wake));
	if (k->sweeps != wake_sweeps_count(k->o.wake)) {
		k->sweeps = wake_sweeps_count(k->o.wake);
		k->duties[DUTY_SWEEP].due = k->duties[DUTY_SWEEP].failing ? k->duties[DUTY_SWEEP].due : 0;
	}
	k->rung = true;
	if (!d->failing && d->due > k->promoted_at + PROMOTE_REST)
		d->due = k->promoted_at + PROMOTE_REST;
	if (wake_letter_take(k->o.wake))
		letters_came(k, clock_now());
	turn_soon(k);
}

/* --- public ----------------------------------------------------------------------------------------------------------------------- */

struct keep *
keep_new(const struct keep_options *o)
{
	struct keep *k = mem_zalloc(sizeof(*k));
	struct id seed = id_random();

	k->magic = KEEP_MAGIC;
	k->o = *o;
	k->doing = -1;
	if (!o->measure)
		k->duties[DUTY_DEPTH].due = INT64_MAX;
	if (o->spool == NULL)
		k->duties[DUTY_SPOOL].due = INT64_MAX;
	if (o->escalate == NULL)
		k->duties[DUTY_ESCALATE].due = INT64_MAX;
	memcpy(&k->dice, seed.b, sizeof(k->dice));
	MUST(pipe2(k->look_pipe, O_NONBLOCK | O_CLOEXEC) == 0);
	k->timer = loop_timer_new(o->loop, turn, k);
	k->gone = loop_fd_new(o->loop, o->gone_pipe[0], LOOP_READ, gone_heard, k);
	if (o->wake != NULL)
		k->bell = loop_fd_new(o->loop, wake_keeper_fd(o->wake), LOOP_READ, bell_rang, k);
	turn_soon(k);
	return k;
}

void
keep_free(struct keep **kp)
{
	struct keep *k = *kp;

	if (k == NULL)
		return;
	MAGIC_CHECK(k, KEEP_MAGIC);
	loop_timer_free(&k->timer);
	loop_fd_free(&k->bell);
	loop_fd_free(&k->gone);
	buf_free(&k->incs);
	MUST(close(k->look_pipe[0]) == 0 && close(k->look_pipe[1]) == 0);
	k->magic = 0;
	mem_free(kp);
}

void
keep_drain(struct keep *k)
{
	k->draining = true;
	loop_fd_free(&k->bell);
	loop_fd_free(&k->gone);
	turn_soon(k);
}
