/* admit_cache.c - answers that Redis may give in the place of Postgres, and which it is given.
 *
 * Asked: every submission with a key, as long as at least 1 of the last 100 questions was a hit; else every sixteenth, until one is a hit
 * again: where keys never come again Redis costs next to nothing.  The turn is counted, not drawn from the key, so that a key which is
 * repeated is asked for in the end.  Believed: only while the store is connected to the cluster whose life the answer was signed for.
 * Put: what Postgres answered in that same life, for keys that came again or for all (redis.fill).
 *
 * Logs once that Redis cannot be used because Postgres does not tell which cluster it is.  Next: cache/cache.c.
 */
#include <string.h>

#include "log/log.h"
#include "stats/stats.h"

#include "admit/admit_int.h"

#define WINDOW 256 /* questions */
#define WORTH 100  /* one hit in so many */
#define SELDOM 16  /* then one submission in so many is asked */

static int64_t
db_now(void *arg)
{
	return store_db_now(arg);
}

void
admit_cache_open(struct admit *admit)
{
	struct cache_options o = { admit->loop, admit->conf, db_now, admit->store };

	admit->cache = (struct admit_cache){ .cache = cache_open(&o), .eager = true };
}

void
admit_cache_close(struct admit *admit)
{
	cache_close(&admit->cache.cache);
}

/* --- epoch ------------------------------------------------------------------------------------------------------------------- */

static struct cache_epoch
epoch_of(const struct store_epoch *e)
{
	struct cache_epoch epoch = { .system = e->system, .timeline = e->timeline };

	memcpy(epoch.key, e->cache_key, sizeof(epoch.key));
	return epoch;
}

static bool
epoch_eq(const struct store_epoch *a, const struct store_epoch *b)
{
	return a != NULL && b != NULL && a->system == b->system && a->timeline == b->timeline &&
	       memcmp(a->cache_key, b->cache_key, sizeof(a->cache_key)) == 0;
}

static void
tell_epoch(struct admit *admit)
{
	struct admit_cache *k = &admit->cache;
	const struct store_epoch *now = store_epoch(admit->store);
	struct cache_epoch epoch;

	k->known = now != NULL;
	if (now == NULL) {
		cache_epoch(k->cache, NULL);
		if (!k->said && store_not_ready(admit->store) == NULL)
			log_notice("redis is not used: postgres does not permit to ask which cluster it is");
		k->said = k->said || store_not_ready(admit->store) == NULL;
		return;
	}
	k->epoch = *now;
	epoch = epoch_of(now);
	cache_epoch(k->cache, &epoch);
}

bool
admit_cache_believes(const struct admit *admit)
{
	return admit->cache.known && epoch_eq(&admit->cache.epoch, store_epoch(admit->store));
}

/* --- questions ----------------------------------------------------------------------------------------------------------------- */

static bool
is_worth(struct admit_cache *k)
{
	return k->eager || ++k->skipped % SELDOM == 0;
}

void
admit_cache_learn(struct admit *admit, bool hit)
{
	struct admit_cache *k = &admit->cache;

	k->asked++;
	k->hits += hit;
	if (hit && !k->eager) {
		k->eager = true;
		k->asked = k->hits = 0;
	}
	if (k->asked < WINDOW)
		return;
	k->eager = k->hits * WORTH >= k->asked;
	k->asked = k->hits = 0;
}

bool
admit_cache_ask(struct admit *admit, const struct id *digest, cache_fn *fn, void *arg)
{
	struct admit_cache *k = &admit->cache;

	if (!is_worth(k)) {
		stats_inc(S_CACHE_BYPASSED);
		return false;
	}
	tell_epoch(admit);
	return cache_get(k->cache, digest, fn, arg);
}

/* --- puts ------------------------------------------------------------------------------------------------------------------------ */

/* The answer came from a connection to the cluster that answers now: else what it committed may be lost by a failover that we have
 * learned of meanwhile. */
void
admit_cache_put(struct admit *admit, const struct id *digest, const uint8_t fingerprint[DIGEST_LEN],
    const struct store_submitted *s, struct span body)
{
	struct cache_answer a = { .id = s->row.id,
		.created_at = s->row.created_at,
		.expires_at = s->expires_at,
		.surface = (int)s->surface,
		.version = s->version,
		.body = body };

	if (admit->cache.cache == NULL)
		return;
	if (s->verdict == STORE_ACCEPTED && admit->conf->redis.fill == CONF_REDIS_REPLAYED)
		return;
	tell_epoch(admit);
	if (!epoch_eq(store_epoch(admit->store), store_epoch_answered(admit->store)))
		return;
	memcpy(a.fingerprint, fingerprint, sizeof(a.fingerprint));
	cache_put(admit->cache.cache, digest, &a);
}
