/* store_pool.c - the queue before the connections of one purpose.
 *
 * A request waits here until a connection is idle, is sent, and is answered through its function.  One that may be repeated is sent again
 * after a lost line or an error that passes, with the same bytes unless it says otherwise, until it is known or its deadline is over; a
 * deadline that passes while waiting is FAILED, or UNSURE when an earlier try may have committed.  Nothing runs inside request_send(): the pool's timer
 * brings the next turn.  Named statements are given up for the process here when a pooler cannot have them.
 *
 * libpq keeps room for the most that a connection ever carried.  When the process comes to rest one that carried much is replaced, after
 * its successor is there.  Next: store.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "stats/stats.h"

#include "store/store_int.h"

#define POOL_MAGIC 0x5c0a9001U
#define REQUEST_MAGIC 0x5c0a4e90U
#define SWEEP (50 * CLOCK_MS) /* how often deadlines of waiting requests are looked at */
#define PAUSE (20 * CLOCK_MS) /* most before a request that met a lock is sent again */

struct store_pool {
	unsigned magic;
	struct store *store;
	const char *purpose;
	struct store_conn **conns;
	int nconns;
	struct store_conn *next; /* is being made beside the others, for the place of one of them; null: none */
	struct list queue;
	int nqueued;
	struct loop_timer *timer;
	pool_idle_fn *idle_fn;
	void *idle_arg;
	bool closing;
};

/* --- requests ----------------------------------------------------------------------------------------------------- */

struct request *
request_new(request_fn *fn, void *arg)
{
	struct request *r = mem_zalloc(sizeof(*r));

	r->magic = REQUEST_MAGIC;
	list_init(&r->node);
	r->fn = fn;
	r->arg = arg;
	r->deadline = INT64_MAX;
	return r;
}

static void
clear_results(struct request *r)
{
	int i;

	for (i = 0; i < r->nstmts; i++) {
		PQclear(r->results[i]);
		r->results[i] = NULL;
	}
}

void
request_free(struct request **r)
{
	int i;

	if (*r == NULL)
		return;
	MAGIC_CHECK(*r, REQUEST_MAGIC);
	clear_results(*r);
	for (i = 0; i < (*r)->nstmts; i++)
		stmt_free(&(*r)->stmts[i]);
	(*r)->magic = 0;
	mem_free(r);
}

void
request_clear(struct request *r)
{
	clear_results(r);
	while (r->nstmts > 0)
		stmt_free(&r->stmts[--r->nstmts]);
}

struct stmt *
request_stmt(struct request *r, enum store_sql sql)
{
	struct stmt *t = &r->stmts[r->nstmts];

	ASSERT(r->nstmts < REQUEST_STMTS);
	r->nstmts++;
	stmt_begin(t, sql);
	return t;
}

static void
enqueue(struct store_pool *p, struct request *r, bool first)
{
	MAGIC_CHECK(p, POOL_MAGIC);
	MAGIC_CHECK(r, REQUEST_MAGIC);
	ASSERT(r->nstmts > 0 && list_empty(&r->node));
	if (p->closing) { /* asked by a callback of the close itself: there is no later turn to answer in */
		request_free(&r);
		return;
	}
	if (first)
		list_unshift(&p->queue, &r->node);
	else
		list_push(&p->queue, &r->node);
	p->nqueued++;
	r->pool = p;
	if (r->queued_at == 0)
		r->queued_at = clock_now();
	loop_timer_set(p->timer, 0);
}

void
request_send(struct store_pool *p, struct request *r)
{
	enqueue(p, r, false);
}

void
request_send_first(struct store_pool *p, struct request *r)
{
	enqueue(p, r, true);
}

bool
request_waits(const struct request *r)
{
	return !list_empty(&r->node);
}

static void
dequeue(struct store_pool *p, struct request *r)
{
	list_remove(&r->node);
	p->nqueued--;
}

/* --- answers ------------------------------------------------------------------------------------------------------- */

static void
tell(struct request *r)
{
	if (r->status != STORE_OK && r->uncertain && r->status != STORE_UNSURE)
		r->status = STORE_UNSURE;
	r->fn(r);
}

/* Whether the pool itself sends it again. */
static bool
again(const struct store_pool *p, const struct request *r)
{
	bool passes = r->action == ACTION_RESEND || r->action == ACTION_RECONNECT || r->action == ACTION_REPREPARE;

	/* the first try may still be running there and hold what this one wants */
	if (r->uncertain && store_error_is_lock(r->sqlstate) && (r->locks_most == 0 || r->locks < r->locks_most))
		passes = true;
	if (p->closing || clock_now() >= r->deadline)
		return false;
	if (r->action == ACTION_REPREPARE && r->status == STORE_REFUSED)
		return r->tries < 5; /* nothing happened, and the reason is ours */
	return r->repeat && passes;
}

/* Before another try: false when there is none. */
static bool
in_doubt(struct request *r)
{
	return r->status != STORE_UNSURE || r->doubt_fn == NULL || r->doubt_fn(r);
}

void
pool_answer(struct store_pool *p, struct request *r)
{
	if (r->status == STORE_REFUSED && r->action == ACTION_REPREPARE && !p->store->unnamed &&
	    (r->sqlstate[0] != '0' || p->store->server.pooled)) { /* a pooler keeps a plan that is out of date */
		log_notice(
		    "named statements do not work through this pooler, going on without", log_str("error", r->why));
		p->store->unnamed = true;
	}
	r->tries++;
	r->locks += store_error_is_lock(r->sqlstate);
	if (r->status == STORE_UNSURE)
		r->uncertain = true;
	if (!again(p, r) || !in_doubt(r)) {
		tell(r);
		return;
	}
	log_debug("sending again", log_str("statement", store_sql_texts[r->stmts[0].sql].name),
	    log_int("tries", r->tries), log_str("error", r->why));
	clear_results(r);
	r->not_before = r->action == ACTION_RESEND || r->action == ACTION_SPLIT
			    ? clock_now() + (int64_t)((double)PAUSE * drand48())
			    : 0;
	enqueue(p, r, true);
}

/* --- the queue --------------------------------------------------------------------------------------------------- */

static struct store_conn *
idle_conn(const struct store_pool *p)
{
	int i;

	for (i = 0; i < p->nconns; i++)
		if (conn_state(p->conns[i]) == CONN_IDLE)
			return p->conns[i];
	return NULL;
}

static void
expire(struct store_pool *p, struct request *r)
{
	dequeue(p, r);
	r->status = r->uncertain ? STORE_UNSURE : STORE_FAILED;
	r->action = ACTION_RECONNECT;
	snprintf(r->why, sizeof(r->why), "%s",
	    p->store->trouble[0] != '\0' ? p->store->trouble : "no connection was free in time");
	tell(r);
}

/* Reads wait behind each other only, so their waits tell when they need more connections. */
static void
count_wait(const struct store_pool *p, double seconds)
{
	stats_observe(H_PG_WAIT_SECONDS, seconds);
	if (p == p->store->read_pool)
		stats_observe(H_PG_READ_WAIT_SECONDS, seconds);
}

/* --- renewal -------------------------------------------------------------------------------------------------------- */

void
pool_rest(struct store_pool *p)
{
	for (int i = 0; p != NULL && !p->closing && p->next == NULL && i < p->nconns; i++)
		if (conn_grown(p->conns[i])) {
			p->next = conn_new(p, i);
			conn_start(p->next);
		}
}

/* Whose place a new one takes: of what has grown, or is not there. */
static struct store_conn **
old_conn(struct store_pool *p)
{
	struct store_conn **lost = NULL;

	for (int i = 0; i < p->nconns; i++) {
		enum conn_state state = conn_state(p->conns[i]);

		if (conn_grown(p->conns[i]))
			return &p->conns[i];
		if (state != CONN_IDLE && state != CONN_BUSY)
			lost = &p->conns[i];
	}
	return lost;
}

bool
pool_is_spare(const struct store_pool *p, const struct store_conn *c)
{
	return p->next == c;
}

/* The new connection takes the place of one that has grown, or is not there, so that there is always one; when work has come back meanwhile, or it cannot be
 * made, all stays as it is. */
static void
renew(struct store_pool *p)
{
	struct store_conn **old;

	if (conn_failed(p->next))
		conn_free(&p->next);
	if (p->next == NULL || conn_state(p->next) != CONN_IDLE)
		return;
	old = old_conn(p);
	if (old != NULL) {
		conn_retire(old);
		*old = p->next;
		p->next = NULL;
		pool_rest(p);
	} else {
		conn_retire(&p->next);
	}
	if (p->next == NULL)
		mem_trim();
}

/* --- the turn of a pool ---------------------------------------------------------------------------------------------- */

/* Sends what may go and expires what is late; sets the timer while something waits. */
static void
pool_run(void *arg)
{
	struct store_pool *p = arg;
	struct list *pos, *tmp;
	int64_t now = clock_now();
	int64_t next = SWEEP;
	struct store_conn *c;
	struct request *r;

	MAGIC_CHECK(p, POOL_MAGIC);
	if (p->next != NULL)
		renew(p);
	LIST_FOREACH_SAFE (pos, tmp, &p->queue) {
		r = container_of(pos, struct request, node);
		if (r->deadline <= now) {
			expire(p, r);
		} else if (r->not_before > now) {
			if (r->not_before - now < next)
				next = r->not_before - now;
		} else if ((c = idle_conn(p)) != NULL) {
			dequeue(p, r);
			count_wait(p, (double)(now - r->queued_at) / 1e6);
			conn_request(c, r);
		}
	}
	if (p->nqueued > 0 && !loop_timer_is_set(p->timer))
		loop_timer_set(p->timer, next);
	if (p->nqueued == 0 && p->idle_fn != NULL && idle_conn(p) != NULL)
		p->idle_fn(p->idle_arg);
}

void
pool_changed(struct store_pool *p)
{
	bool waits = p->nqueued > 0 || p->idle_fn != NULL;

	if (!p->closing && (p->next != NULL || (waits && idle_conn(p) != NULL)))
		loop_timer_set(p->timer, 0);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

struct store_pool *
pool_new(struct store *s, const char *purpose, int connections)
{
	struct store_pool *p;
	int i;

	if (connections == 0)
		return NULL;
	p = mem_zalloc(sizeof(*p));
	p->magic = POOL_MAGIC;
	p->store = s;
	p->purpose = purpose;
	list_init(&p->queue);
	p->timer = loop_timer_new(s->o.loop, pool_run, p);
	p->nconns = connections;
	p->conns = mem_zalloc(sizeof(struct store_conn *) * (size_t)connections);
	for (i = 0; i < connections; i++) {
		p->conns[i] = conn_new(p, i);
		conn_start(p->conns[i]);
	}
	return p;
}

void
pool_close(struct store_pool *p)
{
	struct list *node;
	int i;

	if (p == NULL)
		return;
	p->closing = true;
	for (i = 0; i < p->nconns; i++)
		conn_free(&p->conns[i]);
	p->nconns = 0;
	if (p->next != NULL)
		conn_free(&p->next);
	while ((node = list_first(&p->queue)) != NULL)
		expire(p, container_of(node, struct request, node));
	loop_timer_clear(p->timer);
}

void
pool_free(struct store_pool **p)
{
	if (*p == NULL)
		return;
	ASSERT((*p)->closing && (*p)->nqueued == 0);
	loop_timer_free(&(*p)->timer);
	mem_free(&(*p)->conns);
	(*p)->magic = 0;
	mem_free(p);
}

struct store *
pool_store(const struct store_pool *p)
{
	return p->store;
}

const char *
pool_purpose(const struct store_pool *p)
{
	return p->purpose;
}

int
pool_idle(const struct store_pool *p)
{
	int64_t now = p->nqueued > 0 ? clock_now() : 0;
	struct list *pos, *tmp;
	int i, n = 0;

	for (i = 0; i < p->nconns; i++)
		n += conn_state(p->conns[i]) == CONN_IDLE;
	LIST_FOREACH_SAFE (pos, tmp, &p->queue) /* one that pauses leaves its connection to others */
		n -= container_of(pos, struct request, node)->not_before <= now;
	return n;
}

int
pool_up(const struct store_pool *p)
{
	int i, n = 0;

	for (i = 0; i < p->nconns; i++)
		n += conn_state(p->conns[i]) == CONN_IDLE || conn_state(p->conns[i]) == CONN_BUSY;
	return n;
}

bool
pool_closing(const struct store_pool *p)
{
	return p->closing;
}

void
pool_on_idle(struct store_pool *p, pool_idle_fn *fn, void *arg)
{
	p->idle_fn = fn;
	p->idle_arg = arg;
}
