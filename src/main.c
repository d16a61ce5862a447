/* main.c - argv, the configuration, the table of roles, super_run().
 *
 * The only file that sees every room.  A verb (-t, --print-config, --print-sample, --migrate) does its one thing and ends; without a
 * verb this is the daemon.  Exit codes are those of sysexits.h: 64 usage, 66 the named file is missing, 78 it is wrong.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "call/call.h"
#include "conf/conf.h"
#include "http/http.h"
#include "log/log.h"
#include "role/role.h"
#include "store/store.h"
#include "super/super.h"
#include "sys/proc.h"
#include "task/task_rules.h"
#include "task/task_schema.h"

enum verb {
	VERB_RUN,
	VERB_TEST,
	VERB_PRINT_CONFIG,
	VERB_PRINT_SAMPLE,
	VERB_MIGRATE,
	VERB_VERSION,
	VERB_BUILD,
	VERB_HELP
};

struct command {
	enum verb verb;
	const char *conf_path; /* null: the default file, if it is there */
	bool quiet;
	bool daemonize;
};

static const char usage_text[] =
    "usage: taskqd [-c FILE] [-d | -f] [-t [-q] | --print-config | --print-sample | --migrate]\n"
    "  -c, --config FILE   read FILE instead of " SYSCONFDIR "/taskq.conf\n"
    "  -d, --daemon        go into the background\n"
    "  -f, --foreground    stay in the foreground (default)\n"
    "  -t, --test-config   check the configuration and end; with -q, --quiet say nothing when it is good\n"
    "      --print-config  print the configuration in force\n"
    "      --print-sample  print a commented configuration with all defaults\n"
    "      --migrate       bring the schema of the database up to date\n"
    "  -v, --version       print the version;  -V prints how it was built, too\n"
    "  -h, --help          print this\n"
    "See taskqd(8) and taskq.conf(5).\n";

/* A second verb is a mistake of the caller. */
static bool
choose(struct command *cmd, enum verb verb)
{
	if (cmd->verb != VERB_RUN && cmd->verb != verb) {
		fputs("taskqd: two verbs, expected one\n", stderr);
		return false;
	}
	cmd->verb = verb;
	return true;
}

static bool
take_option(struct command *cmd, int option)
{
	switch (option) {
	case 'c':
		cmd->conf_path = optarg;
		return true;
	case 'q':
		cmd->quiet = true;
		return true;
	case 'd':
		cmd->daemonize = true;
		return true;
	case 'f':
		cmd->daemonize = false;
		return true;
	case 't':
		return choose(cmd, VERB_TEST);
	case 'p':
		return choose(cmd, VERB_PRINT_CONFIG);
	case 's':
		return choose(cmd, VERB_PRINT_SAMPLE);
	case 'm':
		return choose(cmd, VERB_MIGRATE);
	case 'v':
		return choose(cmd, VERB_VERSION);
	case 'V':
		return choose(cmd, VERB_BUILD);
	case 'h':
		return choose(cmd, VERB_HELP);
	default:
		return false; /* getopt_long() has said what */
	}
}

static bool
read_command(struct command *cmd, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test-config", no_argument, NULL, 't' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "print-sample", no_argument, NULL, 's' },
		{ "migrate", no_argument, NULL, 'm' },
		{ "daemon", no_argument, NULL, 'd' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:tqdfvVh", options, NULL)) != -1)
		if (!take_option(cmd, option))
			return false;
	if (optind < argc)
		fprintf(stderr, "taskqd: unexpected argument \"%s\", expected options only\n", argv[optind]);
	return optind == argc;
}

static void
print_build(void)
{
	puts(PACKAGE_NAME " " PACKAGE_VERSION);
	puts("compiler " __VERSION__);
	puts("configuration " SYSCONFDIR "/taskq.conf");
#ifdef TASKQ_FAILPOINTS
	puts("failpoints on");
#else
	puts("failpoints off");
#endif
}

/* The default file may be missing, a named one not.  Returns a sysexits code. */
static int
find_conf(struct command *cmd)
{
	const char *standard = SYSCONFDIR "/taskq.conf";

	if (cmd->conf_path == NULL) {
		cmd->conf_path = access(standard, F_OK) == 0 ? standard : NULL;
		return 0;
	}
	if (access(cmd->conf_path, F_OK) == 0)
		return 0;
	fprintf(stderr, "taskqd: could not open \"%s\": %s\n", cmd->conf_path, strerror(errno));
	return EX_NOINPUT;
}

static struct conf *
load_conf(const struct command *cmd)
{
	struct buf errors = { 0 };
	struct conf *c = conf_load(cmd->conf_path, &errors);

	fputs(buf_cstr(&errors), stderr);
	if (c == NULL)
		fprintf(stderr, "taskqd: the configuration is not usable\n");
	buf_free(&errors);
	return c;
}

static int
open_log(const struct conf *c, const char *target)
{
	struct log_settings s = { target, (enum log_level)c->log.level, (enum log_format)c->log.format };
	int error = log_open(&s);

	if (error == 0)
		return 0;
	fprintf(stderr, "taskqd: could not open log \"%s\": %s\n", target, strerror(error));
	return EX_CANTCREAT;
}

/* Verbs that need no configuration; -1: another one. */
static int
do_plain_verb(const struct command *cmd)
{
	switch (cmd->verb) {
	case VERB_HELP:
		fputs(usage_text, stdout);
		return 0;
	case VERB_VERSION:
		puts(PACKAGE_NAME " " PACKAGE_VERSION);
		return 0;
	case VERB_BUILD:
		print_build();
		return 0;
	case VERB_PRINT_SAMPLE:
		conf_sample(stdout);
		return 0;
	default:
		return -1;
	}
}

/* As the daemon would connect: a database that knows its users by their system names (peer) takes root for nobody. */
static int
migrate(const struct conf *c)
{
	if (geteuid() == 0 && c->user[0] != '\0' && !proc_drop_to(c->user)) {
		fprintf(stderr, "taskqd: could not become user \"%s\": %s\n", c->user, strerror(errno));
		return EX_NOPERM;
	}
	return store_migrate(c);
}

/* Verbs that read the configuration and end. */
static int
do_conf_verb(const struct command *cmd, const struct conf *c)
{
	int code;

	switch (cmd->verb) {
	case VERB_TEST:
		if (!cmd->quiet)
			fprintf(stderr, "taskqd: the configuration %s is good\n",
			    cmd->conf_path != NULL ? cmd->conf_path : "(defaults)");
		return 0;
	case VERB_PRINT_CONFIG:
		conf_print(c, stdout);
		return 0;
	case VERB_MIGRATE: /* what it has to say is for the caller, not for the daemon's log */
		code = open_log(c, "stderr");
		return code != 0 ? code : migrate(c);
	default:
		UNREACHABLE("a verb that is done elsewhere");
	}
}

static int
count_workers(const struct conf *c)
{
	return c->workers;
}

static int
count_acceptors(const struct conf *c)
{
	return c->acceptors;
}

static int
count_one(const struct conf *c UNUSED)
{
	return 1;
}

/* Started from the top, so that workers find their launcher.  A drain goes up: acceptors and workers (1) together, for their
 * deadlines are one; the keeper (2) when no worker can leave it anything to take back; the launcher (3) last, because it ends the
 * handlers of the others. */
static const struct super_role roles[] = {
	{ .name = "launcher", .run = role_launcher, .count = count_one, .stop_order = 3, .keeps_root = true },
	{ .name = "keeper", .run = role_keeper, .count = count_one, .stop_order = 2 },
	{ .name = "worker", .run = role_worker, .count = count_workers, .stop_order = 1 },
	{ .name = "acceptor", .run = role_acceptor, .count = count_acceptors, .stop_order = 1, .listens = true },
};

/* Takes the configuration. */
static int
run_daemon(const struct command *cmd, struct conf *c)
{
	struct super_options options = {
		.conf_path = cmd->conf_path,
		.conf = c,
		.roles = roles,
		.nroles = ARRAY_LEN(roles),
		.daemonize = cmd->daemonize,
		.routes = api_route_names(),
	};
	int code = open_log(c, c->log.target);

	if (cmd->daemonize && strcmp(c->log.target, "stderr") == 0)
		fputs("taskqd: log.target is stderr, which nobody reads in the background; syslog or a path would be "
		      "kept\n",
		    stderr);
	return code != 0 ? code : super_run(&options);
}

/* Output that a full disk or a closed pipe swallowed is a failure. */
static int
finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "taskqd: could not write to stdout: %s\n", strerror(errno));
	return EX_IOERR;
}

int
main(int argc, char **argv)
{
	static const struct conf_call_judges judges = { call_url_wrong, call_secret_wrong, call_header_wrong,
		call_allow_wrong };
	struct command cmd = { VERB_RUN, NULL, false, false };
	struct conf *conf;
	int code;

	proc_title_init(argc, argv);
	if (!read_command(&cmd, argc, argv)) {
		fputs("Try \"taskqd --help\".\n", stderr);
		return EX_USAGE;
	}
	code = do_plain_verb(&cmd);
	if (code >= 0)
		return finish_output(code);
	conf_judge_conninfo(store_conninfo_good);
	conf_judge_calls(&judges);
	conf_read_schemas(task_schema_new, task_schema_free);
	conf_read_rules(task_rules_new, task_rules_free);
	code = find_conf(&cmd);
	if (code != 0)
		return code;
	conf = load_conf(&cmd);
	if (conf == NULL)
		return EX_CONFIG;
	if (cmd.verb == VERB_RUN)
		return run_daemon(&cmd, conf);
	code = do_conf_verb(&cmd, conf);
	conf_free(&conf);
	return finish_output(code);
}
