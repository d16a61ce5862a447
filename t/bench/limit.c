/* limit.c - what Postgres on this machine can do for a durable task queue: the needed rows through libpq and nothing else.
 *
 *	limit --db CONNINFO --create [--mode drain --tasks N]
 *	limit --db CONNINFO [--mode submit|drain|mix] [--batch 100] [--connections 2] [--depth 2] [--seconds 3] [--warm 0.5]
 *		[--payload 200] [--tasks N]
 *
 * submit: a task costs a row in a table of keys and a row in a table of tasks, in one transaction that is on disk; --create makes both with
 * the columns and indexes of taskq.idem and taskq.task, in a schema of their own.  Each connection is a thread that keeps `depth`
 * batches in flight in pipeline mode: one prepared statement, binary arrays, a generic plan.  Nothing is parsed, hashed or answered.
 * drain and mix: see limit_run.c; what all share is in limit_line.c.
 * Prints one line of JSON; the rate is of the ids that Postgres returned in `seconds` after `warm`, stored is all of them.  Its mate is load.c.
 */
#include <endian.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "limit.h"

enum { DIGEST, KBUCKET, FP, ID = SUBMIT_ID, LANE, PAYLOAD, COLUMNS };
_Static_assert(COLUMNS == SUBMIT_COLUMNS, "as limit.h says");

/* arrays of: uuid, int2, bytea, uuid, int4, bytea */
static const uint32_t elements[COLUMNS] = { OID_UUID, OID_INT2, OID_BYTEA, OID_UUID, OID_INT4, OID_BYTEA };
static const char *const mode_words[] = { "submit", "drain", "mix" };

static const char create_sql[] = "drop schema if exists bench cascade; create schema bench;"
				 "create table bench.idem (like taskq.idem including all);"
				 "create table bench.task (like taskq.task including all);"
				 "create table bench.done (like taskq.done including all);";
static const char submit_sql[] =
    "with i as (insert into bench.idem (digest, bucket, fp, task_id, surface, version, expires_at)"
    " select u.digest, u.bucket, u.fp, u.id, 1, 1, now() + interval '1 day'"
    " from unnest($1::uuid[], $2::int2[], $3::bytea[], $4::uuid[]) u(digest, bucket, fp, id)"
    " on conflict do nothing returning task_id)"
    " insert into bench.task (id, bucket, lane, prio, max_attempts, created_at, payload)"
    " select u.id, 1, u.lane, 0, 3, now(), u.payload from unnest($4::uuid[], $5::int4[], $6::bytea[]) u(id, lane, "
    "payload)"
    " join i on i.task_id = u.id returning id";

struct line {
	pthread_t thread;
	PGconn *pg;
	struct submitter submitter;
	uint64_t stored;  /* rows returned */
	uint64_t counted; /* those in the measured time */
};

struct limit_options opt = {
	.batch = 100, .connections = 2, .depth = 2, .payload = 200, .tasks = 100000, .seconds = 3, .warm = 0.5
};

static double began;
static atomic_bool failed;

/* A bijection that looks random: keys that never repeat and fall everywhere in the index, as digests do. */
static uint64_t
scatter(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* --- a batch ---------------------------------------------------------------------------------------------------------- */

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
add_task(struct submitter *l)
{
	uint64_t n = l->base + l->made++, digest[2] = { scatter(n), scatter(~n) }, fp[4];
	uint16_t bucket = htobe16(n & 255);
	uint32_t lane = htobe32(1);
	unsigned char id[16];
	int i;

	for (i = 0; i < 4; i++)
		fp[i] = digest[i & 1] + (uint64_t)i;
	make_id(id, n);
	memcpy(l->payload + 6, &digest[0], sizeof(digest[0]));
	add_element(&l->column[DIGEST], digest, sizeof(digest));
	add_element(&l->column[KBUCKET], &bucket, sizeof(bucket));
	add_element(&l->column[FP], fp, sizeof(fp));
	add_element(&l->column[ID], id, sizeof(id));
	add_element(&l->column[LANE], &lane, sizeof(lane));
	add_element(&l->column[PAYLOAD], l->payload, (uint64_t)opt.payload);
}

void
submitter_open(struct submitter *s, int number)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	s->base = ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) << 22 ^ (uint64_t)number << 54;
	s->payload = malloc((size_t)opt.payload);
	if (s->payload == NULL)
		quit("go on", "out of memory");
	memset(s->payload, 'x', (size_t)opt.payload);
}

void
submitter_free(struct submitter *s)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		free(s->column[i].at);
	free(s->payload);
}

void
submit_prepare(PGconn *pg)
{
	prepare(pg, "submit", submit_sql);
}

void
submit_send(struct submitter *s, PGconn *pg)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		array_begin(&s->column[i], elements[i], opt.batch);
	for (i = 0; i < opt.batch; i++)
		add_task(s);
	send_params(pg, "submit", COLUMNS, s->column);
	send_sync(pg);
}

/* --- one connection ------------------------------------------------------------------------------------------------- */

static void
read_batch(struct line *l)
{
	int rows = read_rows(l->pg);
	double t;

	if (rows != opt.batch)
		atomic_store(&failed, true);
	t = now() - began;
	l->stored += (uint64_t)rows;
	if (t >= opt.warm && t < opt.warm + opt.seconds)
		l->counted += (uint64_t)rows;
}

static void *
line_run(void *arg)
{
	struct line *l = arg;
	int flying = 0;

	while (now() < began + opt.warm + opt.seconds) {
		submit_send(&l->submitter, l->pg);
		if (++flying == opt.depth) {
			read_batch(l);
			flying--;
		}
	}
	while (flying-- > 0)
		read_batch(l);
	return NULL;
}

static void
line_open(struct line *l, int number)
{
	submitter_open(&l->submitter, number);
	l->pg = line_connect();
	submit_prepare(l->pg);
	if (!PQenterPipelineMode(l->pg))
		quit("pipeline", PQerrorMessage(l->pg));
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static void
submit_measure(void)
{
	struct line *lines = calloc((size_t)opt.connections, sizeof(*lines));
	uint64_t counted = 0, stored = 0;
	int i;

	if (lines == NULL)
		quit("go on", "out of memory");
	for (i = 0; i < opt.connections; i++)
		line_open(&lines[i], i);
	began = now();
	for (i = 0; i < opt.connections; i++)
		if (pthread_create(&lines[i].thread, NULL, line_run, &lines[i]) != 0)
			quit("go on", "no thread");
	for (i = 0; i < opt.connections; i++) {
		pthread_join(lines[i].thread, NULL);
		PQfinish(lines[i].pg);
		submitter_free(&lines[i].submitter);
		counted += lines[i].counted;
		stored += lines[i].stored;
	}
	free(lines);
	if (atomic_load(&failed))
		quit("measure", "a key was taken already");
	printf("{\"tasks_per_s\":%.0f,\"seconds\":%.3f,\"stored\":%llu}\n", (double)counted / opt.seconds, opt.seconds,
	    (unsigned long long)stored);
}

static enum limit_mode
read_mode(const char *word)
{
	int i;

	for (i = 0; i < (int)(sizeof(mode_words) / sizeof(mode_words[0])); i++)
		if (strcmp(word, mode_words[i]) == 0)
			return (enum limit_mode)i;
	quit("find the mode", word);
	return MODE_SUBMIT;
}

static void
check_options(bool spare)
{
	if (opt.db == NULL || spare || opt.batch < 1 || opt.connections < 1 || opt.depth < 1 || opt.payload < 16 ||
	    opt.tasks < 1 || opt.seconds <= 0 || opt.warm < 0) {
		fprintf(stderr,
		    "limit: expected --db CONNINFO, positive numbers, --payload from 16; see the head of limit.c\n");
		exit(64);
	}
}

static void
read_options(int argc, char **argv)
{
	static const struct option words[] = { { "db", 1, NULL, 'd' }, { "mode", 1, NULL, 'm' },
		{ "tasks", 1, NULL, 't' }, { "batch", 1, NULL, 'b' }, { "connections", 1, NULL, 'c' },
		{ "depth", 1, NULL, 'f' }, { "payload", 1, NULL, 'p' }, { "seconds", 1, NULL, 's' },
		{ "warm", 1, NULL, 'w' }, { "create", 0, NULL, 'C' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", words, NULL)) != -1) {
		switch (c) {
		case 'd':
			opt.db = optarg;
			break;
		case 'm':
			opt.mode = read_mode(optarg);
			break;
		case 't':
			opt.tasks = atoi(optarg);
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
	check_options(optind != argc);
}

static void
create(void)
{
	PGconn *pg = connect_db();

	command(pg, create_sql);
	if (opt.mode == MODE_DRAIN)
		drain_create(pg);
	PQfinish(pg);
}

int
main(int argc, char **argv)
{
	static void (*const measures[])(void) = { submit_measure, drain_measure, mix_measure };

	read_options(argc, argv);
	if (opt.create)
		create();
	else
		measures[opt.mode]();
	return 0;
}
