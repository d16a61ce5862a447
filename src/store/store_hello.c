/* store_hello.c - what is said on a new connection before the first request.
 *
 * Keywords for libpq that the configured string may override, the settings of the session, and what the server tells: its version,
 * whether it is set to lie about durability, its clock, the schema, its identity.  Three round trips, each a request of its own, because
 * an error in one (no schema yet, a function that is forbidden) must not undo the others.  Behind a pooler the settings go before each
 * transaction, and tell whether it is still the same server.  Logs when it is not.  Next: store_conn.c.
 */
#include <stdio.h>
#include <string.h>

#include "log/log.h"

#include "store/store_int.h"

/* The values that libpq falls back to come first, what nobody may change comes after the configured string. */
PGconn *
hello_connect_start(const struct store *s, const char *purpose)
{
	char name[64], user_timeout[24];
	const char *keys[] = { "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "target_session_attrs", "dbname", "client_encoding", NULL };
	const char *values[] = { name, "1", "10", "5", "3", user_timeout, "read-write", s->o.conf->postgres.conninfo,
		"UTF8", NULL };
	PGconn *pg;

	snprintf(name, sizeof(name), "taskqd %s", purpose);
	snprintf(user_timeout, sizeof(user_timeout), "%lld", (long long)(s->o.conf->postgres.deadline / CLOCK_MS));
	pg = PQconnectStartParams(keys, values, 1);
	ASSERT(pg != NULL);
	return pg;
}

/* Before libpq has met a server its words quote the connection string, also what it took for a host because a password holds an "@";
 * of those only the kind is passed on. */
void
hello_refusal(const PGconn *pg, char *why, size_t size)
{
	const char *text = PQerrorMessage(pg);
	const char *about = strstr(text, " to address: ");

	if (text[0] == '\0')
		snprintf(why, size, "connection lost");
	else if (strncmp(text, "connection to server ", 21) == 0 || strncmp(text, "server closed", 13) == 0)
		snprintf(why, size, "%.*s", (int)strcspn(text, "\n"), text);
	else if (strncmp(text, "could not translate host name ", 30) == 0 && about != NULL)
		snprintf(why, size, "could not find the host of postgres.conninfo: %.*s",
		    (int)strcspn(about + 13, "\n"), about + 13);
	else
		snprintf(why, size, "postgres.conninfo cannot be used, expected a libpq connection string");
}

/* pid: of the server, as the greeting of the line told it.  A pooler makes one up; 0 is nobody's. */
static void
bind_session(struct stmt *t, const struct store *s, const char *purpose, int pid)
{
	bool vacuum = strcmp(purpose, STORE_VACUUM_POOL) == 0;

	stmt_int8(t, (vacuum ? STORE_VACUUM_MOST : s->o.conf->postgres.statement_timeout) / CLOCK_MS);
	stmt_int8(t, s->o.conf->postgres.lock_timeout / CLOCK_MS);
	stmt_int4(t, pid);
}

void
hello_settle(struct wire *w, const struct store *s, const char *purpose, const struct store_server *v)
{
	if (!v->pooled || w->pooled)
		return;
	stmt_begin(&w->settings, SQL_SESSION);
	bind_session(&w->settings, s, purpose, 0);
	w->pooled = true;
}

bool
hello_elsewhere(struct store *s, struct store_server *v, const struct wire *w)
{
	if (!w->pooled || w->started == 0 || v->epoch.system == 0 || w->started == v->epoch.started_at)
		return false;
	v->epoch = (struct store_epoch){ 0 };
	if (w->started == s->server.epoch.started_at || s->elsewhere)
		return true;
	s->elsewhere = true;
	log_notice("the pooler leads to a server that was started anew: what is remembered of it is learned again");
	return true;
}

void
hello_ask(struct request *r, const struct store *s, const char *purpose, enum hello_step step, PGconn *pg)
{
	if (step == HELLO_SESSION) {
		bind_session(request_stmt(r, SQL_SESSION), s, purpose, PQbackendPID(pg));
		(void)request_stmt(r, SQL_HELLO);
	} else if (step == HELLO_SCHEMA)
		(void)request_stmt(r, SQL_HELLO_SCHEMA);
	else
		(void)request_stmt(r, SQL_HELLO_SYSTEM);
}

void
hello_ask_again(struct request *r, const struct store *s)
{
	(void)request_stmt(r, SQL_HELLO);
	(void)request_stmt(r, SQL_HELLO_SCHEMA);
	if (s->server.epoch.system != 0)
		(void)request_stmt(r, SQL_HELLO_SYSTEM);
}

void
hello_clock(struct store_server *v, int64_t clock, const struct hello_time *when)
{
	v->clock = clock - (when->sent + when->answered) / 2;
	v->clock_within = (when->answered - when->sent) / 2;
}

static void
read_facts(const PGresult *res, struct store_server *v, const struct hello_time *when)
{
	struct span database;

	ASSERT(PQntuples(res) == 1);
	v->version = (int)col_int(res, 0, SQL_HELLO_VERSION);
	v->fsync = col_bool(res, 0, SQL_HELLO_FSYNC);
	v->full_page_writes = col_bool(res, 0, SQL_HELLO_FULL_PAGE_WRITES);
	v->synchronous_commit = col_bool(res, 0, SQL_HELLO_SYNCHRONOUS_COMMIT);
	hello_clock(v, col_time(res, 0, SQL_HELLO_CLOCK), when);
	database = col_span(res, 0, SQL_HELLO_DATABASE);
	snprintf(v->database, sizeof(v->database), "%.*s", (int)database.len, database.ptr);
}

static void
read_schema(const PGresult *res, struct store_server *v)
{
	v->schema = (int)col_int(res, 0, SQL_HELLO_SCHEMA_VERSION);
	v->days_ahead = (int)col_int(res, 0, SQL_HELLO_SCHEMA_DAYS_AHEAD);
}

static void
read_epoch(const PGresult *res, struct store_server *v)
{
	struct span key = col_span(res, 0, SQL_HELLO_SYSTEM_CACHE_KEY);

	v->epoch = (struct store_epoch){ 0 };
	if (key.len != sizeof(v->epoch.cache_key))
		return;
	v->epoch.system = col_int(res, 0, SQL_HELLO_SYSTEM_SYSTEM);
	v->epoch.timeline = col_int(res, 0, SQL_HELLO_SYSTEM_TIMELINE);
	v->epoch.started_at = col_time(res, 0, SQL_HELLO_SYSTEM_STARTED);
	memcpy(v->epoch.cache_key, key.ptr, sizeof(v->epoch.cache_key));
}

void
hello_take_again(const struct request *r, struct store_server *v, const struct hello_time *when)
{
	read_facts(r->results[0], v, when);
	read_schema(r->results[1], v);
	if (r->nstmts > 2)
		read_epoch(r->results[2], v);
}

static bool
take_session(const struct request *r, struct store_server *v, struct hello_time *when, char *why, size_t size)
{
	const PGresult *res = r->results[1];

	if (r->status != STORE_OK) {
		snprintf(why, size, "%s", r->why);
		return false;
	}
	v->pooled = col_bool(r->results[0], 0, SQL_SESSION_POOLED);
	read_facts(res, v, when);
	if (v->version < STORE_SERVER_MIN) {
		snprintf(why, size, "postgres is version %d, this program needs %d", v->version / 10000,
		    STORE_SERVER_MIN / 10000);
		return false;
	}
	if (col_bool(res, 0, SQL_HELLO_STANDBY)) {
		snprintf(why, size, "postgres is a standby");
		return false;
	}
	return true;
}

static bool
take_schema(const struct request *r, struct store_server *v, char *why, size_t size)
{
	if (r->status == STORE_REFUSED && (strcmp(r->sqlstate, "42P01") == 0 || strcmp(r->sqlstate, "3F000") == 0)) {
		snprintf(why, size, "database \"%s\" has no taskq schema, run taskqd --migrate", v->database);
		return false;
	}
	if (r->status != STORE_OK) {
		snprintf(why, size, "%s", r->why);
		return false;
	}
	read_schema(r->results[0], v);
	if (v->schema != SQL_SCHEMA_VERSION) {
		snprintf(why, size, "schema is version %d, this program needs %d", v->schema, SQL_SCHEMA_VERSION);
		return false;
	}
	return true;
}

bool
hello_take(const struct request *r, enum hello_step step, struct store_server *v, struct hello_time *when, char *why,
    size_t size)
{
	if (step == HELLO_SESSION)
		return take_session(r, v, when, why, size);
	if (step == HELLO_SCHEMA)
		return take_schema(r, v, why, size);
	if (r->status == STORE_OK)
		read_epoch(r->results[0], v);
	return true;
}

bool
store_conninfo_good(const char *conninfo)
{
	PQconninfoOption *parts = PQconninfoParse(conninfo, NULL);

	PQconninfoFree(parts);
	return parts != NULL;
}
