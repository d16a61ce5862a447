/* store_upkeep.c - what keeps dead rows: a transaction that stays open, and an autovacuum that does not come.
 *
 * A row that died is walked over by claims and looks until vacuum takes it away, and vacuum takes nothing that the oldest xmin may still see.  The
 * holder is named when he has held it for long.  How long is what the server tells, or, where it tells nothing (a slot, a standby, a role without
 * pg_monitor), since we saw the same xmin first.
 *
 * A table is late when every look for postgres.vacuum_late found more than twice what autovacuum leaves.  Its VACUUM must not stop the duties, so it runs
 * on a connection that is opened for it (a pool of one), one table after another; a table that somebody holds is passed over, also one that the
 * keeper of another node vacuums.  When one fails the others wait, too.  What is as bad afterwards waits twice as long.  Logs the holder, and vacuums begun or failed.
 */
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "stats/stats.h"

#include "store/store_int.h"
#include "store/store_upkeep.h"

#define UPKEEP_MAGIC 0x5c0a0bebU
#define LOOK_EVERY (60 * CLOCK_SECOND)
#define LOOK_LEAST CLOCK_SECOND
#define TELL_AGAIN (60 * 60 * CLOCK_SECOND)
#define WAIT_MOST (60 * 60 * CLOCK_SECOND) /* after vacuums that were of no use */

static const struct {
	const char *name;
	enum store_sql vacuum;
} tables[] = {
	{ "ready", SQL_VACUUM_READY },
	{ "lease", SQL_VACUUM_LEASE },
	{ "worker", SQL_VACUUM_WORKER },
	{ "waiting", SQL_VACUUM_WAITING },
	{ "idem", SQL_VACUUM_IDEM },
	{ "uniq", SQL_VACUUM_UNIQ },
	{ "progress", SQL_VACUUM_PROGRESS },
	{ "expiry", SQL_VACUUM_EXPIRY },
	{ "cause", SQL_VACUUM_CAUSE },
	{ "cause_delta", SQL_VACUUM_CAUSE_DELTA },
};

struct table {
	int64_t bad_since; /* clock_now(): the first look that found it so, and all since; 0: it is not */
	int64_t wait;      /* until the next vacuum of it; 0: postgres.vacuum_late */
	bool due;
};

/* Who is known by these is the same one. */
struct holder {
	char what[24];
	int64_t pid, xmin; /* pid: 0 of a slot, whose users come and go */
};

struct upkeep {
	unsigned magic;
	struct store *store;
	store_count_fn *fn;
	void *arg;
	struct table tables[ARRAY_LEN(tables)];
	struct store_pool *pool; /* null: nothing is vacuumed now */
	struct loop_timer *timer;
	int doing;      /* the table that is being vacuumed, since then; -1: none */
	int64_t began;  /* clock_now() */
	bool forbidden; /* that was said */
	struct holder holder;
	int64_t seen_at; /* clock_now(): the holder and his xmin, first */
	int64_t told_at; /* 0: not told */
};

static void vacuum_next(struct upkeep *u);

/* --- who holds the oldest xmin -------------------------------------------------------------------------------------------------- */

static bool
holder_same(const struct holder *a, const struct holder *b)
{
	return strcmp(a->what, b->what) == 0 && a->pid == b->pid && a->xmin == b->xmin;
}

static void
holder_ended(struct upkeep *u)
{
	if (u->told_at != 0)
		log_notice("who held the oldest xmin holds it no more", log_str("what", u->holder.what));
	u->told_at = 0;
	u->seen_at = clock_now();
}

static void
holder_tell(struct upkeep *u, const PGresult *res, int64_t age)
{
	bool hides = col_bool(res, 0, SQL_UPKEEP_HIDES);

	u->told_at = clock_now();
	log_warning("the oldest xmin is held for long: no vacuum removes rows that died since",
	    log_str("what", u->holder.what), log_seconds("age", age),
	    log_span("name", col_span(res, 0, SQL_UPKEEP_NAME)), log_int("holder_pid", col_int(res, 0, SQL_UPKEEP_PID)),
	    log_span("user", col_span(res, 0, SQL_UPKEEP_USR)),
	    log_span("application", col_span(res, 0, SQL_UPKEEP_APP)),
	    log_span("client", col_span(res, 0, SQL_UPKEEP_CLIENT)),
	    log_span("state", col_span(res, 0, SQL_UPKEEP_STATE)),
	    log_str("hint", hides ? "to see all of it grant pg_monitor to the role of postgres.conninfo" : NULL));
}

static void
holder_look(struct upkeep *u, const PGresult *res)
{
	struct span what = col_span(res, 0, SQL_UPKEEP_WHAT);
	struct holder h = { .xmin = col_int(res, 0, SQL_UPKEEP_XMIN) };
	int64_t now = clock_now(), age = col_int(res, 0, SQL_UPKEEP_AGE);

	snprintf(h.what, sizeof(h.what), "%.*s", (int)what.len, what.len > 0 ? what.ptr : "");
	if (col_null(res, 0, SQL_UPKEEP_NAME))
		h.pid = col_int(res, 0, SQL_UPKEEP_PID);
	if (!holder_same(&h, &u->holder))
		holder_ended(u);
	u->holder = h;
	if (age < now - u->seen_at)
		age = now - u->seen_at;
	stats_set(S_XMIN_OLDEST, what.len == 0 ? 0 : age / CLOCK_SECOND);
	if (what.len == 0 || age < u->store->o.conf->postgres.xmin_warn)
		return;
	if (u->told_at == 0 || now - u->told_at >= TELL_AGAIN)
		holder_tell(u, res, age);
}

/* --- vacuum ---------------------------------------------------------------------------------------------------------------------- */

/* A pool cannot end inside the answer of its own request. */
static void
on_timer(void *arg)
{
	struct upkeep *u = arg;

	MAGIC_CHECK(u, UPKEEP_MAGIC);
	pool_close(u->pool);
	pool_free(&u->pool);
}

/* By somebody, not by itself nor by its time. */
static bool
was_ended(const struct upkeep *u, const struct request *r)
{
	return strcmp(r->sqlstate, "57014") == 0 && clock_now() - u->began < STORE_VACUUM_MOST;
}

/* Who ended one vacuum, as a migration does, waits for no other either: each comes again when it is its time.  How many. */
static int
put_off(struct upkeep *u)
{
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		n += u->tables[i].due;
		u->tables[i].due = false;
	}
	return n;
}

static void
on_vacuumed(struct request *r)
{
	struct upkeep *u = r->arg;
	int others = 0;

	MAGIC_CHECK(u, UPKEEP_MAGIC);
	if (r->status == STORE_OK)
		stats_inc(S_VACUUMS);
	else if (was_ended(u, r))
		others = put_off(u);
	if (r->status != STORE_OK && !pool_closing(u->pool))
		log_warning("could not vacuum a table", log_str("table", tables[u->doing].name),
		    log_str("error", r->why), log_int("put_off", others));
	u->doing = -1;
	request_free(&r);
	if (!pool_closing(u->pool))
		vacuum_next(u);
}

static void
vacuum_begin(struct upkeep *u, int place)
{
	struct request *r = request_new(on_vacuumed, u);

	u->doing = place;
	u->began = clock_now();
	u->tables[place].due = false;
	r->deadline = clock_now() + u->store->o.conf->postgres.deadline; /* to be sent */
	r->alone = true;
	r->patience = STORE_VACUUM_MOST + u->store->o.conf->postgres.deadline;
	(void)request_stmt(r, tables[place].vacuum);
	if (u->pool == NULL)
		u->pool = pool_new(u->store, STORE_VACUUM_POOL, 1);
	request_send(u->pool, r);
}

static void
vacuum_next(struct upkeep *u)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (u->tables[i].due) {
			vacuum_begin(u, (int)i);
			return;
		}
	loop_timer_set(u->timer, 0);
}

static void
forbidden_tell(struct upkeep *u, const PGresult *res, const char *table)
{
	if (!u->forbidden)
		log_warning("autovacuum does not come, and the role of postgres.conninfo may not vacuum in its place: "
			    "let it own the tables "
			    "or, from Postgres 17 on, grant it maintain",
		    log_str("table", table), log_span("role", col_span(res, 0, SQL_UPKEEP_ROLE)));
	u->forbidden = true;
}

/* True: it is vacuumed now. */
static bool
table_late(struct upkeep *u, const PGresult *res, int row, int place)
{
	struct table *t = &u->tables[place];
	int64_t late = u->store->o.conf->postgres.vacuum_late, now = clock_now();

	if (t->bad_since == 0)
		t->bad_since = now;
	if (late == 0 || u->pool != NULL || now - t->bad_since < (t->wait > 0 ? t->wait : late))
		return false;
	if (!col_bool(res, row, SQL_UPKEEP_MAY)) {
		forbidden_tell(u, res, tables[place].name);
		return false;
	}
	log_notice("autovacuum does not come: a table is vacuumed", log_str("table", tables[place].name),
	    log_int("dead_rows", col_int(res, row, SQL_UPKEEP_DEAD)));
	t->wait = (t->wait > 0 ? t->wait : late) * 2;
	t->wait = t->wait < WAIT_MOST ? t->wait : WAIT_MOST;
	t->bad_since = now;
	t->due = true;
	return true;
}

static int
tables_look(struct upkeep *u, const PGresult *res)
{
	bool bad[ARRAY_LEN(tables)] = { false };
	int n = 0, place;

	for (int row = 0; row < PQntuples(res); row++) {
		if (col_null(res, row, SQL_UPKEEP_PLACE))
			continue;
		place = (int)col_int(res, row, SQL_UPKEEP_PLACE) - 1;
		bad[place] = true;
		n += table_late(u, res, row, place);
	}
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (!bad[i] && u->doing != (int)i)
			u->tables[i].bad_since = u->tables[i].wait = 0;
	if (n > 0)
		vacuum_next(u);
	return n;
}

/* --- the look ---------------------------------------------------------------------------------------------------------------------- */

/* Often enough for what is configured, and seldom enough for a node at rest. */
static int64_t
look_again(const struct store *s)
{
	int64_t every = s->o.conf->postgres.xmin_warn / 2, late = s->o.conf->postgres.vacuum_late / 2;

	if (late > 0 && late < every)
		every = late;
	if (every < LOOK_LEAST)
		every = LOOK_LEAST;
	return every < LOOK_EVERY ? every : LOOK_EVERY;
}

static void
on_look(struct request *r)
{
	struct upkeep *u = r->arg;
	int64_t n = 0;

	MAGIC_CHECK(u, UPKEEP_MAGIC);
	if (r->status == STORE_OK) {
		holder_look(u, r->results[0]);
		n = tables_look(u, r->results[0]);
	}
	u->fn(u->arg, r->status, n, look_again(u->store));
	request_free(&r);
}

void
store_upkeep(struct store *s, store_count_fn *fn, void *arg)
{
	struct upkeep *u = s->upkeep;
	struct request *r = read_request(s, on_look, u);
	struct stmt *t = request_stmt(r, SQL_UPKEEP);

	u->fn = fn;
	u->arg = arg;
	stmt_array(t);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		stmt_text(t, span_of(tables[i].name));
	stmt_array_end(t);
	request_send(keep_pool(s), r);
}

/* --- life -------------------------------------------------------------------------------------------------------------------------- */

struct upkeep *
upkeep_new(struct store *s)
{
	struct upkeep *u = mem_zalloc(sizeof(*u));

	u->magic = UPKEEP_MAGIC;
	u->store = s;
	u->doing = -1;
	u->timer = loop_timer_new(s->o.loop, on_timer, u);
	return u;
}

void
upkeep_free(struct upkeep **up)
{
	struct upkeep *u = *up;

	if (u == NULL)
		return;
	pool_close(u->pool);
	pool_free(&u->pool);
	loop_timer_free(&u->timer);
	u->magic = 0;
	mem_free(up);
}
