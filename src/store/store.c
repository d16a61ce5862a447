/* store.c - one store per process: its pools, what its server told, whether it is ready.
 *
 * Owns the identity of this life of the process, the writer: a number that Postgres gives once.  It is part of task ids and of lease
 * ids, so a new one is taken when the cluster went to another timeline (a number could come a second time from a standby that was
 * promoted).  The database's clock is estimated from what a greeting read and this machine's monotonic clock, so a step of
 * the wall clock does no harm.  Logs identity and what keeps the store from being ready.  Next: store_pool.c, then the verbs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "stats/stats.h"

#include "store/store_int.h"

#define STORE_MAGIC 0x5c0a57e0U

struct store *
store_open(const struct store_options *o)
{
	struct store *s = mem_zalloc(sizeof(*s));

	s->magic = STORE_MAGIC;
	s->o = *o;
	s->unnamed = !o->conf->postgres.prepare;
	srand48((long)(clock_now() ^ digest_fnv64(&s->o.boot, sizeof(s->o.boot))));
	snprintf(s->trouble, sizeof(s->trouble), "not connected to postgres yet");
	s->submit_pool = pool_new(s, "submit", o->submit_connections);
	s->read_pool = pool_new(s, "read", o->read_connections);
	s->worker_pool = pool_new(s, "worker", o->worker ? 1 : 0);
	s->keeper_pool = pool_new(s, "keeper", o->keeper ? 1 : 0);
	s->submitter = submitter_new(s, s->submit_pool);
	s->asker = asker_new(s);
	s->getter = flights_new(s, &get_kind);
	s->stretcher = flights_new(s, &stretch_kind);
	s->lister = lister_new(s);
	s->worker = o->worker ? worker_new(s, s->worker_pool) : NULL;
	s->upkeep = o->keeper ? upkeep_new(s) : NULL;
	s->health = s->submit_pool != NULL ? health_new(s) : NULL;
	return s;
}

/* Pools first answer all that they hold; they go only after everybody who might ask them. */
void
store_close(struct store **s)
{
	struct store_pool **pools[] = { &(*s)->submit_pool, &(*s)->read_pool, &(*s)->worker_pool, &(*s)->keeper_pool };
	size_t i;

	asker_close((*s)->asker);
	flights_close((*s)->getter);
	flights_close((*s)->stretcher);
	lister_close((*s)->lister);
	for (i = 0; i < ARRAY_LEN(pools); i++)
		pool_close(*pools[i]);
	asker_free(&(*s)->asker);
	flights_free(&(*s)->getter);
	flights_free(&(*s)->stretcher);
	lister_free(&(*s)->lister);
	submitter_free(&(*s)->submitter);
	worker_free(&(*s)->worker);
	health_free(&(*s)->health);
	upkeep_free(&(*s)->upkeep);
	for (i = 0; i < ARRAY_LEN(pools); i++)
		pool_free(pools[i]);
	(*s)->magic = 0;
	mem_free(s);
}

void
store_rest(struct store *s)
{
	struct store_pool *pools[] = { s->submit_pool, s->read_pool, s->worker_pool, s->keeper_pool };

	item_spares_free();
	for (size_t i = 0; i < ARRAY_LEN(pools); i++)
		pool_rest(pools[i]);
}

/* The pool for what has no pool of its own. */
struct store_pool *
store_any_pool(const struct store *s)
{
	struct store_pool *pools[] = { s->read_pool, s->worker_pool, s->keeper_pool, s->submit_pool };
	size_t i;

	for (i = 0; i < ARRAY_LEN(pools); i++)
		if (pools[i] != NULL)
			return pools[i];
	UNREACHABLE("a store without connections");
}

/* --- ready? -------------------------------------------------------------------------------------------------------- */

const char *
store_not_ready(const struct store *s)
{
	const struct store_pool *pools[] = { s->submit_pool, s->read_pool, s->worker_pool, s->keeper_pool };
	size_t i;

	for (i = 0; i < ARRAY_LEN(pools); i++)
		if (pools[i] != NULL && pool_up(pools[i]) == 0)
			return s->trouble[0] != '\0' ? s->trouble : "not connected to postgres";
	if (s->writer == 0)
		return "no identity from postgres yet";
	if (store_lie(s) != NULL)
		return store_lie(s);
	return s->unhealthy[0] != '\0' ? s->unhealthy : NULL;
}

/* An answer of success says that the task is on disk: a server that does not see to that is asked for nothing. */
const char *
store_lie(const struct store *s)
{
	return s->server.version == 0 || s->o.conf->postgres.allow_unsafe ? NULL : health_lie(&s->server);
}

void
store_trouble(struct store *s, const char *why)
{
	snprintf(s->trouble, sizeof(s->trouble), "cannot use postgres: %s", why);
}

void
store_count_ready(struct store *s, int change)
{
	s->nready += change;
	if (s->nready == 0)
		s->connected_at = 0;
	else if (s->connected_at == 0)
		s->connected_at = clock_now();
	stats_set(S_PG_READY, s->nready);
}

int64_t
store_db_now(const struct store *s)
{
	return s->server.version == 0 ? clock_wall() : clock_now() + s->server.clock;
}

const struct store_epoch *
store_epoch(const struct store *s)
{
	bool up = s->submit_pool != NULL && pool_up(s->submit_pool) > 0 && store_lie(s) == NULL;

	return up && !s->elsewhere && s->server.epoch.system != 0 ? &s->server.epoch : NULL;
}

const struct store_epoch *
store_epoch_answered(const struct store *s)
{
	return s->answered.system != 0 ? &s->answered : NULL;
}

/* --- identity -------------------------------------------------------------------------------------------------------- */

/* Who waits for an identity may go on. */
static void
writer_changed(struct store *s)
{
	if (s->submitter != NULL)
		submitter_kick(s->submitter);
	if (s->worker != NULL)
		worker_register(s->worker);
}

static void
on_writer(struct request *r)
{
	struct store *s = r->arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	s->asking_writer = false;
	if (r->status == STORE_OK) {
		s->writer = (int32_t)col_int(r->results[0], 0, SQL_WRITER_NEW_WRITER);
		s->counter = 0;
		log_debug("identity taken", log_int("writer", s->writer));
		writer_changed(s);
	}
	request_free(&r);
}

/* Asks for a new identity; the old one is not used any more. */
void
store_ask_writer(struct store *s)
{
	struct store_pool *p = store_any_pool(s);
	struct request *r;

	s->writer = 0;
	if (s->asking_writer || pool_closing(p))
		return;
	s->asking_writer = true;
	r = request_new(on_writer, s);
	r->repeat = true; /* a number that got lost is lost */
	(void)request_stmt(r, SQL_WRITER_NEW);
	request_send_first(p, r);
}

/* Unique among all that this life of the process makes, and all others: for leases, and for rows that begin at the same id. */
int64_t
store_new_rid(struct store *s)
{
	struct id dice;
	int64_t rid;

	if (s->writer != 0)
		return (int64_t)s->writer << 32 | ++s->counter;
	dice = id_random(); /* before there is a writer: beyond all of them */
	memcpy(&rid, dice.b, sizeof(rid));
	return (rid & INT64_MAX) | INT64_C(1) << 62;
}

void
store_learned(struct store *s, const struct store_server *v)
{
	const struct store_server *old = &s->server;
	bool moved =
	    old->version != 0 && (old->epoch.system != v->epoch.system || old->epoch.timeline != v->epoch.timeline);
	bool set = old->version != 0 && health_clock_moved(old, v);
	const char *trouble;
	char why[sizeof(s->unhealthy)];

	if (old->version == 0)
		log_info("postgres", log_int("version", v->version), log_str("database", v->database),
		    log_int("schema", v->schema),
		    log_str("through", v->pooled ? "a pooler: each transaction brings its settings" : NULL));
	/* who has no later look that could take it back judges nothing by it */
	s->steady = !set || s->health == NULL;
	if (set)
		log_warning("the clock of postgres moved against ours", log_seconds("by", v->clock - old->clock));
	if (moved)
		log_warning("postgres is another cluster or timeline", log_int("timeline", v->epoch.timeline));
	s->server = *v;
	s->elsewhere = false;
	s->trouble[0] = '\0';
	trouble = health_trouble(v, s->steady, why, sizeof(why));
	if (trouble != NULL && strcmp(trouble, s->unhealthy) != 0)
		log_warning("postgres can be used but this node is not ready", log_str("why", trouble));
	snprintf(s->unhealthy, sizeof(s->unhealthy), "%s", trouble != NULL ? trouble : "");
	if (s->writer == 0 || moved)
		store_ask_writer(s);
}

/* --- bells ------------------------------------------------------------------------------------------------------------ */

void
store_wake_lower(struct store *s, int32_t lane)
{
	if (s->o.wake == NULL)
		return;
	wake_lane_lower(s->o.wake, lane);
	wake_lane_ready(s->o.wake, lane);
}

void
store_wake_workers(struct store *s)
{
	if (s->o.wake != NULL)
		wake_workers_ring(s->o.wake);
}
