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
	return pg_end();
}
