/* store_gather.c - when a batch leaves.
 *
 * A commit costs the server about as much as twenty of its rows, so on a busy machine throughput is a matter of how many submissions share
 * one.  Clients that were just answered come back within a fraction of a commit: after a batch has landed the next one waits for about as
 * many as it answered, at most for the time of a commit; and while one is under way nothing leaves beside it, but a full batch,
 * and what has waited so long that something must be wrong with the one under way.  A submission that comes alone never waits.
 * A process that submits alone waits less, for the server would idle meanwhile.  Pure; no I/O.
 */
#include "store/store_int.h"

#define HOLD_MAX (4 * CLOCK_MS)   /* never longer for company, however slow the commits */
#define BESIDE_MAX (5 * CLOCK_MS) /* nor behind a batch that is stuck */

void
gather_left(struct gather *g)
{
	g->flying++;
	g->since = 0;
}

void
gather_landed(struct gather *g, int tasks, int64_t took, int waiting, int64_t now)
{
	ASSERT(g->flying > 0);
	g->flying--;
	g->took = g->took == 0 ? took : (7 * g->took + took) / 8;
	g->landed_at = now;
	g->expected = g->alone || tasks + waiting < 4 ? 0 : (tasks + waiting) * 7 / 8;
}

/* us until it may leave; 0: now. */
int64_t
gather_hold(struct gather *g, int waiting, int64_t now)
{
	int64_t most, until;

	if (g->since == 0)
		g->since = now;
	if (g->flying > 0) {
		most = g->alone && g->took < BESIDE_MAX ? g->took : BESIDE_MAX;
		until = waiting >= BATCH_ITEMS ? now : g->since + most;
	} else {
		most = g->took < HOLD_MAX ? g->took : HOLD_MAX;
		until = waiting >= g->expected ? now : g->landed_at + most;
	}
	return until > now ? until - now : 0;
}
