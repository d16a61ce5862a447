/* taskqctl.c - the operator's view of a running taskqd.
 *
 * status and metrics map the shared region that the daemon keeps under its run_dir, read-only: they need no port, no password and no
 * database, and work while Postgres is down.  Every other verb asks the API: ctl_verbs.c.  Exit codes are those of sysexits.h:
 * 0 done and the daemon runs, 64 wrong usage, 65 the daemon refuses, 69 no daemon runs, 75 try later, 76 its region has another layout, 77 not allowed,
 * 78 the configuration is wrong.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "stats/stats.h"

#include "ctl/ctl.h"

void
ctl_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fputs("taskqctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(code);
}

/* --- finding the daemon ---------------------------------------------------------------------------------------------- */

char *
ctl_run_dir(const struct ctl *cmd)
{
	struct buf errors = { 0 }, path = { 0 };
	struct conf *conf = NULL;
	const char *dir = cmd->run_dir;

	if (dir == NULL) {
		conf = conf_load(cmd->conf_path, &errors);
		if (conf == NULL)
			ctl_fail(EX_CONFIG, "the configuration is wrong\n%s", buf_cstr(&errors));
		dir = conf->run_dir;
	}
	buf_puts(&path, dir);
	conf_free(&conf);
	buf_free(&errors);
	return buf_take(&path, NULL);
}

static char *
region_path(const struct ctl *cmd)
{
	char *dir = ctl_run_dir(cmd);
	struct buf path = { 0 };

	buf_printf(&path, "%s/stats", dir);
	mem_free(&dir);
	return buf_take(&path, NULL);
}

static struct stats *
region_open(const struct ctl *cmd, struct stats_process *supervisor_r)
{
	char *path = region_path(cmd);
	struct stats *s = stats_map(path);

	if (s == NULL && errno == ENOENT)
		ctl_fail(EX_UNAVAILABLE, "no daemon runs: there is no \"%s\" (another directory: -d RUN_DIR)", path);
	if (s == NULL && errno == EPROTO)
		ctl_fail(EX_PROTOCOL, "\"%s\" was not made by this version of taskqd", path);
	if (s == NULL)
		ctl_fail(errno == EACCES ? EX_NOPERM : EX_IOERR, "could not open \"%s\": %s", path, strerror(errno));
	if (!stats_supervisor(s, supervisor_r))
		ctl_fail(EX_UNAVAILABLE, "no daemon runs: process %d, which made \"%s\", is gone",
		    (int)supervisor_r->pid, path);
	mem_free(&path);
	return s;
}

/* --- status ---------------------------------------------------------------------------------------------------------- */

/* What an operator asks for first; the rest is on /metrics. */
struct total {
	const char *name; /* in JSON */
	const char *words;
	int64_t value;
};
#define TOTALS_MOST 20

static size_t
totals_collect(const struct stats *s, struct total *t)
{
	const struct total all[] = {
		{ "http_connections", "connections open", stats_sum(s, S_HTTP_CONNECTIONS) },
		{ "http_requests", "requests answered", stats_sum_requests(s) },
		{ "submitted", "tasks stored", stats_sum_submitted(s) },
		{ "replayed", "answered from an idempotency key", stats_sum(s, S_KEY_REPLAY) },
		{ "running", "tasks running", stats_sum(s, S_RUNNING) },
		{ "slots", "of as many at once", stats_sum(s, S_SLOTS) },
		{ "succeeded", "runs that succeeded", stats_sum_finished(s, STATS_SUCCEEDED) },
		{ "retried", "runs that will be tried again", stats_sum_finished(s, STATS_RETRIED) },
		{ "dead", "tasks that are dead letters", stats_sum_finished(s, STATS_DEAD) },
		{ "failed", "tasks that failed by policy", stats_sum_finished(s, STATS_FAILED) },
		{ "cancelled", "tasks cancelled", stats_sum_finished(s, STATS_CANCELLED) },
		{ "put_off", "runs whose handler put the task off", stats_sum_finished(s, STATS_PUT_OFF) },
		{ "released", "runs given back", stats_sum_finished(s, STATS_RELEASED) },
		{ "reaped", "tasks taken back from dead workers", stats_sum(s, S_REAPED) },
		{ "postgres_connections", "Postgres connections ready", stats_sum(s, S_PG_READY) },
		{ "postgres_errors", "statements that failed", stats_sum(s, S_PG_ERRORS) },
		{ "postgres_cuts", "Postgres connections lost", stats_sum(s, S_PG_CUTS) },
		{ "log_lines_dropped", "log lines dropped", stats_sum(s, S_LOG_DROPPED) },
	};

	_Static_assert(ARRAY_LEN(all) <= TOTALS_MOST, "all fit");
	memcpy(t, all, sizeof(all));
	return ARRAY_LEN(all);
}

/* "3d 4h", "4h 12m", "12m 5s", "5.1s" */
static const char *
span_text(int64_t us, char text[32])
{
	long long s = us / CLOCK_SECOND;

	if (s >= 86400)
		snprintf(text, 32, "%lldd %lldh", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(text, 32, "%lldh %lldm", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(text, 32, "%lldm %llds", s / 60, s % 60);
	else
		snprintf(text, 32, "%.1fs", us > 0 ? (double)us / 1e6 : 0.0);
	return text;
}

static void
print_process(const struct stats_process *p)
{
	char beat[32] = "-", up[32];

	if (p->heartbeat != 0)
		span_text(clock_now() - p->heartbeat, beat);
	span_text(clock_wall() - p->started_at, up);
	printf("%-11s %5d %8d %4u  %-12s %9s  %9s\n", p->role, p->index, (int)p->pid, p->generation,
	    p->doing[0] != '\0' ? p->doing : "-", beat, up);
}

static void
print_table(const struct stats *s, const struct stats_process *all, int n)
{
	struct total totals[TOTALS_MOST];
	size_t ntotals = totals_collect(s, totals), i;
	char panic[STATS_PANIC];
	int j;

	printf("%-11s %5s %8s %4s  %-12s %9s  %9s\n", "ROLE", "INDEX", "PID", "GEN", "DOING", "HEARTBEAT", "UP");
	for (j = 0; j < n; j++)
		print_process(&all[j]);
	putchar('\n');
	for (i = 0; i < ntotals; i++)
		printf("%12lld  %s\n", (long long)totals[i].value, totals[i].words);
	stats_last_panic(s, panic);
	if (panic[0] != '\0')
		printf("\nlast words of a process that is gone: %s\n", panic);
}

static json_t *
process_json(const struct stats_process *p)
{
	json_t *heartbeat = p->heartbeat != 0 ? json_real((double)(clock_now() - p->heartbeat) / 1e6) : json_null();
	json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:s%, s:o, s:f}", "role", p->role, "index", p->index, "pid",
	    (int)p->pid, "generation", (int)p->generation, "doing", p->doing, strlen(p->doing), "heartbeat_age_seconds",
	    heartbeat, "uptime_seconds", (double)(clock_wall() - p->started_at) / 1e6);

	ASSERT(o != NULL);
	return o;
}

static void
print_json(const struct stats *s, const struct stats_process *all, int n)
{
	struct total totals[TOTALS_MOST];
	size_t ntotals = totals_collect(s, totals), i;
	json_t *processes = json_array(), *sums = json_object(), *top;
	char started[CLOCK_TEXT], panic[STATS_PANIC];
	int j;

	for (j = 0; j < n; j++)
		MUST(json_array_append_new(processes, process_json(&all[j])) == 0);
	for (i = 0; i < ntotals; i++)
		MUST(json_object_set_new(sums, totals[i].name, json_integer(totals[i].value)) == 0);
	clock_format(all[0].started_at, started);
	stats_last_panic(s, panic);
	top = json_pack("{s:b, s:i, s:s, s:o, s:o, s:s?}", "running", 1, "pid", (int)all[0].pid, "started_at", started,
	    "processes", processes, "totals", sums, "last_panic", panic[0] != '\0' ? panic : NULL);
	ASSERT(top != NULL);
	MUST(json_dumpf(top, stdout, JSON_INDENT(2)) == 0);
	putchar('\n');
	json_decref(top);
}

static int
do_status(const struct ctl *cmd)
{
	struct stats_process all[STATS_SLOTS];
	struct stats *s = region_open(cmd, &all[0]);
	int n = 1 + stats_processes(s, all + 1, STATS_SLOTS - 1);

	if (cmd->json)
		print_json(s, all, n);
	else
		print_table(s, all, n);
	return EX_OK;
}

/* --- metrics --------------------------------------------------------------------------------------------------------- */

static int
do_metrics(const struct ctl *cmd)
{
	struct stats_process supervisor;
	struct buf text = { 0 };

	if (cmd->json)
		ctl_fail(EX_USAGE, "metrics are printed in the text format of Prometheus only");
	stats_metrics(region_open(cmd, &supervisor), &text);
	fwrite(text.data, 1, text.len, stdout);
	buf_free(&text);
	return EX_OK;
}

/* --- the command line ------------------------------------------------------------------------------------------------ */

static const struct {
	const char *verb;
	int (*run)(const struct ctl *cmd);
	const char *words;
} verbs[] = {
	{ "status", do_status, "the processes of the daemon and its main numbers" },
	{ "metrics", do_metrics, "all numbers, as on /metrics" },
};

static void
print_help(void)
{
	size_t i;

	puts("usage: taskqctl [-d RUN_DIR | -c FILE] [-u URL] [--json] VERB [option...]\n");
	for (i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %-16s  %s\n", verbs[i].verb, verbs[i].words);
	ctl_verbs_help();
	puts("\n"
	     "  -d, --dir DIR     run_dir of the daemon\n"
	     "  -c, --config FILE its configuration, which tells run_dir\n"
	     "  -u, --url URL     the API of a daemon elsewhere: http://host:port\n"
	     "  -j, --json        for programs\n"
	     "  -h, --help        this text\n"
	     "  -V, --version     the version\n\n"
	     "taskqctl VERB --help tells the options of a verb\n"
	     "exit status: 0 the daemon runs, 69 it does not, 64 wrong usage; more in taskqctl(1)");
}

static void
parse_options(int argc, char **argv, struct ctl *cmd)
{
	static const struct option longs[] = { { "dir", required_argument, NULL, 'd' },
		{ "config", required_argument, NULL, 'c' }, { "url", required_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "+d:c:u:jhV", longs, NULL)) != -1)
		switch (c) {
		case 'd':
			cmd->run_dir = optarg;
			break;
		case 'c':
			cmd->conf_path = optarg;
			break;
		case 'u':
			cmd->url = optarg;
			break;
		case 'j':
			cmd->json = true;
			break;
		case 'h':
			print_help();
			exit(EX_OK);
		case 'V':
			puts("taskqctl " PACKAGE_VERSION);
			exit(EX_OK);
		default: /* getopt_long has said what is wrong */
			fputs("taskqctl --help tells more\n", stderr);
			exit(EX_USAGE);
		}
	if (cmd->run_dir != NULL && cmd->conf_path != NULL)
		ctl_fail(EX_USAGE, "-d and -c exclude each other");
	if (optind >= argc)
		ctl_fail(EX_USAGE, "a verb is missing; taskqctl --help tells which there are");
	cmd->argc = argc - optind;
	cmd->argv = argv + optind;
	if (strcmp(argv[argc - 1], "--json") == 0 || strcmp(argv[argc - 1], "-j") == 0) {
		cmd->json = true;
		cmd->argc--;
	}
}

static int
run(const struct ctl *cmd)
{
	if (ctl_verbs_run(cmd))
		return EX_OK;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, cmd->argv[0]) != 0)
			continue;
		if (cmd->argc > 1)
			ctl_fail(EX_USAGE, "\"%s\" is too much", cmd->argv[1]);
		return verbs[i].run(cmd);
	}
	ctl_fail(EX_USAGE, "no such verb: \"%s%s%s\"; taskqctl --help tells which there are", cmd->argv[0],
	    cmd->argc > 1 ? " " : "", cmd->argc > 1 ? cmd->argv[1] : "");
}

int
main(int argc, char **argv)
{
	struct ctl cmd = { 0 };
	int code;

	parse_options(argc, argv, &cmd);
	code = run(&cmd);
	if (fflush(stdout) != 0 || ferror(stdout))
		ctl_fail(EX_IOERR, "could not write: %s", strerror(errno));
	return code;
}
