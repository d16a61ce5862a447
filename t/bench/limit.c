/* limit.c - what Postgres on this machine can do for a durable submission: the needed rows through libpq and nothing else.
 *
 *	limit --db CONNINFO --create
 *	limit --db CONNINFO [--batch 100] [--connections 2] [--depth 2] [--seconds 3] [--warm 0.5] [--payload 200]
 *
 * A task costs a row in a table of keys and a row in a table of tasks, in one transaction that is on disk; --create makes both with
 * the columns and indexes of taskq.idem and taskq.task, in a schema of their own.  Each connection is a thread that keeps `depth`
 * batches in flight in pipeline mode: one prepared statement, binary arrays, a generic plan.  Nothing is parsed, hashed or answered.
 * Prints one line of JSON; the rate is of the ids that Postgres returned in `seconds` after `warm`, stored is all of them.  Its mate is load.c.
 */
#include <endian.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OID_BYTEA = 17, OID_INT2 = 21, OID_INT4 = 23, OID_UUID = 2950 };
enum { DIGEST, KBUCKET, FP, ID, LANE, PAYLOAD, COLUMNS };

/* arrays of: uuid, int2, bytea, uuid, int4, bytea */
static const uint32_t elements[COLUMNS] = { OID_UUID, OID_INT2, OID_BYTEA, OID_UUID, OID_INT4, OID_BYTEA };

static const char create_sql[] = "drop schema if exists bench cascade; create schema bench;"
				 "create table bench.idem (like taskq.idem including all);"
				 "create table bench.task (like taskq.task including all);";
static const char session_sql[] = "set jit = off; set plan_cache_mode = force_generic_plan; set enable_seqscan = off";
static const char submit_sql[] =
    "with i as (insert into bench.idem (digest, bucket, fp, task_id, surface, version, expires_at)"
    " select u.digest, u.bucket, u.fp, u.id, 1, 1, now() + interval '1 day'"
    " from unnest($1::uuid[], $2::int2[], $3::bytea[], $4::uuid[]) u(digest, bucket, fp, id)"
    " on conflict do nothing returning task_id)"
    " insert into bench.task (id, bucket, lane, prio, max_attempts, created_at, payload)"
    " select u.id, 1, u.lane, 0, 3, now(), u.payload from unnest($4::uuid[], $5::int4[], $6::bytea[]) u(id, lane, "
    "payload)"
    " join i on i.task_id = u.id returning id";

struct bytes {
	char *at;
	size_t len, room;
};

struct line {
	pthread_t thread;
	PGconn *pg;
	uint64_t base;                /* keys of this line begin here */
	uint64_t made;                /* keys used */
	struct bytes column[COLUMNS]; /* the parameters of the batch that is built */
	uint64_t stored;              /* rows returned */
	uint64_t counted;             /* those in the measured time */
};

static struct options {
	const char *db;
	int batch, connections, depth, payload;
	double seconds, warm;
	bool create;
} opt = { .batch = 100, .connections = 2, .depth = 2, .payload = 200, .seconds = 3, .warm = 0.5 };

static double began;
static atomic_bool failed;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A bijection that looks random: keys that never repeat and fall everywhere in the index, as digests do. */
static uint64_t
scatter(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static void
quit(const char *what, const char *why)
{
	fprintf(stderr, "limit: could not %s: %s\n", what, why);
	exit(1);
}

/* --- parameters ----------------------------------------------------------------------------------------------------- */

static void
add(struct bytes *b, const void *data, size_t len)
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

static void
add_element(struct bytes *b, const void *data, size_t len)
{
	add_int4(b, (uint32_t)len);
	add(b, data, len);
}

/* An array of one dimension without nulls begins so. */
static void
array_begin(struct bytes *b, uint32_t element, int n)
{
	b->len = 0;
	add_int4(b, 1);
	add_int4(b, 0);
	add_int4(b, element);
	add_int4(b, (uint32_t)n);
	add_int4(b, 1);
}

/* Time first, then the line and a counter, so that ids of a line grow: as the ids of tasks. */
static void
make_id(unsigned char id[16], uint64_t n)
{
	struct timespec t;
	uint64_t ms, low = htobe64(n);
	int i;

	clock_gettime(CLOCK_REALTIME, &t);
	ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	for (i = 0; i < 6; i++)
		id[i] = (unsigned char)(ms >> (40 - 8 * i));
	id[6] = 0x70;
	id[7] = 0;
	memcpy(id + 8, &low, 8);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
}

static void
add_task(struct line *l, char *payload)
{
	uint64_t n = l->base + l->made++, digest[2] = { scatter(n), scatter(~n) }, fp[4];
	uint16_t bucket = htobe16(n & 255);
	uint32_t lane = htobe32(1);
	unsigned char id[16];
	int i;

	for (i = 0; i < 4; i++)
		fp[i] = digest[i & 1] + (uint64_t)i;
	make_id(id, n);
	memcpy(payload + 6, &digest[0], sizeof(digest[0]));
	add_element(&l->column[DIGEST], digest, sizeof(digest));
	add_element(&l->column[KBUCKET], &bucket, sizeof(bucket));
	add_element(&l->column[FP], fp, sizeof(fp));
	add_element(&l->column[ID], id, sizeof(id));
	add_element(&l->column[LANE], &lane, sizeof(lane));
	add_element(&l->column[PAYLOAD], payload, (size_t)opt.payload);
}

static void
send_batch(struct line *l, char *payload)
{
	const char *values[COLUMNS];
	int lengths[COLUMNS], formats[COLUMNS], i;

	for (i = 0; i < COLUMNS; i++)
		array_begin(&l->column[i], elements[i], opt.batch);
	for (i = 0; i < opt.batch; i++)
		add_task(l, payload);
	for (i = 0; i < COLUMNS; i++) {
		values[i] = l->column[i].at;
		lengths[i] = (int)l->column[i].len;
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(l->pg, "submit", COLUMNS, values, lengths, formats, 1) || !PQpipelineSync(l->pg))
		quit("send", PQerrorMessage(l->pg));
}

/* --- one connection ------------------------------------------------------------------------------------------------- */

/* Reads to the end of one batch. */
static void
read_batch(struct line *l)
{
	PGresult *res;
	ExecStatusType status;
	int rows = 0;
	double t;

	for (;;) {
		res = PQgetResult(l->pg);
		if (res == NULL) {
			if (PQstatus(l->pg) != CONNECTION_OK)
				quit("read", PQerrorMessage(l->pg));
			continue;
		}
		status = PQresultStatus(res);
		if (status == PGRES_TUPLES_OK)
			rows = PQntuples(res);
		else if (status != PGRES_PIPELINE_SYNC)
			quit("submit", PQresultErrorMessage(res));
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC)
			break;
	}
	if (rows != opt.batch)
		atomic_store(&failed, true);
	t = now() - began;
	l->stored += (uint64_t)rows;
	if (t >= opt.warm && t < opt.warm + opt.seconds) {
		l->counted += (uint64_t)rows;
	}
}

static void *
line_run(void *arg)
{
	struct line *l = arg;
	char *payload = malloc((size_t)opt.payload);
	int flying = 0;

	if (payload == NULL)
		quit("go on", "out of memory");
	memset(payload, 'x', (size_t)opt.payload);
	while (now() < began + opt.warm + opt.seconds) {
		send_batch(l, payload);
		if (++flying == opt.depth) {
			read_batch(l);
			flying--;
		}
	}
	while (flying-- > 0)
		read_batch(l);
	free(payload);
	return NULL;
}

static void
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

static PGconn *
connect_db(void)
{
	PGconn *pg = PQconnectdb(opt.db);

	if (PQstatus(pg) != CONNECTION_OK)
		quit("connect", PQerrorMessage(pg));
	PQsetNoticeReceiver(pg, ignore_notice, NULL);
	return pg;
}

static void
line_open(struct line *l, uint64_t base)
{
	PGresult *res;

	l->base = base;
	l->pg = connect_db();
	command(l->pg, session_sql);
	res = PQprepare(l->pg, "submit", submit_sql, 0, NULL);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		quit("prepare the statement", PQerrorMessage(l->pg));
	PQclear(res);
	if (!PQenterPipelineMode(l->pg))
		quit("pipeline", PQerrorMessage(l->pg));
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static void
measure(void)
{
	struct line *lines = calloc((size_t)opt.connections, sizeof(*lines));
	uint64_t counted = 0, stored = 0;
	struct timespec t;
	int i, j;

	if (lines == NULL)
		quit("go on", "out of memory");
	clock_gettime(CLOCK_REALTIME, &t);
	for (i = 0; i < opt.connections; i++)
		line_open(
		    &lines[i], (((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) << 22 ^ (uint64_t)i << 54));
	began = now();
	for (i = 0; i < opt.connections; i++)
		if (pthread_create(&lines[i].thread, NULL, line_run, &lines[i]) != 0)
			quit("go on", "no thread");
	for (i = 0; i < opt.connections; i++) {
		pthread_join(lines[i].thread, NULL);
		PQfinish(lines[i].pg);
		for (j = 0; j < COLUMNS; j++)
			free(lines[i].column[j].at);
		counted += lines[i].counted;
		stored += lines[i].stored;
	}
	free(lines);
	if (atomic_load(&failed))
		quit("measure", "a key was taken already");
	printf("{\"tasks_per_s\":%.0f,\"seconds\":%.3f,\"stored\":%llu}\n", (double)counted / opt.seconds, opt.seconds,
	    (unsigned long long)stored);
}

static void
read_options(int argc, char **argv)
{
	static const struct option words[] = { { "db", 1, NULL, 'd' }, { "batch", 1, NULL, 'b' },
		{ "connections", 1, NULL, 'c' }, { "depth", 1, NULL, 'f' }, { "payload", 1, NULL, 'p' },
		{ "seconds", 1, NULL, 's' }, { "warm", 1, NULL, 'w' }, { "create", 0, NULL, 'C' },
		{ NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", words, NULL)) != -1) {
		switch (c) {
		case 'd':
			opt.db = optarg;
			break;
		case 'b':
			opt.batch = atoi(optarg);
			break;
		case 'c':
			opt.connections = atoi(optarg);
			break;
		case 'f':
			opt.depth = atoi(optarg);
			break;
		case 'p':
			opt.payload = atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'w':
			opt.warm = atof(optarg);
			break;
		case 'C':
			opt.create = true;
			break;
		default:
			exit(64);
		}
	}
	if (opt.db == NULL || optind != argc || opt.batch < 1 || opt.connections < 1 || opt.depth < 1 ||
	    opt.payload < 16 || opt.seconds <= 0 || opt.warm < 0) {
		fprintf(stderr,
		    "limit: expected --db CONNINFO, positive numbers, --payload from 16; see the head of limit.c\n");
		exit(64);
	}
}

int
main(int argc, char **argv)
{
	read_options(argc, argv);
	if (opt.create) {
		PGconn *pg = connect_db();

		command(pg, create_sql);
		PQfinish(pg);
		return 0;
	}
	measure();
	return 0;
}
