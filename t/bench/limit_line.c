/* limit_line.c - parameters and connections of the program limit; see limit.c. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "limit.h"

static const char session_sql[] = "set jit = off; set plan_cache_mode = force_generic_plan; set enable_seqscan = off";

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void
quit(const char *what, const char *why)
{
	fprintf(stderr, "limit: could not %s: %s\n", what, why);
	exit(1);
}

void
add(struct bytes *b, const void *data, uint64_t len)
{
	if (b->len + len > b->room) {
		b->room = (b->len + len) * 2;
		b->at = realloc(b->at, b->room);
		if (b->at == NULL)
			quit("go on", "out of memory");
	}
	memcpy(b->at + b->len, data, len);
	b->len += len;
}

static void
add_int4(struct bytes *b, uint32_t value)
{
	value = htobe32(value);
	add(b, &value, sizeof(value));
}

void
add_element(struct bytes *b, const void *data, uint64_t len)
{
	add_int4(b, (uint32_t)len);
	add(b, data, len);
}

void
array_begin(struct bytes *b, uint32_t element, int n)
{
	b->len = 0;
	add_int4(b, 1);
	add_int4(b, 0);
	add_int4(b, element);
	add_int4(b, (uint32_t)n);
	add_int4(b, 1);
}

void
command(PGconn *pg, const char *sql)
{
	PGresult *res = PQexec(pg, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		quit("prepare the database", PQerrorMessage(pg));
	PQclear(res);
}

static void
ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

PGconn *
connect_db(void)
{
	PGconn *pg = PQconnectdb(opt.db);

	if (PQstatus(pg) != CONNECTION_OK)
		quit("connect", PQerrorMessage(pg));
	PQsetNoticeReceiver(pg, ignore_notice, NULL);
	return pg;
}

void
prepare(PGconn *pg, const char *name, const char *sql)
{
	PGresult *res = PQprepare(pg, name, sql, 0, NULL);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		quit("prepare the statement", PQerrorMessage(pg));
	PQclear(res);
}

PGconn *
line_connect(void)
{
	PGconn *pg = connect_db();

	command(pg, session_sql);
	return pg;
}

void
send_params(PGconn *pg, const char *name, int n, const struct bytes *params)
{
	const char *values[SUBMIT_COLUMNS];
	int lengths[SUBMIT_COLUMNS], formats[SUBMIT_COLUMNS], i;

	for (i = 0; i < n; i++) {
		values[i] = params[i].at;
		lengths[i] = (int)params[i].len;
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(pg, name, n, values, lengths, formats, 1))
		quit("send", PQerrorMessage(pg));
}

void
send_sync(PGconn *pg)
{
	if (!PQpipelineSync(pg))
		quit("send", PQerrorMessage(pg));
}

int
read_rows(PGconn *pg)
{
	PGresult *res;
	ExecStatusType status;
	int rows = 0;

	for (;;) {
		res = PQgetResult(pg);
		if (res == NULL) {
			if (PQstatus(pg) != CONNECTION_OK)
				quit("read", PQerrorMessage(pg));
			continue;
		}
		status = PQresultStatus(res);
		if (status == PGRES_TUPLES_OK)
			rows += PQntuples(res);
		else if (status != PGRES_PIPELINE_SYNC)
			quit("go on", PQresultErrorMessage(res));
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC)
			return rows;
	}
}
