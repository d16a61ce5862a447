/* admit_limit.c - who is told to wait before anything is spent on him.
 *
 * Two questions that a head alone can answer: is the tenant within its rate, and is there any sense in waiting for the database?  A
 * database that is away is waited for by AWAY_MOST submissions of a process, so that a short absence is not noticed; whoever comes then is
 * told at once.  The depth of a queue can only be asked once the body is read.
 */
#include "base/clock.h"
#include "stats/stats.h"

#include "admit/admit_int.h"

#define AWAY_MOST 256
#define AWAY_AGAIN 2 /* seconds: the database is usually back by then, or for longer away */

static struct ration_rate
rate_of(const struct conf *c)
{
	struct ration_rate r = { c->limits.rate, c->limits.burst != 0 ? c->limits.burst : c->limits.rate };

	return r;
}

static int
whole_seconds(int64_t us)
{
	return (int)((us + CLOCK_SECOND - 1) / CLOCK_SECOND);
}

/* The rate as a quota of whole seconds: what may come in so long after a pause. */
static void
tell_policy(struct admit_limited *l, const struct ration_rate *r)
{
	l->quota = r->burst > r->rate ? r->burst : r->rate;
	l->window = (l->quota + r->rate - 1) / r->rate;
}

struct admit_limited
admit_limit_take(struct admit *a, struct span tenant, int n)
{
	struct admit_limited l = { .by = ADMIT_LIMIT_NONE };
	struct ration_rate rate;
	struct ration_share s;

	MAGIC_CHECK(a, ADMIT_MAGIC);
	rate = rate_of(a->conf);
	if (a->waiting >= AWAY_MOST && store_not_ready(a->store) != NULL) {
		stats_add(S_REFUSED_AWAY, n);
		l.by = ADMIT_LIMIT_AWAY;
		l.again = AWAY_AGAIN;
		return l;
	}
	if (rate.rate == 0 || a->ration == NULL)
		return l;
	s = ration_take(a->ration, tenant, &rate, n, clock_now());
	tell_policy(&l, &rate);
	l.left = s.left;
	l.again = whole_seconds(s.again);
	if (!s.granted) {
		stats_add(S_REFUSED_RATE, n);
		l.by = ADMIT_LIMIT_RATE;
	}
	return l;
}

/* --- queues -------------------------------------------------------------------------------------------------------------------- */

static bool
is_bounded(const struct admit *a)
{
	return a->conf->limits.queue_depth > 0 && a->ration != NULL;
}

bool
admit_queue_enter(struct admit *a, const struct task_request *r, struct ration_place *p)
{
	return !is_bounded(a) || ration_queue_enter(a->ration, r->queue, 1, a->conf->limits.queue_depth, p);
}

void
admit_queue_settle(struct admit *a, const struct task_request *r, const struct ration_place *p, bool stored)
{
	if (is_bounded(a))
		ration_queue_settle(a->ration, r->queue, 1, p, stored);
}
