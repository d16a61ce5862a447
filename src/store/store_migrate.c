/* store_migrate.c - the schema, from whatever version to this program's; synchronous, for taskqd --migrate only.
 *
 * Each migration is one transaction: lock, look again how far we are, apply, note.  The lock is held to the end of the
 * transaction, so two nodes that start at once take turns, and the second finds nothing to do.  Making the schema and the table of
 * migrations comes before there is anything to lock, and two makers can collide there: that passes and is tried again.  A schema from
 * the future is refused.  Logs every migration applied and why it stopped.  Next: sql/schema.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "log/log.h"

#include "store/store_int.h"

#define TRIES 10
#define FUTURE (-2)
#define BROKEN (-1)

/* One statement from sql/queries with text parameters.  The result, or null after logging. */
static PGresult *
run(PGconn *pg, enum store_sql sql, const char *const *values)
{
	const struct store_sql_text *t = &store_sql_texts[sql];
	PGresult *res = PQexecParams(pg, t->text, t->nparams, t->types, values, NULL, NULL, 1);
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return res;
	log_debug("migration statement failed", log_str("statement", t->name), log_str("error", PQerrorMessage(pg)));
	PQclear(res);
	return NULL;
}

static bool
run_only(PGconn *pg, enum store_sql sql, const char *const *values)
{
	PGresult *res = run(pg, sql, values);

	PQclear(res);
	return res != NULL;
}

/* How far the schema is. */
static int
version_read(PGconn *pg)
{
	PGresult *res = run(pg, SQL_HELLO_SCHEMA, NULL);
	int version = BROKEN;

	if (res != NULL)
		version = (int)col_int(res, 0, SQL_HELLO_SCHEMA_VERSION);
	PQclear(res);
	return version;
}

/* Two that make the same name at once: one of them gets a unique violation instead of a notice. */
static bool
make_ground(PGconn *pg)
{
	int i;

	for (i = 0; i < TRIES; i++) {
		if (run_only(pg, SQL_MIGRATE_SCHEMA, NULL) && run_only(pg, SQL_MIGRATE_TABLE, NULL))
			return true;
		if (PQstatus(pg) != CONNECTION_OK)
			return false;
		(void)poll(NULL, 0, 20 * (i + 1));
	}
	return false;
}

static bool
apply(PGconn *pg, const struct store_sql_migration *m)
{
	char number[16];
	const char *values[] = { number, m->name };
	PGresult *res = PQexec(pg, m->text);
	bool good = PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;

	PQclear(res);
	snprintf(number, sizeof(number), "%d", m->number);
	return good && run_only(pg, SQL_MIGRATE_ADD, values);
}

/* One step in one transaction.  The version that it left, BROKEN with the reason logged, or FUTURE. */
static int
step(PGconn *pg)
{
	const struct store_sql_migration *m = NULL;
	int version = BROKEN;

	if (run_only(pg, SQL_MIGRATE_BEGIN, NULL) && run_only(pg, SQL_MIGRATE_LOCK, NULL))
		version = version_read(pg);
	if (version > SQL_SCHEMA_VERSION) {
		log_error("the schema is newer than this program", log_int("schema", version),
		    log_int("program", SQL_SCHEMA_VERSION));
		return FUTURE;
	}
	if (version >= 0 && version < SQL_SCHEMA_VERSION)
		m = &store_sql_migrations[version];
	if (version >= 0 && (m == NULL || apply(pg, m)) && run_only(pg, SQL_MIGRATE_COMMIT, NULL)) {
		if (m != NULL)
			log_notice("migration applied", log_int("number", m->number), log_str("name", m->name));
		return m != NULL ? m->number : version;
	}
	log_error("could not apply a migration", log_int("number", m != NULL ? m->number : 0),
	    log_str("error", PQerrorMessage(pg)));
	(void)run_only(pg, SQL_MIGRATE_ROLLBACK, NULL);
	return BROKEN;
}

static void
quiet(void *arg, const PGresult *res)
{
	(void)arg;
	log_debug("postgres says", log_str("notice", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)));
}

static PGconn *
connect_now(const struct conf *c)
{
	char timeout[16];
	const char *keys[] = { "connect_timeout", "fallback_application_name", "target_session_attrs", "dbname",
		"client_encoding", NULL };
	const char *values[] = { timeout, "taskqd migrate", "read-write", c->postgres.conninfo, "UTF8", NULL };

	snprintf(
	    timeout, sizeof(timeout), "%d", (int)((c->postgres.connect_timeout + CLOCK_SECOND - 1) / CLOCK_SECOND));
	return PQconnectdbParams(keys, values, 1);
}

int
store_migrate(const struct conf *c)
{
	PGconn *pg = connect_now(c);
	int version = 0;
	char why[256];

	PQsetNoticeReceiver(pg, quiet, NULL);
	if (PQstatus(pg) != CONNECTION_OK) {
		hello_refusal(pg, why, sizeof(why));
		log_error("could not connect to the database", log_str("error", why));
		PQfinish(pg);
		return EX_UNAVAILABLE;
	}
	if (!make_ground(pg)) {
		log_error("could not prepare the database", log_str("error", PQerrorMessage(pg)));
		PQfinish(pg);
		return EX_UNAVAILABLE;
	}
	while (version >= 0 && version < SQL_SCHEMA_VERSION)
		version = step(pg);
	PQfinish(pg);
	if (version >= 0)
		return 0;
	return version == FUTURE ? EX_CONFIG : EX_UNAVAILABLE;
}
