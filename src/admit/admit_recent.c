/* admit_recent.c - the last submissions, remembered by the acceptors of this node together.
 *
 * A client that repeats a request mostly sends the same bytes a moment later.  What is remembered of an answer is only what the request
 * itself does not say: the id, the times, the surface.  So a record is small, and the answer is rendered from the request at hand, when
 * its payload and trace id are those of the first, byte for byte; another spelling of the same task is left to the store.  Remembered:
 * what the store has answered, once it is committed.  Believed: as in admit_cache.c, while the store is connected to that life of that
 * cluster, and until the key may expire; and only until Postgres is restarted, for a copy of its files may have been put back meanwhile.
 *
 * Logs nothing.  Next: sys/recent.c.
 */
#include <string.h>

#include "base/clock.h"
#include "stats/stats.h"

#include "admit/admit_int.h"

#define CLOCKS_APART CLOCK_SECOND /* our estimate of the database's clock may be behind */
#define PAYLOAD_MAX (64 * 1024)   /* a longer one costs more to compare than to ask for */

struct record {
	uint8_t fingerprint[DIGEST_LEN];
	struct id id;
	int64_t created_at, run_at, expires_at;
	uint64_t epoch; /* digest of the cluster's life */
	uint64_t text;  /* digest of what the fingerprint does not fix */
	int32_t surface;
	int32_t version;
};
_Static_assert(sizeof(struct record) <= RECENT_VALUE, "a record is a value of the table");

static uint64_t
epoch_digest(const struct store_epoch *e)
{
	uint64_t parts[4] = { (uint64_t)e->system, (uint64_t)e->timeline, (uint64_t)e->started_at,
		digest_quick64(e->cache_key, sizeof(e->cache_key)) };

	return digest_quick64(parts, sizeof(parts));
}

/* The fingerprint has the payload in its canonical form, and no trace id that came in a header. */
static uint64_t
text_digest(struct span payload, struct span trace_id)
{
	uint64_t parts[2] = { digest_quick64(payload.ptr, payload.len), digest_quick64(trace_id.ptr, trace_id.len) };

	return digest_quick64(parts, sizeof(parts));
}

static bool
find(const struct admit *admit, const struct id *digest, struct record *record)
{
	const struct store_epoch *epoch = admit->recent != NULL ? store_epoch(admit->store) : NULL;
	uint8_t value[RECENT_VALUE];

	if (epoch == NULL || !recent_get(admit->recent, digest, value))
		return false;
	memcpy(record, value, sizeof(*record));
	return record->epoch == epoch_digest(epoch) && record->version == TASK_RENDER_VERSION &&
	       record->expires_at > store_db_now(admit->store) + CLOCKS_APART;
}

bool
admit_recent_find(
    const struct admit *admit, const struct id *digest, const struct task_request *q, struct store_submitted *s_r)
{
	struct record record;
	bool same;

	if (q->payload.len > PAYLOAD_MAX || !find(admit, digest, &record))
		return false;
	same = digest_eq(record.fingerprint, q->fingerprint, DIGEST_LEN);
	if (same && record.text != text_digest(q->payload, q->trace_id))
		return false;
	*s_r = (struct store_submitted){ .status = STORE_OK, .verdict = same ? STORE_REPLAYED : STORE_MISMATCH };
	if (same)
		task_row_of_request(q, &s_r->row);
	s_r->row.id = record.id;
	s_r->row.created_at = s_r->row.updated_at = record.created_at;
	s_r->row.run_at = record.run_at;
	s_r->surface = (enum task_surface)record.surface;
	s_r->version = record.version;
	s_r->expires_at = record.expires_at;
	stats_inc(S_RECENT);
	return true;
}

void
admit_recent_keep(const struct admit *admit, const struct id *digest, const uint8_t fingerprint[DIGEST_LEN],
    const struct store_submitted *s)
{
	const struct store_epoch *epoch = store_epoch_answered(admit->store);
	uint8_t value[RECENT_VALUE] = { 0 };
	struct record record;

	if (admit->recent == NULL || epoch == NULL || s->row.payload.len > PAYLOAD_MAX)
		return;
	memset(&record, 0, sizeof(record));
	memcpy(record.fingerprint, fingerprint, sizeof(record.fingerprint));
	record.id = s->row.id;
	record.created_at = s->row.created_at;
	record.run_at = s->row.run_at;
	record.expires_at = s->expires_at;
	record.epoch = epoch_digest(epoch);
	record.text = text_digest(s->row.payload, s->row.trace_id);
	record.surface = (int32_t)s->surface;
	record.version = s->version;
	memcpy(value, &record, sizeof(record));
	recent_put(admit->recent, digest, value);
}
