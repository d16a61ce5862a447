/* store_conn.c - one connection to Postgres as a machine.
 *
 *	DOWN -> CONNECTING -> GREETING -> IDLE <-> BUSY, and from each of them back to DOWN
 *
 * Five events: the timer (back-off over, or a deadline passed), the socket, a request, a loss, the end.  One request at most is in flight;
 * it travels in libpq's pipeline mode, its statements before one Sync, so it is one transaction with a new snapshot for
 * each statement.  Statements are prepared by name when a connection first needs them.
 *
 * What is certain: nothing happened before the Sync was handed to libpq (FAILED), or when the server answered the Sync after an error
 * (REFUSED); everything happened when it answered the Sync without one (OK).  Between them is UNSURE.  On a deadline the
 * socket is closed, never a cancel sent: a commit that waits for its replica answers success to a cancel.  After a loss
 * PQgetResult() returns null for ever, so each null asks PQstatus().  Logs connections made and lost.  Next: store_pool.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log/log.h"
#include "stats/stats.h"
#include "sys/sys.h"

#include "store/store_int.h"

#define CONN_MAGIC 0x5c0a11ecU
#define BACKOFF_FIRST (100 * CLOCK_MS)
#define BACKOFF_CAP (3 * CLOCK_SECOND)
#define ATTEMPT_EVERY CLOCK_SECOND /* but for the first retry */
#define GROWN (1024 * 1024)        /* bytes at once: such a connection is renewed when its process rests */

enum conn_event { CONN_EV_TIMER, CONN_EV_SOCKET, CONN_EV_REQUEST, CONN_EV_LOST, CONN_EV_CLOSE };

static const char *const state_names[CONN_STATES] = { "down", "connecting", "greeting", "idle", "busy" };

struct store_conn {
	unsigned magic;
	struct store_pool *pool;
	int number;
	enum conn_state state;
	struct loop_fd *fd;
	struct loop_timer *timer;
	int failures; /* attempts since the last greeting */
	int64_t attempt_at;
	struct wire wire;
	struct request *request;  /* in flight: the pool's, or the greeting */
	struct request *greeting; /* the same, while it is ours */
	int64_t sent_at;
	enum hello_step step;
	struct store_server server;
};

static void conn_event(struct store_conn *c, enum conn_event event, const char *why);
static void conn_renew(struct store_conn *c);
static void on_socket(void *arg, int events);
static void on_timer(void *arg);

static const struct conf *
conn_conf(const struct store_conn *c)
{
	return pool_store(c->pool)->o.conf;
}

static void
set_state(struct store_conn *c, enum conn_state state)
{
	bool was_up = c->state == CONN_IDLE || c->state == CONN_BUSY;
	bool is_up = state == CONN_IDLE || state == CONN_BUSY;

	ASSERT((state == CONN_DOWN) == (c->wire.pg == NULL));
	ASSERT((state == CONN_BUSY || state == CONN_GREETING) == (c->request != NULL));
	log_debug("connection", log_str("pool", pool_purpose(c->pool)), log_int("connection", c->number),
	    log_str("from", state_names[c->state]), log_str("to", state_names[state]));
	c->state = state;
	if (state == CONN_IDLE)
		loop_timer_clear(c->timer);
	if (was_up != is_up)
		store_count_ready(pool_store(c->pool), is_up ? 1 : -1);
}

/* First line of libpq's message. */
static void
first_line(const char *text, char *line, size_t size)
{
	size_t len = strcspn(text, "\n");

	snprintf(line, size, "%.*s", (int)len, len > 0 ? text : "connection lost");
}

/* --- birth -------------------------------------------------------------------------------------------------------- */

struct store_conn *
conn_new(struct store_pool *p, int number)
{
	struct store_conn *c = mem_zalloc(sizeof(*c));

	c->magic = CONN_MAGIC;
	c->pool = p;
	c->number = number;
	c->state = CONN_DOWN;
	c->timer = loop_timer_new(pool_store(p)->o.loop, on_timer, c);
	return c;
}

enum conn_state
conn_state(const struct store_conn *c)
{
	return c->state;
}

/* The warning of a commit that stopped waiting for its replica is known by the function that gives it: its words are translated. */
static void
on_notice(void *arg, const PGresult *res)
{
	struct store_conn *c = arg;
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	MAGIC_CHECK(c, CONN_MAGIC);
	if (function != NULL && strcmp(function, "SyncRepWaitForLSN") == 0)
		c->wire.in_doubt = true;
	log_debug("postgres says", log_str("pool", pool_purpose(c->pool)),
	    log_str("notice", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)));
}

static void
watch(struct store_conn *c, int want)
{
	if (c->fd == NULL)
		c->fd = loop_fd_new(pool_store(c->pool)->o.loop, PQsocket(c->wire.pg), want, on_socket, c);
	else
		loop_fd_want(c->fd, want);
}

static void
connect_begin(struct store_conn *c)
{
	char why[256];

	c->attempt_at = clock_now();
	c->server = (struct store_server){ 0 };
	wire_begin(&c->wire, hello_connect_start(pool_store(c->pool), pool_purpose(c->pool)));
	set_state(c, CONN_CONNECTING);
	if (PQstatus(c->wire.pg) == CONNECTION_BAD) {
		hello_refusal(c->wire.pg, why, sizeof(why));
		conn_event(c, CONN_EV_LOST, why);
		return;
	}
	PQsetNoticeReceiver(c->wire.pg, on_notice, c);
	loop_timer_set(c->timer, conn_conf(c)->postgres.connect_timeout);
	watch(c, LOOP_WRITE);
}

void
conn_start(struct store_conn *c)
{
	ASSERT(c->state == CONN_DOWN);
	loop_timer_set(c->timer, 0);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static bool
flush(struct store_conn *c)
{
	bool good = wire_flush(&c->wire);

	watch(c, c->wire.flushing ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return good;
}

/* Named places for tests, one for each statement of the request: "sql.claim.before", "sql.claim.sent", "sql.claim.answered". */
static void
pass(const struct request *r, const char *what)
{
#ifdef TASKQ_FAILPOINTS
	char name[80];

	for (int i = 0; i < r->nstmts; i++) {
		snprintf(name, sizeof(name), "sql.%s.%s", store_sql_texts[r->stmts[i].sql].name, what);
		(void)failpoint(name);
	}
#else
	(void)r, (void)what;
#endif
}

static void
send_request(struct store_conn *c, struct request *r)
{
	char why[256];

	c->request = r;
	c->sent_at = clock_now();
	pass(r, "before");
	if (wire_send(&c->wire, r, !pool_store(c->pool)->unnamed && c->greeting == NULL) && flush(c)) {
		pass(r, "sent");
		return;
	}
	first_line(PQerrorMessage(c->wire.pg), why, sizeof(why));
	conn_event(c, CONN_EV_LOST, why);
}

static void
greeting_send(struct store_conn *c)
{
	request_free(&c->greeting);
	c->request = c->greeting = request_new(NULL, NULL);
	hello_ask(c->greeting, pool_store(c->pool), pool_purpose(c->pool), c->step, c->wire.pg);
	send_request(c, c->greeting);
}

static void
greeting_next(struct store_conn *c)
{
	struct hello_time when = { c->sent_at, clock_now() };
	char why[256];

	if (!hello_take(c->greeting, c->step, &c->server, &when, why, sizeof(why))) {
		conn_event(c, CONN_EV_LOST, why);
		return;
	}
	hello_settle(&c->wire, pool_store(c->pool), pool_purpose(c->pool), &c->server);
	if (++c->step < HELLO_STEPS) {
		greeting_send(c);
		return;
	}
	request_free(&c->greeting);
	c->request = NULL;
	if (c->failures > 0)
		log_notice(
		    "connected to postgres", log_str("pool", pool_purpose(c->pool)), log_int("connection", c->number));
	c->failures = 0;
	stats_inc(S_PG_CONNECTS);
	set_state(c, CONN_IDLE);
	store_learned(pool_store(c->pool), &c->server);
	pool_changed(c->pool);
}

/* It was greeted in another life of the cluster than the one that was met last. */
static bool
is_stale(const struct store_conn *c)
{
	const struct store_epoch *mine = &c->server.epoch, *last = &pool_store(c->pool)->server.epoch;

	if (mine->system == 0 || last->system == 0)
		return false;
	return mine->system != last->system || mine->timeline != last->timeline;
}

/* The server answered the Sync. */
static void
request_over(struct store_conn *c)
{
	struct request *r = c->request;
	bool elsewhere = hello_elsewhere(pool_store(c->pool), &c->server, &c->wire);

	if (c->wire.in_doubt)
		r->status = STORE_UNSURE;
	else if (r->sqlstate[0] != '\0')
		r->status = STORE_REFUSED;
	r->action = r->status == STORE_OK ? ACTION_NONE : store_error_action(r->sqlstate);
	if (c->wire.in_doubt)
		r->action = ACTION_RECONNECT;
	stats_add(S_PG_STATEMENTS, r->nstmts);
	stats_observe(H_PG_SECONDS, (double)(clock_now() - c->sent_at) / 1e6);
	if (r->status != STORE_OK)
		stats_inc(S_PG_ERRORS);
	if (c->greeting != NULL) {
		greeting_next(c);
		return;
	}
	pass(r, "answered");
	c->request = NULL;
	set_state(c, CONN_IDLE);
	pool_store(c->pool)->answered = c->server.epoch;
	if (r->action == ACTION_RECONNECT || r->action == ACTION_REPREPARE || is_stale(c) || elsewhere)
		conn_renew(c);
	pool_answer(c->pool, r);
	pool_changed(c->pool);
}

/* --- the end of a line ---------------------------------------------------------------------------------------------- */

static void
close_socket(struct store_conn *c)
{
	int fd;

	if (c->wire.pg == NULL)
		return;
	loop_fd_free(&c->fd);
	fd = PQsocket(c->wire.pg);
	if (fd >= 0 && c->request != NULL) /* what libpq still holds must not follow */
		(void)shutdown(fd, SHUT_RDWR);
	wire_end(&c->wire);
}

/* Full jitter; the first retry soon, later ones at most one a second. */
static int64_t
backoff(const struct store_conn *c)
{
	int64_t most = BACKOFF_FIRST << (c->failures < 6 ? c->failures - 1 : 5);
	int64_t since = clock_now() - c->attempt_at;
	int64_t delay;

	if (most > BACKOFF_CAP)
		most = BACKOFF_CAP;
	delay = (int64_t)((double)most * drand48());
	if (c->failures > 1 && delay + since < ATTEMPT_EVERY)
		delay = ATTEMPT_EVERY - since;
	return delay;
}

static void
lose(struct store_conn *c, const char *why)
{
	struct request *r = c->greeting == NULL ? c->request : NULL;
	bool was_up = c->state == CONN_IDLE || c->state == CONN_BUSY;

	close_socket(c);
	request_free(&c->greeting);
	c->request = NULL;
	set_state(c, CONN_DOWN);
	c->failures++;
	if (pool_closing(c->pool))
		log_debug("connection closed", log_str("pool", pool_purpose(c->pool)));
	else if (was_up)
		log_warning(
		    "lost the connection to postgres", log_str("pool", pool_purpose(c->pool)), log_str("error", why));
	else
		log_warning(
		    "could not connect to postgres", log_str("pool", pool_purpose(c->pool)), log_str("error", why));
	if (was_up && !pool_closing(c->pool))
		stats_inc(S_PG_CUTS);
	if (!pool_closing(c->pool) && !pool_is_spare(c->pool, c))
		store_trouble(pool_store(c->pool), why);
	loop_timer_set(c->timer, backoff(c));
	if (r != NULL) {
		r->status = c->wire.synced ? STORE_UNSURE : STORE_FAILED;
		r->action = ACTION_RECONNECT;
		snprintf(r->why, sizeof(r->why), "%s", why);
		pool_answer(c->pool, r);
	}
	pool_changed(c->pool);
}

/* Closes and connects again. */
static void
conn_renew(struct store_conn *c)
{
	ASSERT(c->state == CONN_IDLE);
	close_socket(c);
	set_state(c, CONN_DOWN);
	loop_timer_set(c->timer, (int64_t)((double)BACKOFF_FIRST * drand48()));
}

/* --- the machine ---------------------------------------------------------------------------------------------------- */

static void
connect_poll(struct store_conn *c)
{
	char why[256];
	PostgresPollingStatusType next;

	loop_fd_free(&c->fd); /* libpq may go on with another socket */
	next = PQconnectPoll(c->wire.pg);
	if (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		watch(c, next == PGRES_POLLING_READING ? LOOP_READ : LOOP_WRITE);
		return;
	}
	if (next != PGRES_POLLING_OK || PQsetnonblocking(c->wire.pg, 1) != 0 || !PQenterPipelineMode(c->wire.pg)) {
		hello_refusal(c->wire.pg, why, sizeof(why));
		conn_event(c, CONN_EV_LOST, why);
		return;
	}
	c->step = HELLO_SESSION;
	c->request = c->greeting = request_new(NULL, NULL);
	set_state(c, CONN_GREETING);
	greeting_send(c);
}

static void
talk(struct store_conn *c)
{
	char why[256];
	bool alive = PQconsumeInput(c->wire.pg) != 0;

	if (c->request != NULL && wire_receive(&c->wire)) {
		request_over(c);
		return;
	}
	if (alive && c->wire.flushing)
		alive = flush(c);
	if (c->request == NULL) /* a parameter that changed, a notice, last words */
		(void)PQisBusy(c->wire.pg);
	if (alive && PQstatus(c->wire.pg) != CONNECTION_BAD)
		return;
	if (c->request != NULL && c->request->why[0] != '\0')
		snprintf(why, sizeof(why), "%s", c->request->why);
	else
		first_line(PQerrorMessage(c->wire.pg), why, sizeof(why));
	conn_event(c, CONN_EV_LOST, why);
}

static void
conn_event(struct store_conn *c, enum conn_event event, const char *why)
{
	switch (event) {
	case CONN_EV_TIMER:
		if (c->state == CONN_DOWN)
			connect_begin(c);
		else if (c->state == CONN_BUSY)
			lose(c, "no answer within postgres.deadline");
		else if (c->state != CONN_IDLE)
			lose(c, "no connection within postgres.connect_timeout");
		break;
	case CONN_EV_SOCKET:
		if (c->state == CONN_CONNECTING)
			connect_poll(c);
		else if (c->state != CONN_DOWN)
			talk(c);
		break;
	case CONN_EV_REQUEST:
		ASSERT(c->state == CONN_IDLE && c->request != NULL);
		set_state(c, CONN_BUSY);
		loop_timer_set(
		    c->timer, c->request->patience > 0 ? c->request->patience : conn_conf(c)->postgres.deadline);
		send_request(c, c->request);
		break;
	case CONN_EV_LOST:
		lose(c, why);
		break;
	case CONN_EV_CLOSE:
		if (c->state != CONN_DOWN)
			lose(c, "closed");
		break;
	}
}

static void
on_socket(void *arg, int events)
{
	struct store_conn *c = arg;

	MAGIC_CHECK(c, CONN_MAGIC);
	(void)events; /* both directions are looked at: reading frees a server that waits to write */
	conn_event(c, CONN_EV_SOCKET, NULL);
}

static void
on_timer(void *arg)
{
	struct store_conn *c = arg;

	MAGIC_CHECK(c, CONN_MAGIC);
	conn_event(c, CONN_EV_TIMER, NULL);
}

void
conn_request(struct store_conn *c, struct request *r)
{
	ASSERT(c->request == NULL);
	c->request = r;
	conn_event(c, CONN_EV_REQUEST, NULL);
}

bool
conn_grown(const struct store_conn *c)
{
	return c->state == CONN_IDLE && c->wire.most > GROWN;
}

bool
conn_failed(const struct store_conn *c)
{
	return c->state == CONN_DOWN && c->failures > 0;
}

void
conn_retire(struct store_conn **c)
{
	ASSERT((*c)->state != CONN_BUSY);
	close_socket(*c);
	request_free(&(*c)->greeting);
	(*c)->request = NULL;
	set_state(*c, CONN_DOWN);
	conn_free(c);
}

void
conn_free(struct store_conn **c)
{
	conn_event(*c, CONN_EV_CLOSE, NULL);
	loop_timer_free(&(*c)->timer);
	(*c)->magic = 0;
	mem_free(c);
}
