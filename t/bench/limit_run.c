/* limit_run.c - what Postgres on this machine can do for running tasks, when leases are only in memory; see limit.c.
 *
 * drain: --create leaves `tasks` tasks in bench.task and says what was stored.  Each connection takes stretches of `batch` ids from a
 * counter in memory, reads their rows and, when it has them, writes a row of bench.done for each, `depth` stretches at once.  Nothing is
 * claimed, fenced or locked; a crash would find what is left as the tasks without a row of done.
 * mix: as submit, and each batch that was stored gets its rows of done by the same connection, in a transaction of its own.
 */
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limit.h"

/* The ids of the backlog count from 1 in their last eight bytes. */
static const char backlog_sql[] =
    "insert into bench.task (id, bucket, lane, prio, max_attempts, created_at, payload)"
    " select ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 1, 1, 0, 3, now(),"
    " convert_to(rpad('', %d, 'x'), 'UTF8') from generate_series(1, %d) i";
static const char read_sql[] = "select id, prio, max_attempts, created_at, options, payload from bench.task"
			       " where id >= $1 and id <= $2 order by id";
static const char done_sql[] =
    "insert into bench.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at)"
    " select u, 1, 1, 1, 1, 1, 1, 0, now() from unnest($1::uuid[]) u returning id";

static atomic_int next_task; /* of the backlog, from 0 */
static atomic_ullong finished, finished_measured;
static double began, ended;

static void
backlog_id(unsigned char id[16], uint64_t n)
{
	static const unsigned char head[16] = { 0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80 };

	memcpy(id, head, 16);
	n = htobe64(n);
	memcpy(id + 10, (unsigned char *)&n + 2, 6);
}

static void
put_uuid(struct bytes *b, const unsigned char id[16])
{
	b->len = 0;
	add(b, id, 16);
}

static PGconn *
connect_for_run(void)
{
	PGconn *pg = line_connect();

	prepare(pg, "read", read_sql);
	prepare(pg, "done", done_sql);
	submit_prepare(pg);
	if (!PQenterPipelineMode(pg))
		quit("pipeline", PQerrorMessage(pg));
	return pg;
}

struct runner {
	pthread_t thread;
	PGconn *pg;
	int number;
};

/* The time counts from when all are connected. */
static void
runners_run(void *(*fn)(void *))
{
	struct runner *all = calloc((size_t)opt.connections, sizeof(*all));
	int i;

	if (all == NULL)
		quit("go on", "out of memory");
	for (i = 0; i < opt.connections; i++)
		all[i] = (struct runner){ .pg = connect_for_run(), .number = i };
	began = now();
	for (i = 0; i < opt.connections; i++)
		if (pthread_create(&all[i].thread, NULL, fn, &all[i]) != 0)
			quit("go on", "no thread");
	for (i = 0; i < opt.connections; i++)
		pthread_join(all[i].thread, NULL);
	ended = now();
	for (i = 0; i < opt.connections; i++)
		PQfinish(all[i].pg);
	free(all);
}

/* --- drain ------------------------------------------------------------------------------------------------------------ */

void
drain_create(PGconn *pg)
{
	char sql[sizeof(backlog_sql) + 32];

	snprintf(sql, sizeof(sql), backlog_sql, opt.payload, opt.tasks);
	command(pg, sql);
	command(pg, "vacuum analyze bench.task");
}

struct stretch {
	struct bytes at[2]; /* first and last id */
	struct bytes ids;   /* an array */
	int n;              /* 0: none */
};

/* One transaction: what was read in the round `depth` before is finished, and the next is read. */
struct round {
	struct stretch old, next;
};

static void
stretch_take(struct stretch *s)
{
	int first = atomic_fetch_add(&next_task, opt.batch), i;
	unsigned char id[16];

	s->n = first + opt.batch <= opt.tasks ? opt.batch : opt.tasks - first;
	if (s->n <= 0) {
		s->n = 0;
		return;
	}
	array_begin(&s->ids, OID_UUID, s->n);
	for (i = 1; i <= s->n; i++) {
		backlog_id(id, (uint64_t)(first + i));
		add_element(&s->ids, id, sizeof(id));
		if (i == 1)
			put_uuid(&s->at[0], id);
	}
	put_uuid(&s->at[1], id);
}

/* False: there was nothing to send. */
static bool
round_send(struct round *r, PGconn *pg)
{
	struct stretch old = r->old;

	r->old = r->next;
	r->next = old;
	stretch_take(&r->next);
	if (r->old.n > 0)
		send_params(pg, "done", 1, &r->old.ids);
	if (r->next.n > 0)
		send_params(pg, "read", 2, r->next.at);
	if (r->old.n + r->next.n > 0)
		send_sync(pg);
	return r->old.n + r->next.n > 0;
}

static void
stretch_free(struct stretch *s)
{
	free(s->at[0].at);
	free(s->at[1].at);
	free(s->ids.at);
}

static void *
drain_run(void *arg)
{
	PGconn *pg = ((struct runner *)arg)->pg;
	struct round *r = calloc((size_t)opt.depth, sizeof(*r));
	int flying = 0, i;

	if (r == NULL)
		quit("go on", "out of memory");
	for (i = 0; i < opt.depth; i++)
		flying += round_send(&r[i], pg);
	for (i = 0; flying > 0; i = (i + 1) % opt.depth) {
		if (r[i].old.n + r[i].next.n == 0)
			continue;
		if (read_rows(pg) != r[i].old.n + r[i].next.n)
			quit("measure", "rows are missing");
		atomic_fetch_add(&finished, (unsigned long long)r[i].old.n);
		flying -= !round_send(&r[i], pg);
	}
	for (i = 0; i < opt.depth; i++) {
		stretch_free(&r[i].old);
		stretch_free(&r[i].next);
	}
	free(r);
	return NULL;
}

/* --- mix -------------------------------------------------------------------------------------------------------------- */

static void
mix_batch_answered(struct submitter *s, PGconn *pg, struct bytes *ids)
{
	if (read_rows(pg) != opt.batch)
		quit("measure", "a key was taken already");
	send_params(pg, "done", 1, ids);
	send_sync(pg);
	submit_send(s, pg);
	ids->len = 0;
	add(ids, s->column[SUBMIT_ID].at, s->column[SUBMIT_ID].len);
}

static void
mix_count(PGconn *pg)
{
	double t;

	if (read_rows(pg) != opt.batch)
		quit("measure", "rows are missing");
	t = now() - began;
	atomic_fetch_add(&finished, (unsigned long long)opt.batch);
	if (t >= opt.warm && t < opt.warm + opt.seconds)
		atomic_fetch_add(&finished_measured, (unsigned long long)opt.batch);
}

/* The server has always a batch to store or to finish while we read: answers come in the order of `depth` batches. */
static void *
mix_run(void *arg)
{
	PGconn *pg = ((struct runner *)arg)->pg;
	struct bytes *ids = calloc((size_t)opt.depth, sizeof(*ids));
	struct submitter s = { 0 };
	int i;

	if (ids == NULL)
		quit("go on", "out of memory");
	submitter_open(&s, ((struct runner *)arg)->number);
	for (i = 0; i < opt.depth; i++) {
		submit_send(&s, pg);
		add(&ids[i], s.column[SUBMIT_ID].at, s.column[SUBMIT_ID].len);
	}
	for (i = 0; i < opt.depth; i++)
		mix_batch_answered(&s, pg, &ids[i]);
	for (i = 0; now() < began + opt.warm + opt.seconds; i = (i + 1) % opt.depth) {
		mix_count(pg);
		mix_batch_answered(&s, pg, &ids[i]);
	}
	submitter_free(&s);
	for (i = 0; i < opt.depth; i++)
		free(ids[i].at);
	free(ids);
	return NULL;
}

/* --- the whole -------------------------------------------------------------------------------------------------------- */

void
drain_measure(void)
{
	double seconds;

	runners_run(drain_run);
	seconds = ended - began;
	printf("{\"tasks_per_s\":%.0f,\"seconds\":%.3f,\"stored\":%llu}\n", (double)finished / seconds, seconds,
	    (unsigned long long)finished);
}

void
mix_measure(void)
{
	runners_run(mix_run);
	printf("{\"tasks_per_s\":%.0f,\"seconds\":%.3f,\"stored\":%llu}\n", (double)finished_measured / opt.seconds,
	    opt.seconds, (unsigned long long)finished);
}
