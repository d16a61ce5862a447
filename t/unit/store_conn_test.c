/* store_conn_test.c - a store comes up, says what is missing, and comes back after its line is lost. */
#include "store_pg.h"

static struct store *
open_store(const struct conf *c)
{
	struct store_options o = { .loop = pg_loop,
		.conf = c,
		.node = "n1",
		.boot = id_random(),
		.submit_connections = 2,
		.read_connections = 1,
		.worker = true,
		.keeper = true };

	return store_open(&o);
}

/* Two migrations at once, from two processes. */
static void
test_migrate(void)
{
	pid_t pids[3];
	int i, status, good = 0;

	for (i = 0; i < 3; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(store_migrate(&pg_conf));
	}
	for (i = 0; i < 3; i++) {
		waitpid(pids[i], &status, 0);
		good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	is_int(good, 3, "three nodes migrate at once");
	is_str(
	    pg_sql("select count(*) = max(number) from taskq.migration"), "t", "and every migration was applied once");
	is_int(store_migrate(&pg_conf), 0, "again does nothing");
	pg_sql("insert into taskq.migration (number, name) values (9999, 'future')");
	is_int(store_migrate(&pg_conf), 78, "a schema from the future is refused");
}

#define OURS "pg_stat_activity where datname = current_database() and application_name like 'taskqd %'"

static void
test_lost(struct store *s)
{
	const char *kill = "select count(*) filter (where pg_terminate_backend(pid, 20000)) from " OURS; /* and gone */

	is_str(pg_wait_sql("5", "select count(*) from " OURS " and state = 'idle'"), "5", "it has five lines");
	is_str(pg_sql("%s", kill), "5", "all are ended");
	is_str(pg_wait_sql("5", "select count(*) from " OURS " and state = 'idle'"), "5", "it connects again");
	is_str(pg_wait_ready(s), NULL, "and is ready");
	is_str(pg_sql("%s", "select string_agg(distinct application_name, ',') from " OURS),
	    "taskqd keeper,taskqd read,taskqd submit,taskqd worker", "each connection says its purpose");
}

static void
test_nobody_there(void)
{
	struct conf c = { 0 };
	struct store *s;

	pg_conf_fill(&c, "host=/nonexistent");
	s = open_store(&c);
	pg_turn(200 * CLOCK_MS);
	ok(strstr(store_not_ready(s), "cannot use postgres: connection to server on socket") != NULL,
	    "nobody there: \"%s\"", store_not_ready(s));
	store_close(&s);
}

/* --- renewal ------------------------------------------------------------------------------------------------------------ */

#define LINE "pg_stat_activity where datname = current_database() and application_name = 'taskqd submit'"
static char refused_log[] = "/tmp/taskq-refused-XXXXXX";

/* So much travels at once that the line is renewed when its process rests. */
static void
grow(struct store *s)
{
	static char payload[2 << 20];
	struct task_request r = { .task_type = SPAN("large"), .queue = SPAN("default"), .max_attempts = 1 };

	memset(payload, ' ', sizeof(payload));
	payload[0] = '1';
	r.payload = (struct span){ payload, sizeof(payload) };
	ok(pg_submit(s, &r, 1), "a line that has grown");
}

/* While the successor is greeted the old line is lost, and no new one can be made. */
static void
test_successor(struct store *s, PGconn *other, PGconn *elsewhere)
{
	int64_t deadline = clock_now() + PATIENCE;
	char old[32], greeted[300];

	grow(s);
	snprintf(old, sizeof(old), "%s", pg_sql("select pid from " LINE));
	snprintf(
	    greeted, sizeof(greeted), "select count(*) from " LINE " and pid <> %s and wait_event_type = 'Lock'", old);
	pg_say(other, "begin");
	pg_say(other, "lock table taskq.migration in access exclusive mode");
	while (strcmp(pg_sql("%s", greeted), "1") != 0 && clock_now() < deadline) {
		store_rest(s);
		pg_turn(5 * CLOCK_MS);
	}
	is_str(pg_sql("%s", greeted), "1", "its successor is being greeted");
	pg_say(elsewhere, "alter database %s allow_connections false", pg_name);
	is_str(pg_sql("select pg_terminate_backend(%s, 20000)", old), "t", "the line is lost");
	deadline = clock_now() + PATIENCE;
	while (
	    (store_not_ready(s) == NULL || strstr(store_not_ready(s), "accepting") == NULL) && clock_now() < deadline)
		pg_turn(5 * CLOCK_MS);
	ok(store_not_ready(s) != NULL, "and cannot be made again: \"%s\"", store_not_ready(s));
	pg_say(other, "rollback");
	is_str(pg_wait_ready(s), NULL, "the successor takes its place");
}

static void
on_late(void *arg, const struct store_submitted *a)
{
	snprintf(arg, 300, "%s", a->why != NULL ? a->why : "");
}

static bool
was_refused(void)
{
	char text[4000];
	FILE *f = fopen(refused_log, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f != NULL)
		fclose(f);
	text[n] = '\0';
	return strstr(text, "could not connect to postgres") != NULL;
}

/* A successor that is refused is not missed, so it is no reason of what comes late afterwards. */
static void
test_refused(struct store *s, PGconn *other)
{
	struct task_request r = {
		.task_type = SPAN("new"), .queue = SPAN("default"), .max_attempts = 1, .payload = SPAN("1")
	};
	struct store_submission in = { .request = &r, .surface = TASK_SURFACE_V1, .tenant = SPAN("t") };
	int64_t deadline = clock_now() + PATIENCE;
	char why[300] = "";

	grow(s);
	MUST(log_open(&(struct log_settings){ refused_log, LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT }) == 0);
	while (!was_refused() && clock_now() < deadline) {
		store_rest(s);
		pg_turn(5 * CLOCK_MS);
	}
	ok(was_refused(), "a successor is refused");
	is_str(store_not_ready(s), NULL, "nobody misses it");
	pg_say(other, "begin");
	pg_say(other, "lock table taskq.lane in access exclusive mode");
	in.deadline = clock_now() + 300 * CLOCK_MS;
	store_submit(s, &in, on_late, why);
	for (deadline = clock_now() + PATIENCE; why[0] == '\0' && clock_now() < deadline;)
		pg_turn(5 * CLOCK_MS);
	is_str(why, "no connection was free in time", "what is late afterwards has its own reason");
	pg_say(other, "rollback");
}

static void
test_renewal(void)
{
	struct store_options o = { .node = "n1", .submit_connections = 1 };
	PGconn *other = PQconnectdb(pg_conninfo), *elsewhere = PQconnectdb(pg_server);
	int fd = mkstemp(refused_log);
	struct store *s;

	MUST(fd >= 0 && close(fd) == 0);
	pg_conf.postgres.connect_timeout = pg_conf.postgres.lock_timeout = pg_conf.postgres.statement_timeout =
	    pg_conf.postgres.deadline = 3 * PATIENCE;
	s = pg_open(&o);
	test_successor(s, other, elsewhere);
	test_refused(s, other);
	store_close(&s);
	pg_say(elsewhere, "alter database %s allow_connections true", pg_name);
	PQfinish(elsewhere);
	PQfinish(other);
	unlink(refused_log);
}

int
main(void)
{
	struct store *s;

	pg_begin("conn");
	s = open_store(&pg_conf);
	ok(store_not_ready(s) != NULL, "not ready at once");
	pg_sql("create schema taskq");
	test_nobody_there();
	ok(strstr(store_not_ready(s), "has no taskq schema, run taskqd --migrate") != NULL,
	    "says that the schema is missing");
	test_migrate();
	ok(strstr(store_not_ready(s), "schema") != NULL, "and that it is another version: \"%s\"", store_not_ready(s));
	pg_sql("delete from taskq.migration where number = 9999");
	is_str(pg_wait_ready(s), NULL, "ready");
	ok(store_db_now(s) - clock_wall() < CLOCK_SECOND && clock_wall() - store_db_now(s) < CLOCK_SECOND,
	    "the database's clock");
	test_lost(s);
	store_close(&s);
	ok(s == NULL, "closed");
	test_renewal();
	return pg_end();
}
