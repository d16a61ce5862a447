/* store_wire.c - a request into libpq's pipeline, its answers out of it.
 *
 * Statements travel before one Sync, behind a pooler after the settings of the session.  Their answers come in the same order: for each a
 * result and a null, at the end the Sync's own.  An error skips what follows it, up to the Sync.  Statements are prepared by name when the
 * connection first needs them; what the server refused to prepare is not counted as prepared.  Moves bytes and knows nothing of states.
 * Next: store_conn.c.
 */
#include <stdio.h>
#include <string.h>

#include "store/store_int.h"

void
wire_begin(struct wire *w, PGconn *pg)
{
	*w = (struct wire){ .pg = pg };
}

void
wire_end(struct wire *w)
{
	PQfinish(w->pg);
	w->pg = NULL;
	w->flushing = w->pooled = false;
	stmt_free(&w->settings);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void
expect(struct wire *w, bool prepare, int stmt)
{
	ASSERT((size_t)w->nexpected < ARRAY_LEN(w->expected));
	w->expected[w->nexpected++] = (struct expected){ prepare, stmt };
}

/* Puts one statement into the pipeline. */
static bool
stmt_send(struct wire *w, const struct stmt *t, int index, bool named)
{
	const struct store_sql_text *text = &store_sql_texts[t->sql];
	const char *values[SQL_PARAMS_MAX];
	int formats[SQL_PARAMS_MAX];
	int i;

	ASSERT(stmt_is_whole(t));
	for (i = 0; i < t->nparams; i++) {
		/* an empty value is not null: it needs an address */
		values[i] = t->at[i] < 0 ? NULL : t->bytes.data == NULL ? "" : t->bytes.data + t->at[i];
		formats[i] = 1;
	}
	if (named && !w->prepared[t->sql]) {
		if (!PQsendPrepare(w->pg, text->prepared, text->text, text->nparams, text->types))
			return false;
		expect(w, true, index);
		w->prepared[t->sql] = true; /* taken back when the server refuses */
	}
	expect(w, false, index);
	if (named)
		return PQsendQueryPrepared(w->pg, text->prepared, t->nparams, values, t->len, formats, 1) != 0;
	return PQsendQueryParams(w->pg, text->text, t->nparams, text->types, values, t->len, formats, 1) != 0;
}

static void
note_bytes(struct wire *w, size_t bytes)
{
	if (bytes > w->most)
		w->most = bytes;
}

bool
wire_flush(struct wire *w)
{
	int left = PQflush(w->pg);

	w->flushing = left == 1;
	return left >= 0;
}

bool
wire_send(struct wire *w, struct request *r, bool named)
{
	int i;

	size_t bytes = 0;

	w->request = r;
	w->nexpected = w->next_expected = 0;
	w->synced = w->in_doubt = false;
	r->status = STORE_OK;
	r->action = ACTION_NONE;
	r->sqlstate[0] = r->why[0] = '\0';
	if (w->pooled && !r->alone && !stmt_send(w, &w->settings, WIRE_SETTINGS, named))
		return false;
	for (i = 0; i < r->nstmts; i++) {
		bytes += r->stmts[i].bytes.len;
		if (!stmt_send(w, &r->stmts[i], i, named))
			return false;
	}
	note_bytes(w, bytes);
	if (!PQpipelineSync(w->pg))
		return false;
	w->synced = true;
	return wire_flush(w);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static const struct stmt *
expected_stmt(const struct wire *w, const struct expected *e)
{
	return e->stmt == WIRE_SETTINGS ? &w->settings : &w->request->stmts[e->stmt];
}

/* What was to be prepared has not been: an error, or skipped after one of an earlier statement. */
static void
note_unprepared(struct wire *w)
{
	const struct expected *e = &w->expected[w->next_expected];

	if (w->next_expected < w->nexpected && e->prepare)
		w->prepared[expected_stmt(w, e)->sql] = false;
}

static void
note_error(struct wire *w, const PGresult *res)
{
	struct request *r = w->request;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	note_unprepared(w);
	if (r->sqlstate[0] != '\0' || state == NULL)
		return;
	snprintf(r->sqlstate, sizeof(r->sqlstate), "%s", state);
	r->final = store_error_is_final(state, PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
	snprintf(r->why, sizeof(r->why), "%s", message != NULL ? message : "error without a message");
}

static void
keep_result(struct wire *w, PGresult *res)
{
	const struct expected *e = &w->expected[w->next_expected];
	int columns;

	ASSERT(w->next_expected < w->nexpected);
	note_bytes(w, PQresultMemorySize(res));
	columns = store_sql_texts[expected_stmt(w, e)->sql].ncolumns;
	ASSERT(e->prepare || columns == 0 || columns == PQnfields(res));
	if (e->stmt == WIRE_SETTINGS && !e->prepare)
		w->started = col_time(res, 0, SQL_SESSION_STARTED);
	if (e->prepare || e->stmt == WIRE_SETTINGS || w->request->results[e->stmt] != NULL)
		PQclear(res);
	else
		w->request->results[e->stmt] = res;
}

/* Takes what libpq has.  True when the Sync was answered. */
bool
wire_receive(struct wire *w)
{
	PGresult *res;
	int extra = 0; /* nulls after the last statement: an error of the commit itself has one */

	while (!PQisBusy(w->pg)) {
		res = PQgetResult(w->pg);
		if (res == NULL) { /* the end of one statement, or of the line */
			if (PQstatus(w->pg) == CONNECTION_BAD || (w->next_expected == w->nexpected && extra++ > 0))
				return false;
			if (w->next_expected < w->nexpected)
				w->next_expected++;
			continue;
		}
		switch (PQresultStatus(res)) {
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			return true;
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			keep_result(w, res);
			break;
		case PGRES_PIPELINE_ABORTED:
			note_unprepared(w);
			PQclear(res);
			break;
		default:
			note_error(w, res);
			PQclear(res);
			break;
		}
	}
	return false;
}
