/* role_worker.c - the process that claims tasks and runs them.  The work is in run/.
 *
 * A drain lets running tasks finish; at its deadline they are stopped, with the usual grace, and given back; a second signal stops
 * them with next to none.  When the database does not take what is left the exit says so: the leases are released by the keeper
 * once the launcher has killed our handlers.
 */
#include <sysexits.h>

#include "base/clock.h"
#include "run/run.h"
#include "store/store.h"

#include "role/role.h"

#define HASTE (200 * CLOCK_MS) /* grace of handlers after a second signal: the role has 2 s for everything */
#define SLACK (20 * CLOCK_MS)  /* the role began to count a moment before us */

struct worker {
	const struct conf *conf;
	struct role *role;
	struct store *store;
	struct run *run;
	int64_t drained_at; /* when the drain began */
};

static void
worker_drained(void *arg, bool clean)
{
	struct worker *w = arg;

	role_done(w->role, clean ? EX_OK : EX_TEMPFAIL);
}

static void
worker_drain(void *arg)
{
	struct worker *w = arg;

	w->drained_at = clock_now();
	run_drain(w->run);
}

static void
worker_now(void *arg)
{
	struct worker *w = arg;
	bool deadline = clock_now() - w->drained_at >= w->conf->drain_timeout - SLACK;

	run_now(w->run, deadline || w->conf->kill_grace < HASTE ? w->conf->kill_grace : HASTE);
}

static void
worker_rest(void *arg)
{
	struct worker *w = arg;

	store_rest(w->store);
}

int
role_worker(const struct super_child *me)
{
	static const struct role_ops ops = {
		.name = "worker", .drain = worker_drain, .now = worker_now, .rest = worker_rest
	};
	struct worker w = { .conf = me->conf };
	struct store_options so = {
		.conf = me->conf,
		.wake = me->wake,
		.node = role_node(me->conf),
		.boot = me->boot,
		.home = role_home(me->conf),
		.boot_at = me->boot_at,
		.worker = true,
	};
	struct run_options ro = {
		.conf = me->conf,
		.wake = me->wake,
		.index = me->index,
		.ration = me->conf->limits.queue_depth > 0 ? me->ration : NULL,
		.guard = me->guard,
		.marks = me->marks,
		.slot = me->slot,
		.node = role_node(me->conf),
		.launch_path = me->launch_path,
		.drained = worker_drained,
		.arg = &w,
	};
	int code;

	w.role = role_begin(me, &ops, &w);
	so.loop = ro.loop = role_loop(w.role);
	w.store = ro.store = store_open(&so);
	w.run = run_new(&ro);
	code = role_run(w.role);
	store_close(&w.store);
	run_free(&w.run);
	return code;
}
