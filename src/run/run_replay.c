/* run_replay.c - how many dead letters the handler of a task type bears now; see run_replay.h. */
#include <limits.h>

#include "base/clock.h"

#include "run/run_replay.h"

/* Null: nobody guards it. */
static struct guard_handler *
guarded(const struct run_replay *g, struct span task_type, struct guard_rule *rule_r)
{
	const struct conf_handler *h = conf_handler_find(g->conf, task_type);

	if (h == NULL || g->guard == NULL)
		return NULL;
	conf_guard_rule(g->conf, h, rule_r);
	return guard_of(g->guard, task_type);
}

int
run_replay_room(void *arg, struct span task_type)
{
	int64_t now = clock_now(), again;
	struct guard_rule rule;
	struct guard_handler *h = guarded(arg, task_type, &rule);
	struct guard_seen seen;
	int room;

	if (h == NULL)
		return INT_MAX;
	room = guard_room(h, &rule, now, &again);
	if (room == 0 || rule.retry_window == 0 || !guard_is_closed(h, &rule))
		return room;
	guard_look(h, &rule, now, &seen);
	return seen.retries_left < room ? (int)seen.retries_left : room;
}

void
run_replay_moved(void *arg, struct span task_type, int n)
{
	int64_t now = clock_now();
	struct guard_rule rule;
	struct guard_handler *h = guarded(arg, task_type, &rule);

	/* what is beyond the budget makes the next ones wait: there is no room then */
	for (int i = 0; i < n && h != NULL; i++)
		if (guard_retry(h, &rule, now) > rule.retry_window)
			break;
}
