/* store_keep.c - duties of the keeper.
 *
 * All may be repeated: what was done is not there to be done again.  A dead worker's release is three statements of one transaction, each with
 * a snapshot newer than the lock of the one before: its row goes (which waits for a claim in flight), its leases are locked (which
 * waits for outcomes in flight), and what is left of them becomes ready.  A worker counts as silent only when this keeper has been
 * connected, and was answered again and again, long enough for the others to have come back too.  Logs releases.  Next: store_migrate.c.
 */
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

#define KEEP_MAGIC 0x5c0a4ee9U
#define PARTITION_DAYS 9
#define PURGE_BATCH 500
#define PURGE_PAUSE (20 * CLOCK_MS)   /* after a full batch: as many keys may expire as are made */
#define PURGE_VAIN (100 * CLOCK_MS)   /* after one most of which has to stay */
#define PURGE_PAGES 1024              /* of keys, to look at in one stretch: some milliseconds */
#define DEPTH_REST CLOCK_SECOND       /* between two measurements, at least, and ... */
#define DEPTH_SHARE 20                /* ... so many times what the last one took */
#define WALK_PAUSE CLOCK_SECOND       /* between two stretches */
#define WALK_REST (60 * CLOCK_SECOND) /* between two walks */
#define SETTLE (10 * CLOCK_SECOND)    /* after a connection is made, before silence means death */
#define LEAP (5 * CLOCK_SECOND)       /* of the database's clock, that somebody should know of */
#define NAMESAKE_LOOK CLOCK_SECOND    /* at another daemon of our name */

struct duty {
	unsigned magic;
	struct store *store;
	store_count_fn *fn;
	void *arg;
	int64_t count;
	int32_t *incs; /* to release, one after the other */
	int nincs, at;
	int64_t next;       /* until it should be done again; -1: as usual */
	struct id *started; /* by the one to release; null: not known */
	int nstarted;
	struct ration_measure *measure;
	int64_t begun_at; /* clock_now() */
};

static void on_released(struct request *r);

static struct duty *
duty_new(struct store *s, store_count_fn *fn, void *arg)
{
	struct duty *d = mem_zalloc(sizeof(*d));

	d->magic = KEEP_MAGIC;
	d->store = s;
	d->fn = fn;
	d->arg = arg;
	d->next = -1;
	return d;
}

static void
duty_answer(struct duty *d, const struct request *r, int64_t next)
{
	d->fn(d->arg, r->status, d->count, next);
	mem_free(&d->incs);
	mem_free(&d->started);
	mem_free(&d->measure);
	d->magic = 0;
	mem_free(&d);
}

struct store_pool *
keep_pool(const struct store *s)
{
	return s->keeper_pool != NULL ? s->keeper_pool : store_any_pool(s);
}

/* Rows (lane, n) of what became ready. */
static int64_t
take_ready(struct store *s, const PGresult *res)
{
	int64_t n = 0;
	int row;

	for (row = 0; row < PQntuples(res); row++) {
		store_wake_lower(s, (int32_t)col_int(res, row, 0));
		n += col_int(res, row, 1);
	}
	if (n > 0)
		store_wake_workers(s);
	return n;
}

/* --- promotion ---------------------------------------------------------------------------------------------------- */

static void
on_promoted(struct request *r)
{
	struct duty *d = r->arg;
	int64_t next = -1;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK) {
		d->count = take_ready(d->store, r->results[0]);
		if (PQntuples(r->results[1]) > 0)
			next = col_int(r->results[1], 0, SQL_PROMOTE_NEXT_NEXT);
		if (next < 0 && PQntuples(r->results[1]) > 0)
			next = 0; /* due already */
	}
	duty_answer(d, r, next);
	request_free(&r);
}

void
store_promote(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_promoted, duty_new(s, fn, arg));

	stmt_int8(request_stmt(r, SQL_PROMOTE), store_new_rid(s));
	request_stmt(r, SQL_PROMOTE_NEXT);
	request_send(keep_pool(s), r);
}

/* --- dead workers --------------------------------------------------------------------------------------------------- */

static void
bind_started(struct stmt *t, const struct duty *d)
{
	if (d->started == NULL) {
		stmt_null(t);
		return;
	}
	stmt_array(t);
	for (int i = 0; i < d->nstarted; i++)
		stmt_uuid(t, &d->started[i]);
	stmt_array_end(t);
}

static void
release_next(struct duty *d)
{
	struct request *r = read_request(d->store, on_released, d);
	int32_t inc = d->incs[d->at];
	struct stmt *t;

	stmt_int4(request_stmt(r, SQL_WORKER_DELETE), inc);
	stmt_int4(request_stmt(r, SQL_WORKER_LEASES_LOCK), inc);
	t = request_stmt(r, SQL_REAP);
	stmt_int4(t, inc);
	stmt_int8(t, store_new_rid(d->store));
	bind_started(t, d);
	request_send(keep_pool(d->store), r);
}

static void
on_released(struct request *r)
{
	struct duty *d = r->arg;
	int64_t n;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK) {
		n = take_ready(d->store, r->results[2]);
		d->count += n;
		log_info("worker released", log_int("inc", d->incs[d->at]), log_int("tasks", n));
		d->at++;
	}
	if (r->status == STORE_OK && d->at < d->nincs)
		release_next(d);
	else
		duty_answer(d, r, d->next);
	request_free(&r);
}

void
store_release_worker(struct store *s, int64_t inc, const struct id *started, int n, store_count_fn *fn, void *arg)
{
	struct duty *d = duty_new(s, fn, arg);

	if (n >= 0) {
		d->nstarted = n;
		d->started = mem_alloc(sizeof(*started) * (size_t)(n + 1));
		memcpy(d->started, started, sizeof(*started) * (size_t)n);
	}
	d->incs = mem_zalloc(sizeof(*d->incs));
	d->incs[d->nincs++] = (int32_t)inc;
	release_next(d);
}

/* Column 0: workers to release. */
static void
on_incs(struct request *r)
{
	struct duty *d = r->arg;
	int row;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK) {
		d->incs = mem_zalloc(sizeof(*d->incs) * (size_t)(PQntuples(r->results[0]) + 1));
		for (row = 0; row < PQntuples(r->results[0]); row++)
			if (col_int(r->results[0], row, 0) > 0)
				d->incs[d->nincs++] = (int32_t)col_int(r->results[0], row, 0);
	}
	if (d->nincs > 0)
		release_next(d);
	else
		duty_answer(d, r, d->next);
	request_free(&r);
}

/* One that was seen again since the first look lives, and what it holds is its own; one that was not may have ended just before this
 * start, and falls silent. */
static void
namesake_look(struct duty *d, const PGresult *res)
{
	struct store *s = d->store;
	int64_t seen = col_time(res, 0, SQL_WORKER_NAMESAKE_SEEN);
	bool lives = seen != 0 && (s->namesake_lives || (s->namesake_seen != 0 && seen > s->namesake_seen));

	if (lives && !s->namesake_lives)
		log_error(
		    "another taskqd runs under the name of this node, which is not ready therefore: give each its own "
		    "name by the option node",
		    log_str("node", s->o.node));
	if (!lives && s->namesake_lives)
		log_notice("the other taskqd of this name has ended", log_str("node", s->o.node));
	s->namesake_lives = lives;
	s->namesake_seen = seen;
	if (seen != 0)
		d->next = NAMESAKE_LOOK;
	if (s->o.wake != NULL)
		wake_namesake_set(s->o.wake, lives);
}

static void
on_boot(struct request *r)
{
	struct duty *d = r->arg;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK)
		namesake_look(d, r->results[1]);
	on_incs(r);
}

void
store_release_boot(struct store *s, store_count_fn *fn, void *arg)
{
	struct duty *d = duty_new(s, fn, arg);
	struct request *r = read_request(s, on_boot, d);
	struct stmt *t = request_stmt(r, SQL_WORKER_BOOT);

	stmt_home(t, s);
	stmt_uuid(t, &s->o.boot);
	t = request_stmt(r, SQL_WORKER_NAMESAKE);
	stmt_text(t, span_of(s->o.node));
	stmt_home(t, s);
	stmt_uuid(t, &s->o.boot);
	stmt_int8(t, clock_now() - s->o.boot_at);
	request_send(keep_pool(s), r);
}

/* How far the clock of the database went beside ours since the last answer, more than time has passed. */
static int64_t
clock_leap(struct store *s, int64_t clock, int64_t passed)
{
	int64_t leap = s->reap_clock == 0 ? 0 : clock - s->reap_clock - passed;

	s->reap_clock = clock;
	if (leap > LEAP || leap < -LEAP)
		log_warning("the clock of the database was set", log_seconds("by", leap));
	return leap < 0 ? -leap : leap;
}

/* A database that stood still kept everybody's heartbeats, and one whose clock was set has those of another time: the first look after that
 * finds everybody silent.  How long it may have stood still is seen from one answer to the next. */
bool
silence_counts(struct store *s, int64_t clock)
{
	int64_t lease = s->o.conf->work.lease, now = clock_now(), passed = now - s->reaped_at;
	int64_t needed = SETTLE < lease ? SETTLE : lease;

	if (clock_leap(s, clock, passed) > lease / 2 || passed > lease / 2)
		s->heard_since = now;
	s->reaped_at = now;
	return s->connected_at != 0 && now - s->connected_at >= needed && now - s->heard_since >= needed;
}

static void
on_silent(struct request *r)
{
	struct duty *d = r->arg;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status != STORE_OK || silence_counts(d->store, col_int(r->results[0], 0, SQL_WORKER_SILENT_CLOCK))) {
		on_incs(r);
		return;
	}
	duty_answer(d, r, d->next);
	request_free(&r);
}

void
store_reap(struct store *s, store_count_fn *fn, void *arg)
{
	struct duty *d = duty_new(s, fn, arg);
	struct request *r = read_request(s, on_silent, d);

	stmt_int8(request_stmt(r, SQL_WORKER_SILENT), s->o.conf->work.lease + s->o.conf->work.grace);
	request_send(keep_pool(s), r);
}

/* --- depth of the queues ------------------------------------------------------------------------------------------------- */

static void
on_depth(struct request *r)
{
	struct duty *d = r->arg;
	struct ration *ration;
	int64_t rest;
	int row;

	MAGIC_CHECK(d, KEEP_MAGIC);
	ration = d->store->o.ration;
	rest = (clock_now() - d->begun_at) * DEPTH_SHARE;
	if (r->status == STORE_OK) {
		for (row = 0; row < PQntuples(r->results[0]); row++)
			ration_measure_found(ration, d->measure, col_span(r->results[0], row, SQL_DEPTH_QUEUE),
			    col_int(r->results[0], row, SQL_DEPTH_WAITS));
		ration_measure_end(ration, d->measure);
	}
	duty_answer(d, r, rest > DEPTH_REST ? rest : DEPTH_REST);
	request_free(&r);
}

void
store_depth(struct store *s, store_count_fn *fn, void *arg)
{
	struct duty *d = duty_new(s, fn, arg);
	struct request *r = read_request(s, on_depth, d);

	d->measure = mem_zalloc(sizeof(*d->measure));
	d->begun_at = clock_now();
	ration_measure_begin(s->o.ration, d->measure);
	stmt_int8(request_stmt(r, SQL_DEPTH), s->o.conf->limits.queue_depth);
	request_send(keep_pool(s), r);
}

/* --- house -------------------------------------------------------------------------------------------------------------- */

static void
on_partitions(struct request *r)
{
	struct duty *d = r->arg;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK)
		d->count = col_int(r->results[0], 0, SQL_PARTITIONS_MADE);
	duty_answer(d, r, -1);
	request_free(&r);
}

void
store_partitions(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_partitions, duty_new(s, fn, arg));

	stmt_int4(request_stmt(r, SQL_PARTITIONS), PARTITION_DAYS);
	request_send(keep_pool(s), r);
}

/* A walk over many keys of which few have expired takes its time; so does one over many whose tasks are not final. */
static int64_t
purge_pause(int64_t seen, int64_t gone)
{
	if (seen < PURGE_BATCH)
		return WALK_PAUSE;
	return gone >= seen / 2 ? PURGE_PAUSE : PURGE_VAIN;
}

/* The walk begins again when it has come to the end. */
static void
on_purged(struct request *r)
{
	struct duty *d = r->arg;
	int64_t next = -1;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK) {
		bool over = col_null(r->results[0], 0, SQL_PURGE_KEYS_PAGE);

		d->count = col_int(r->results[0], 0, SQL_PURGE_KEYS_GONE);
		d->store->keys_page = over ? 0 : col_int(r->results[0], 0, SQL_PURGE_KEYS_PAGE);
		if (!over)
			next = purge_pause(col_int(r->results[0], 0, SQL_PURGE_KEYS_SEEN), d->count);
	}
	duty_answer(d, r, next);
	request_free(&r);
}

void
store_purge_keys(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_purged, duty_new(s, fn, arg));
	struct stmt *t = request_stmt(r, SQL_PURGE_KEYS);

	stmt_int8(t, s->keys_page);
	stmt_int4(t, PURGE_PAGES);
	stmt_int4(t, PURGE_BATCH);
	request_send(keep_pool(s), r);
}

/* The walk begins again when it has come to the end. */
static void
on_names(struct request *r)
{
	struct duty *d = r->arg;
	int64_t next = WALK_REST;

	MAGIC_CHECK(d, KEEP_MAGIC);
	if (r->status == STORE_OK) {
		d->count = col_int(r->results[0], 0, SQL_PURGE_NAMES_GONE);
		if (col_int(r->results[0], 0, SQL_PURGE_NAMES_SEEN) == PURGE_BATCH)
			next = WALK_PAUSE;
		d->store->names_seen =
		    next == WALK_PAUSE ? col_id(r->results[0], 0, SQL_PURGE_NAMES_LAST) : (struct id){ 0 };
	}
	duty_answer(d, r, next);
	request_free(&r);
}

void
store_purge_names(struct store *s, store_count_fn *fn, void *arg)
{
	struct request *r = read_request(s, on_names, duty_new(s, fn, arg));
	struct stmt *t = request_stmt(r, SQL_PURGE_NAMES);

	stmt_uuid(t, &s->names_seen);
	stmt_int4(t, PURGE_BATCH);
	request_send(keep_pool(s), r);
}
