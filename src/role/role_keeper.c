/* role_keeper.c - the process that sees to time: due tasks, dead workers, partitions, expired keys.  The work is in keep/. */
#include <sysexits.h>

#include "keep/keep.h"
#include "keep/keep_escalate.h"
#include "run/run_lapse.h"
#include "run/run_replay.h"
#include "store/store.h"
#include "store/store_sweep.h"

#include "role/role.h"

struct keeper {
	struct role *role;
	struct store *store;
	struct keep *keep;
	struct keep_spool *spool; /* null: nothing is kept on disk */
	struct escalate *escalate;
};

static void
keeper_drained(void *arg)
{
	struct keeper *k = arg;

	role_done(k->role, EX_OK);
}

static void
keeper_drain(void *arg)
{
	struct keeper *k = arg;

	keep_drain(k->keep);
}

/* The duty under way may wait for a lock or a dead database: whatever it was, the next keeper does it. */
static void
keeper_now(void *arg)
{
	struct keeper *k = arg;

	role_done(k->role, EX_OK);
}

static struct keep_spool *
keeper_spool(const struct keeper *k, const struct conf *c)
{
	const struct keep_spool_options o = { role_loop(k->role), k->store, c->work.spool_dir, role_node(c) };

	return c->work.spool_max > 0 ? keep_spool_new(&o) : NULL;
}

int
role_keeper(const struct super_child *me)
{
	static const struct role_ops ops = { .name = "keeper", .drain = keeper_drain, .now = keeper_now };
	struct keeper k = { .role = NULL };
	struct run_lapse lapse = { me->guard, me->wake };
	struct run_replay replay = { me->conf, me->guard };
	struct store_sweep_guard bears = { run_replay_room, run_replay_moved, &replay };
	struct store_options so = {
		.conf = me->conf,
		.wake = me->wake,
		.ration = me->ration,
		.node = role_node(me->conf),
		.boot = me->boot,
		.home = role_home(me->conf),
		.boot_at = me->boot_at,
		.keeper = true,
		.judge = run_lapse_judge,
		.judge_arg = &lapse,
	};
	struct keep_options ko = { .wake = me->wake,
		.marks = me->marks,
		.measure = me->conf->limits.queue_depth > 0,
		.gone_pipe = me->gone_pipe,
		.drained = keeper_drained,
		.arg = &k };
	int code;

	k.role = role_begin(me, &ops, &k);
	so.loop = ko.loop = role_loop(k.role);
	k.store = ko.store = store_open(&so);
	k.spool = ko.spool = keeper_spool(&k, me->conf);
	ko.escalator = k.escalate = escalate_new(ko.loop, k.store, me->conf, so.node);
	ko.escalate = escalate_look;
	store_sweep_guard(k.store, &bears);
	k.keep = keep_new(&ko);
	code = role_run(k.role);
	store_close(&k.store);
	keep_free(&k.keep);
	keep_spool_free(&k.spool);
	escalate_free(&k.escalate);
	return code;
}
