/* run_pause.c - what is not started now, as this worker knows it.
 *
 * Pauses come with the lanes of a look.  A change on this node is counted and rings every worker; between the count and the look that knows
 * of it nothing is claimed and nothing is started, so a pause holds from its answer on.  What another node paused is seen by the
 * next look.  Tasks of a paused lane that have not started are given back; what runs goes on.  Logs nothing.  Next: run_claim.c.
 */
#include "run/run_int.h"

static uint32_t
changes(const struct run *r)
{
	return r->o.wake != NULL ? wake_pauses_count(r->o.wake) : 0;
}

bool
run_pause_unseen(const struct run *r)
{
	return r->lanes.pauses != changes(r);
}

bool
run_pause_must_look(const struct run *r)
{
	return changes(r) != (r->lanes.looking ? r->lanes.pauses_asked : r->lanes.pauses);
}

void
run_pause_look(struct run *r)
{
	r->lanes.pauses_asked = changes(r);
}

bool
run_pause_changed(const struct run *r)
{
	return r->lanes.pauses_asked != r->lanes.pauses;
}

/* Also after a look that failed: the old picture is the best there is. */
void
run_pause_looked(struct run *r)
{
	r->lanes.pauses = r->lanes.pauses_asked;
	r->lanes.npaused = 0;
	for (int i = 0; i < r->lanes.n; i++)
		r->lanes.npaused += r->lanes.all[i].paused;
}

void
run_pause_give_back(struct run *r)
{
	struct list *pos, *next;

	if (r->lanes.npaused == 0)
		return;
	LIST_FOREACH_SAFE (pos, next, &r->tasks[RUN_QUEUED]) {
		struct run_task *t = container_of(pos, struct run_task, node);

		if (!run_claim_paused(r, t->row.lane))
			continue;
		run_lease_give_back(t->lease, &t->row.id, false);
		run_task_leave(t);
	}
}
