/* store_pg.h - a database of its own for a test of the store, a loop to turn, and a line that can be cut.
 *
 * TASKQ_TEST_PG names a server (a libpq string without dbname); without it the test is skipped.  The proxy is a child process between the
 * store and the server: it can drop the next request before the server has it, or the next answer after the server acted.
 */
#ifndef T_UNIT_STORE_PG_H
#define T_UNIT_STORE_PG_H

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "await.h"
#include "base/clock.h"
#include "log/log.h"
#include "store/store.h"
#include "store/store_hand.h"

static char pg_server[512], pg_name[64], pg_conninfo[700];
static struct conf pg_conf;
static struct loop *pg_loop;
static PGconn *pg_side; /* the test's own view */
/* who acts by hand, where it does not matter */
static const struct store_who nobody UNUSED;

/* --- one's own statements ------------------------------------------------------------------------------------------ */

/* First column of the first row as text, "" for null, the error as "ERROR: ..."; static. */
TAP_FN const char *
pg_say(PGconn *pg, const char *fmt, ...)
{
	static char answer[4][1000];
	static int turn;
	char sql[4000];
	va_list ap;
	PGresult *res;
	char *into = answer[++turn % 4];

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	res = PQexec(pg, sql);
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		snprintf(into, 1000, "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "(no row)");
	else
		snprintf(into, 1000, "%s",
		    PQresultStatus(res) == PGRES_COMMAND_OK ? PQcmdTuples(res) : PQresultErrorMessage(res));
	PQclear(res);
	return into;
}
#define pg_sql(...) pg_say(pg_side, __VA_ARGS__)

/* --- a database ------------------------------------------------------------------------------------------------------ */

TAP_FN void
pg_conf_fill(struct conf *c, const char *conninfo)
{
	c->postgres.conninfo = conninfo;
	c->postgres.connect_timeout = 5 * CLOCK_SECOND;
	c->postgres.lock_timeout = 500 * CLOCK_MS;
	c->postgres.statement_timeout = 5 * CLOCK_SECOND;
	c->postgres.deadline = 8 * CLOCK_SECOND;
	c->postgres.prepare = true;
	c->postgres.allow_unsafe = true;
	c->http.request_timeout = 10 * CLOCK_SECOND;
	c->keys.ttl = 3600 * CLOCK_SECOND;
	c->work.lease = 30 * CLOCK_SECOND;
	c->work.grace = 5 * CLOCK_SECOND;
}

/* A fresh database, not migrated yet, and a loop.  TEST_DEBUG shows the log. */
TAP_FN void
pg_begin(const char *test)
{
	const struct log_settings log = { "stderr", getenv("TEST_DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_CRIT,
		LOG_FORMAT_LOGFMT };
	const char *server = getenv("TASKQ_TEST_PG");
	PGconn *pg;

	MUST(log_open(&log) == 0);
	if (server == NULL || server[0] == '\0')
		skip_all("TASKQ_TEST_PG names no server");
	snprintf(pg_server, sizeof(pg_server), "%s dbname=postgres", server);
	snprintf(pg_name, sizeof(pg_name), "taskq_%s_%d", test, (int)getpid());
	snprintf(pg_conninfo, sizeof(pg_conninfo), "%s dbname=%s", server, pg_name);
	pg = PQconnectdb(pg_server);
	if (PQstatus(pg) != CONNECTION_OK) {
		printf("Bail out! %s\n", PQerrorMessage(pg));
		exit(1);
	}
	pg_say(pg, "create database %s", pg_name);
	PQfinish(pg);
	pg_side = PQconnectdb(pg_conninfo);
	pg_conf_fill(&pg_conf, pg_conninfo);
	pg_loop = loop_new();
}

/* --- a loop ------------------------------------------------------------------------------------------------------------ */

struct pg_wait {
	struct loop_timer *timer;
	const bool *flag;
	int64_t deadline;
};

TAP_FN void
pg_wait_look(void *arg)
{
	struct pg_wait *w = arg;

	if (*w->flag || clock_now() > w->deadline)
		loop_stop(pg_loop);
	else
		loop_timer_set(w->timer, 2 * CLOCK_MS);
}

/* Turns the loop until *flag or out of patience. */
TAP_FN bool
pg_wait(const bool *flag)
{
	struct pg_wait w = { NULL, flag, clock_now() + PATIENCE };

	w.timer = loop_timer_new(pg_loop, pg_wait_look, &w);
	loop_timer_set(w.timer, 0);
	loop_run(pg_loop);
	loop_timer_free(&w.timer);
	return *flag;
}

/* Turns it for a moment. */
TAP_FN void
pg_turn(int64_t us)
{
	await_stop(pg_loop, us);
}

/* Turns it until the store is ready; returns what is missing when that does not come. */
TAP_FN const char *
pg_wait_ready(struct store *s)
{
	int64_t deadline = clock_now() + PATIENCE;

	while (store_not_ready(s) != NULL && clock_now() < deadline)
		pg_turn(5 * CLOCK_MS);
	return store_not_ready(s);
}

/* Turns it until the statement says `want`; returns what it says at last. */
TAP_FN const char *
pg_wait_sql(const char *want, const char *sql)
{
	int64_t deadline = clock_now() + PATIENCE;
	const char *got;

	while (strcmp(got = pg_sql("%s", sql), want) != 0 && clock_now() < deadline)
		pg_turn(5 * CLOCK_MS);
	return got;
}

/* --- a line that can be cut ---------------------------------------------------------------------------------------------- */

static pid_t proxy_pid;
static int proxy_line; /* orders there, what was left of the one before back */
static char proxy_dir[] = "/tmp/taskq-proxy-XXXXXX";
static char proxy_conninfo[1000];

#define PROXY_PAIRS 32

/* Whatever else travels (a greeting, a look at the server's health), an order is for the request that has these bytes. */
struct proxy_order {
	char mode;
	char has[31];
};

struct proxy {
	struct sockaddr_un to;
	int pairs[PROXY_PAIRS][2];     /* client, server; -1 free */
	char hello[PROXY_PAIRS][1000]; /* what the client began with */
	ssize_t hello_len[PROXY_PAIRS];
	bool meant[PROXY_PAIRS]; /* the next answer is the one */
	struct proxy_order order;
};

TAP_FN void
proxy_cut(struct proxy *p, int i)
{
	close(p->pairs[i][0]);
	close(p->pairs[i][1]);
	p->pairs[i][0] = p->pairs[i][1] = -1;
}

TAP_FN void
proxy_accept(struct proxy *p, int listener)
{
	int client = accept(listener, NULL, NULL), server = socket(AF_UNIX, SOCK_STREAM, 0), i;

	for (i = 0; i < PROXY_PAIRS && p->pairs[i][0] >= 0; i++)
		;
	if (i == PROXY_PAIRS || connect(server, (void *)&p->to, sizeof(p->to)) != 0) {
		close(client);
		close(server);
		return;
	}
	p->pairs[i][0] = client;
	p->pairs[i][1] = server;
	p->hello_len[i] = 0;
	p->meant[i] = false;
}

/* Another server connection for the same client, as a pooler does between transactions. */
TAP_FN void
proxy_swap(struct proxy *p, int i)
{
	char bytes[4000];
	ssize_t n = 0;

	close(p->pairs[i][1]);
	p->pairs[i][1] = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(p->pairs[i][1], (void *)&p->to, sizeof(p->to)) != 0 ||
	    write(p->pairs[i][1], p->hello[i], (size_t)p->hello_len[i]) != p->hello_len[i])
		_exit(1);
	while (n < 6 || memcmp(bytes + n - 6, "Z\0\0\0\5I", 6) != 0) {
		ssize_t got = read(p->pairs[i][1], bytes + n, sizeof(bytes) - (size_t)n);

		if (got <= 0)
			_exit(1);
		n += got;
	}
}

/* Whether these bytes are cut off, by the order. */
TAP_FN bool
proxy_drops(struct proxy *p, int i, int side, const char *bytes, ssize_t n)
{
	bool is_it =
	    side == 0 && p->order.mode != 'n' && memmem(bytes, (size_t)n, p->order.has, strlen(p->order.has)) != NULL;
	char mode = p->order.mode;

	if (side == 1)
		return p->meant[i];
	if (!is_it)
		return false;
	p->order.mode = 'n';
	p->meant[i] = mode == 'a';
	if (mode == 'x')
		proxy_swap(p, i);
	return mode == 'r';
}

/* One side has bytes, or its end. */
TAP_FN void
proxy_move(struct proxy *p, int i, int side)
{
	char bytes[65536];
	ssize_t n = read(p->pairs[i][side], bytes, sizeof(bytes));

	if (n > 0 && side == 0 && p->hello_len[i] == 0 && n <= (ssize_t)sizeof(p->hello[i])) {
		memcpy(p->hello[i], bytes, (size_t)n);
		p->hello_len[i] = n;
	} else if (n > 0 && proxy_drops(p, i, side, bytes, n)) {
		n = 0;
	}
	if (n <= 0 || write(p->pairs[i][!side], bytes, (size_t)n) != n)
		proxy_cut(p, i);
}

/* Takes an order before anything else moves, and says what was left of the last; the end of the test is the end. */
TAP_FN void
proxy_obey(struct proxy *p, int orders)
{
	char before = p->order.mode;

	if (read(orders, &p->order, sizeof(p->order)) != sizeof(p->order) || write(orders, &before, 1) != 1)
		_exit(0);
}

TAP_FN __attribute__((noreturn)) void
proxy_main(struct proxy *p, int listener, int orders)
{
	struct pollfd fds[2 + 2 * PROXY_PAIRS];
	int i, side;

	for (;;) {
		fds[0] = (struct pollfd){ orders, POLLIN, 0 };
		fds[1] = (struct pollfd){ listener, POLLIN, 0 };
		for (i = 0; i < 2 * PROXY_PAIRS; i++)
			fds[2 + i] = (struct pollfd){ p->order.mode == 'h' ? -1 : p->pairs[i / 2][i % 2], POLLIN, 0 };
		if (poll(fds, 2 + 2 * PROXY_PAIRS, -1) < 0)
			_exit(1);
		if (fds[0].revents != 0) {
			proxy_obey(p, orders);
			continue;
		}
		for (i = 0; i < PROXY_PAIRS; i++)
			for (side = 0; side < 2; side++)
				if (fds[2 + 2 * i + side].revents != 0 && p->pairs[i][side] >= 0)
					proxy_move(p, i, side);
		if (fds[1].revents != 0)
			proxy_accept(p, listener);
	}
}

/* Starts it; the store then connects by proxy_conninfo. */
TAP_FN void
proxy_begin(void)
{
	static struct proxy p;
	struct sockaddr_un me = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), line[2], i;

	if (mkdtemp(proxy_dir) == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, line) != 0)
		exit(1);
	p.to.sun_family = AF_UNIX;
	snprintf(p.to.sun_path, sizeof(p.to.sun_path), "%s/.s.PGSQL.%s", PQhost(pg_side), PQport(pg_side));
	snprintf(me.sun_path, sizeof(me.sun_path), "%s/.s.PGSQL.5432", proxy_dir);
	snprintf(proxy_conninfo, sizeof(proxy_conninfo), "%s host=%s port=5432", pg_conninfo, proxy_dir);
	if (bind(listener, (void *)&me, sizeof(me)) != 0 || listen(listener, 20) != 0)
		exit(1);
	for (i = 0; i < PROXY_PAIRS; i++)
		p.pairs[i][0] = p.pairs[i][1] = -1;
	p.order.mode = 'n';
	fflush(stdout);
	proxy_pid = fork();
	if (proxy_pid == 0) {
		close(line[1]);
		proxy_main(&p, listener, line[0]);
	}
	proxy_line = line[1];
	close(line[0]);
	close(listener);
}

/* For the next request that has these bytes, 'r': it is dropped and its line cut; 'a': its answer is; 'x': it goes to another server
 * connection.  For all, 'h': nothing moves; 'n': everything does. */
TAP_FN void
proxy_order(char mode, const char *has)
{
	struct proxy_order order = { .mode = mode };
	char before;

	snprintf(order.has, sizeof(order.has), "%s", has);
	if (write(proxy_line, &order, sizeof(order)) != sizeof(order) || read(proxy_line, &before, 1) != 1)
		exit(1);
	if (before != 'n' && before != 'h') {
		printf("Bail out! nothing came for the order '%c' before this one\n", before);
		exit(1);
	}
}

TAP_FN void
proxy_end(void)
{
	char path[128];

	close(proxy_line);
	waitpid(proxy_pid, NULL, 0);
	proxy_pid = 0;
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", proxy_dir);
	unlink(path);
	rmdir(proxy_dir);
}

/* --- from the beginning to the end ---------------------------------------------------------------------------------------- */

enum pg_line { PG_WHOLE, PG_CUT }; /* CUT: stores connect through the proxy */

/* A fresh database with its schema. */
TAP_FN void
pg_begin_whole(const char *test, enum pg_line line)
{
	pg_begin(test);
	is_int(store_migrate(&pg_conf), 0, "migrated");
	if (line == PG_CUT) {
		proxy_begin();
		pg_conf.postgres.conninfo = proxy_conninfo;
	}
}

/* A store of these options, ready; the loop and the configuration are the test's. */
TAP_FN struct store *
pg_open(struct store_options *o)
{
	struct store *s;

	o->loop = pg_loop;
	o->conf = &pg_conf;
	s = store_open(o);
	is_str(pg_wait_ready(s), NULL, "ready");
	return s;
}

struct pg_submitting {
	int left;
	bool done;
};

TAP_FN void
pg_submitted(void *arg, const struct store_submitted *a)
{
	struct pg_submitting *g = arg;

	if (a->status == STORE_OK && a->verdict == STORE_ACCEPTED)
		g->left--;
	g->done = g->left == 0;
}

/* So many tasks alike, without keys; true when all were accepted. */
TAP_FN bool
pg_submit(struct store *s, const struct task_request *r, int n)
{
	struct store_submission in = {
		.request = r, .surface = TASK_SURFACE_V1, .tenant = SPAN("t"), .deadline = clock_now() + PATIENCE
	};
	struct pg_submitting g = { .left = n };

	for (int i = 0; i < n; i++)
		store_submit(s, &in, pg_submitted, &g);
	return pg_wait(&g.done);
}

/* Every store is closed.  Returns the exit status of the test. */
TAP_FN int
pg_end(void)
{
	PGconn *pg;

	if (proxy_pid > 0)
		proxy_end();
	loop_free(&pg_loop);
	PQfinish(pg_side);
	pg = PQconnectdb(pg_server);
	pg_say(pg, "drop database if exists %s with (force)", pg_name);
	PQfinish(pg);
	return done();
}

#endif
