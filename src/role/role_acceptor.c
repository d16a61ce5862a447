/* role_acceptor.c - the process that listens: HTTP in http/, verdicts in admit/, rows in store/.
 *
 * It answers from its first moment, also while Postgres is away: /readyz says what is missing.  A drain takes no more connections and
 * lets every request that is in flight have its answer.
 */
#include <sysexits.h>

#include "admit/admit.h"
#include "http/http.h"
#include "log/log.h"
#include "run/run_lapse.h"
#include "store/store.h"

#include "role/role.h"

struct acceptor {
	struct role *role;
	struct store *store;
	struct admit *admit;
	struct api *api;
	struct http_server *server;
	bool draining;
};

static void
acceptor_drained(void *arg)
{
	struct acceptor *a = arg;

	role_done(a->role, EX_OK);
}

static void
acceptor_drain(void *arg)
{
	struct acceptor *a = arg;

	a->draining = true;
	api_drain(a->api);
	http_server_drain(a->server);
}

/* Whoever still waits has a key and may ask again. */
static void
acceptor_now(void *arg)
{
	struct acceptor *a = arg;

	log_notice("closing connections", log_int("open", http_server_open(a->server)));
	role_done(a->role, EX_OK);
}

static void
acceptor_rest(void *arg)
{
	struct acceptor *a = arg;

	http_server_rest(a->server);
	store_rest(a->store);
}

static struct store *
open_store(const struct super_child *me, struct loop *loop, struct run_lapse *lapse)
{
	struct store_options o = {
		.loop = loop,
		.conf = me->conf,
		.wake = me->wake,
		.ration = me->conf->limits.queue_depth > 0 ? me->ration : NULL,
		.turn = me->turn,
		.judge = run_lapse_judge,
		.judge_arg = lapse,
		.node = role_node(me->conf),
		.boot = me->boot,
		.home = role_home(me->conf),
		.boot_at = me->boot_at,
		.submit_connections = me->conf->postgres.submit_connections,
		.read_connections = me->conf->postgres.read_connections,
	};

	return store_open(&o);
}

static struct admit *
open_admit(const struct super_child *me, struct loop *loop, struct acceptor *a)
{
	struct admit_options o = {
		.loop = loop,
		.conf = me->conf,
		.store = a->store,
		.ration = me->ration,
		.recent = me->recent,
	};

	return admit_new(&o);
}

static struct http_server *
open_server(const struct super_child *me, struct loop *loop, struct acceptor *a)
{
	struct http_options o = {
		.loop = loop,
		.conf = me->conf,
		.listeners = me->listeners,
		.nlisteners = me->nlisteners,
		.seats = me->seats,
		.index = me->index,
		.routes = api_routes,
		.nroutes = api_nroutes,
		.app = a->api,
		.gate = api_gate,
		.drained = acceptor_drained,
		.arg = a,
	};

	return http_server_new(&o);
}

int
role_acceptor(const struct super_child *me)
{
	static const struct role_ops ops = {
		.name = "acceptor", .drain = acceptor_drain, .now = acceptor_now, .rest = acceptor_rest
	};
	struct acceptor a = { NULL };
	struct run_lapse lapse = { me->guard, me->wake };
	struct api_options ao = {
		.conf = me->conf, .draining = &a.draining, .guard = me->guard, .wake = me->wake, .index = me->index
	};
	int code;

	a.role = role_begin(me, &ops, &a);
	ao.loop = role_loop(a.role);
	a.store = ao.store = open_store(me, ao.loop, &lapse);
	a.admit = ao.admit = open_admit(me, ao.loop, &a);
	a.api = api_new(&ao);
	a.server = open_server(me, ao.loop, &a);
	code = role_run(a.role);
	http_server_free(&a.server); /* answers that come from here on are dropped */
	admit_close(a.admit);
	store_close(&a.store);
	admit_free(&a.admit);
	api_free(&a.api);
	return code;
}
