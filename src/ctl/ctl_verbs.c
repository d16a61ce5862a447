/* ctl_verbs.c - the verbs that ask the API: what each sends, and how its answer is shown.
 *
 * A verb is a row of the table: its words, the request, the options that it takes, and the columns of its answer.  With --json the answer
 * is printed as it came.  A new one is a row here, words in taskqctl(1) and a line in t/5100-ctl.t.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/ctl.h"

#define COLUMNS(list) .columns = list, .ncolumns = ARRAY_LEN(list)

static const struct ctl_column letter_columns[] = { { "ID", "id" }, { "DIED", "died_at" }, { "QUEUE", "queue" },
	{ "TYPE", "task_type" }, { "REASON", "reason" }, { "CLASS", "error_class" }, { "CODE", "error_code" },
	{ "RUNS", "run" }, { "MESSAGE", "message" } };
static const struct ctl_column cause_columns[] = { { "CAUSE", "cause" }, { "OPEN", "open" },
	{ "LAST HOUR", "last_hour" }, { "OLDEST s", "oldest_seconds" }, { "QUEUE", "queue" }, { "TYPE", "task_type" },
	{ "REASON", "reason" }, { "CLASS", "error_class" }, { "CODE", "error_code" }, { "OWNER", "owner" },
	{ "SEEN BY", "acknowledged_by" }, { "DUE", "due_at" }, { "MESSAGE", "message" } };
static const struct ctl_column group_columns[] = { { "NAME", "name" }, { "OPEN", "open" }, { "LAST HOUR", "last_hour" },
	{ "EXHAUSTED", "retry_exhausted" }, { "NON RETRYABLE", "non_retryable" }, { "SHARE", "non_retryable_share" },
	{ "OLDEST s", "oldest_seconds" } };
static const struct ctl_column owner_columns[] = { { "QUEUE", "queue" }, { "TYPE", "task_type" },
	{ "FINGERPRINT", "fingerprint" }, { "OWNER", "owner" }, { "SLA s", "sla_seconds" } };
static const struct ctl_column replay_columns[] = { { "ID", "id" }, { "ACT", "act" }, { "STATE", "state" },
	{ "TOTAL", "total" }, { "MOVED", "moved" }, { "IN FLIGHT", "in_flight" }, { "SUCCEEDED", "succeeded" },
	{ "FAILED", "failed" }, { "BLOCKED", "blocked" }, { "RATE", "rate" }, { "HELD", "held" }, { "BY", "by" },
	{ "WHY", "why" } };
static const struct ctl_column block_columns[] = { { "TYPE", "task_type" }, { "VERSION", "schema_version" },
	{ "SINCE", "at" }, { "BY", "by" }, { "WHY", "why" } };
static const struct ctl_column audit_columns[] = { { "AT", "at" }, { "ACT", "act" }, { "BY", "by" }, { "N", "n" },
	{ "TARGET", "target" }, { "WHY", "why" } };

struct verb {
	const char *words;
	const char *method, *target; /* %s: the argument */
	const char *argument;        /* its name; null: there is none */
	const char *member;          /* of the body that the argument is; null: it is in the target */
	const char *options;         /* as ctl_args() takes them */
	void (*show)(const struct verb *v, const json_t *answer);
	const struct ctl_column *columns; /* of the rows of an answer that has items */
	size_t ncolumns;
	const char *help;
};

/* --- showing ------------------------------------------------------------------------------------------------------------------ */

static void
show_items(const struct verb *v, const json_t *answer)
{
	const char *next = json_string_value(json_object_get(answer, "next_cursor"));

	ctl_show_rows(json_object_get(answer, "items"), v->columns, (int)v->ncolumns);
	if (next != NULL)
		printf("\nthere may be more: --cursor %s\n", next);
}

static void
show_object(const struct verb *v UNUSED, const json_t *answer)
{
	ctl_show_object(answer);
}

/* The causes, and the sums of the groups that have more than one name. */
static void
show_summary(const struct verb *v UNUSED, const json_t *answer)
{
	static const char *const groups[] = { "queues", "task_types", "reasons", "classes", "codes" };
	const json_t *group;

	printf("%" JSON_INTEGER_FORMAT " open letters\n\n", json_integer_value(json_object_get(answer, "open")));
	ctl_show_rows(json_object_get(answer, "causes"), cause_columns, (int)ARRAY_LEN(cause_columns));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		group = json_object_get(answer, groups[i]);
		if (json_array_size(group) < 2)
			continue;
		printf("\n%s\n", groups[i]);
		ctl_show_rows(group, group_columns, (int)ARRAY_LEN(group_columns));
	}
}

/* As Postfix's qshape: a line for each queue and state, a column for each age. */
static void
show_shape(const struct verb *v UNUSED, const json_t *answer)
{
	const json_t *minutes = json_object_get(answer, "minutes"), *items = json_object_get(answer, "items"), *item,
		     *ages;
	bool by_type = json_string_length(json_object_get(json_array_get(items, 0), "task_type")) > 0;
	size_t i, j;

	printf("%-24s%s%-11s%8s", "QUEUE", by_type ? "TYPE                    " : "", "STATE", "T");
	json_array_foreach((json_t *)minutes, j, ages)
	{
		printf("%8" JSON_INTEGER_FORMAT, json_integer_value(ages));
	}
	printf("%7s+\n", "");
	json_array_foreach((json_t *)items, i, item)
	{
		printf("%-24s", json_string_value(json_object_get(item, "queue")));
		if (by_type)
			printf("%-24s", json_string_value(json_object_get(item, "task_type")));
		printf("%-11s%8" JSON_INTEGER_FORMAT, json_string_value(json_object_get(item, "state")),
		    json_integer_value(json_object_get(item, "total")));
		json_array_foreach(json_object_get(item, "ages"), j, ages)
		{
			printf("%8" JSON_INTEGER_FORMAT, json_integer_value(ages));
		}
		putchar('\n');
	}
	puts(json_is_true(json_object_get(answer, "at_least"))
		 ? "\nages in minutes; a bound was met: there are at least so many"
		 : "\nages in minutes");
}

/* --- streams ------------------------------------------------------------------------------------------------------------------ */

static void
do_export(const struct ctl *c, const struct ctl_words *w)
{
	struct buf target = { 0 };

	buf_printf(&target, "/v1/dead/export%s", w->query.len > 0 ? buf_cstr((struct buf *)&w->query) : "");
	ctl_download(c, buf_cstr(&target), stdout);
	buf_free(&target);
}

/* How many, and what was not imported; an error when a line was none or could not be stored. */
static void
show_import(const struct ctl *c, const json_t *answer)
{
	static const struct ctl_column columns[] = { { "LINE", "line" }, { "VERDICT", "verdict" }, { "ID", "id" },
		{ "AT", "error/pointer" }, { "WHY", "error/detail" } };
	static const char *const members[] = { "lines", "imported", "exists", "invalid", "failed" };
	json_int_t bad = json_integer_value(json_object_get(answer, "invalid")) +
			 json_integer_value(json_object_get(answer, "failed"));
	json_t *rest = json_array(), *item;
	size_t i;

	if (c->json) {
		ctl_show_json(answer);
	} else {
		for (i = 0; i < ARRAY_LEN(members); i++)
			printf("%-10s %" JSON_INTEGER_FORMAT "\n", members[i],
			    json_integer_value(json_object_get(answer, members[i])));
		json_array_foreach(json_object_get(answer, "items"), i,
		    item) if (json_object_get(item, "error") != NULL || json_object_get(item, "was") != NULL ||
			      strcmp(json_string_value(json_object_get(item, "verdict")), "failed") == 0)
		    MUST(json_array_append(rest, item) == 0);
		if (json_array_size(rest) > 0)
			putchar('\n');
		if (json_array_size(rest) > 0)
			ctl_show_rows(rest, columns, (int)ARRAY_LEN(columns));
	}
	json_decref(rest);
	if (!json_is_true(json_object_get(answer, "whole")))
		fprintf(stderr, "taskqctl: %s\n", json_string_value(json_object_get(answer, "detail")));
	if (bad > 0)
		ctl_fail(EX_DATAERR, "%" JSON_INTEGER_FORMAT " letters were not imported", bad);
}

static void
do_import(const struct ctl *c, const struct ctl_words *w)
{
	struct buf target = { 0 };
	FILE *in = w->file != NULL ? fopen(w->file, "r") : stdin;
	const char *by = json_string_value(json_object_get(w->body, "by")),
		   *why = json_string_value(json_object_get(w->body, "why"));
	json_t *answer;

	if (in == NULL)
		ctl_fail(EX_NOINPUT, "could not open \"%s\"", w->file);
	buf_puts(&target, "/v1/dead/import");
	struct buf query = { 0 };
	if (by != NULL)
		ctl_query_add(&query, "by", by);
	if (why != NULL)
		ctl_query_add(&query, "why", why);
	buf_put(&target, query.data, query.len);
	answer = ctl_upload(c, buf_cstr(&target), in);
	show_import(c, answer);
	json_decref(answer);
	buf_free(&query);
	buf_free(&target);
	if (in != stdin)
		fclose(in);
}

/* --- the table ------------------------------------------------------------------------------------------------------------------ */

#define REPLAYS "/v1/dead/replays"

static const struct verb verbs[] = {
	{ "dead summary", "GET", "/v1/dead/summary", .options = "filter", .show = show_summary,
	    .help = "what the open dead letters died of" },
	{ "dead list", "GET", "/v1/dead", .options = "filter page cursor", .show = show_items, COLUMNS(letter_columns),
	    .help = "letters, the newest first" },
	{ "dead show", "GET", "/v1/dead/%s", "ID", .options = "", .show = show_object,
	    .help = "one letter with every attempt" },
	{ "dead acknowledge", "POST", "/v1/dead/acknowledge", .options = "filter note due-in by why",
	    .show = show_object, .help = "say that somebody sees to these causes" },
	{ "dead replay", "POST", REPLAYS,
	    .options = "filter rate limit concurrency canary stop-share slow-start dry-run payload by why",
	    .show = show_object, .help = "run letters again, at a rate" },
	{ "dead discard", "POST", "/v1/dead/discards", .options = "filter rate limit dry-run by why",
	    .show = show_object, .help = "give letters up" },
	{ "dead fix", "POST", "/v1/dead/fixes", .options = "filter rate limit dry-run by why", .show = show_object,
	    .help = "say that letters were mended by hand" },
	{ "dead replays", "GET", REPLAYS, .options = "page cursor", .show = show_items, COLUMNS(replay_columns),
	    .help = "replays, discards and fixes, the newest first" },
	{ "dead progress", "GET", REPLAYS "/%s", "NUMBER", .options = "", .show = show_object,
	    .help = "how far one of them is" },
	{ "dead pause", "POST", REPLAYS "/%s/pause", "NUMBER", .options = "by why", .show = show_object,
	    .help = "it stands still" },
	{ "dead resume", "POST", REPLAYS "/%s/resume", "NUMBER", .options = "by why", .show = show_object,
	    .help = "it goes on" },
	{ "dead cancel", "POST", REPLAYS "/%s/cancel", "NUMBER", .options = "by why", .show = show_object,
	    .help = "it ends where it is" },
	{ "dead owners", "GET", "/v1/dead/owners", .options = "", .show = show_items, COLUMNS(owner_columns),
	    .help = "whose letters they are" },
	{ "dead own", "PUT", "/v1/dead/owners", "OWNER", "owner", "of-queue of-type of-fingerprint sla by why",
	    .show = show_object, .help = "give letters to somebody" },
	{ "dead disown", "DELETE", "/v1/dead/owners", .options = "of-queue of-type of-fingerprint by why",
	    .show = show_object, .help = "take that back" },
	{ "dead blocks", "GET", "/v1/dead/blocks", .options = "", .show = show_items, COLUMNS(block_columns),
	    .help = "what must not be replayed" },
	{ "dead block", "PUT", "/v1/dead/blocks", "TYPE", "task_type", "of-version by why", .show = show_object,
	    .help = "letters of this task type stay" },
	{ "dead unblock", "DELETE", "/v1/dead/blocks", "TYPE", "task_type", "of-version by why", .show = show_object,
	    .help = "they may be replayed again" },
	{ "dead export", .options = "filter", .help = "letters as lines of JSON" },
	{ "dead import", .options = "file by why", .help = "such lines become letters here" },
	{ "qshape", "GET", "/v1/queues/shape", .options = "of per", .show = show_shape,
	    .help = "age against queue, on one screen" },
	{ "audit", "GET", "/v1/audit", .options = "act actor since page cursor", .show = show_items,
	    COLUMNS(audit_columns), .help = "who did what, and why" },
};

/* --- running ------------------------------------------------------------------------------------------------------------------- */

/* How many of the words it is; 0: another one. */
static int
verb_words(const struct verb *v, int argc, char **argv)
{
	const char *space = strchr(v->words, ' ');
	size_t len = space != NULL ? (size_t)(space - v->words) : strlen(v->words);

	if (argc < 1 || strlen(argv[0]) != len || memcmp(argv[0], v->words, len) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return argc >= 2 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static void
ask(const struct ctl *c, const struct verb *v, const char *argument, struct ctl_words *w)
{
	bool gets = strcmp(v->method, "GET") == 0;
	struct buf target = { 0 };
	const char *percent = strstr(v->target, "%s");
	json_t *answer;

	if (percent != NULL && argument != NULL && strpbrk(argument, "/?#% ") != NULL)
		ctl_fail(EX_USAGE, "\"%s\" is no %s", argument, v->argument);
	buf_printf(&target, "%.*s", percent != NULL ? (int)(percent - v->target) : (int)strlen(v->target), v->target);
	if (percent != NULL)
		buf_printf(&target, "%s%s", argument, percent + 2);
	if (v->member != NULL)
		MUST(json_object_set_new(w->body, v->member, json_string(argument)) == 0);
	if (w->query.len > 0)
		buf_put(&target, w->query.data, w->query.len);
	answer = ctl_ask(c, v->method, buf_cstr(&target), gets ? NULL : w->body);
	if (c->json)
		ctl_show_json(answer);
	else
		v->show(v, answer);
	json_decref(answer);
	buf_free(&target);
}

static void
run(const struct ctl *c, const struct verb *v, int words)
{
	int argc = c->argc - words;
	char **argv = c->argv + words;
	const char *argument = NULL;
	struct ctl_words w;

	if (v->argument != NULL && (argc < 1 || strncmp(argv[0], "--", 2) == 0))
		ctl_fail(EX_USAGE, "usage: taskqctl %s %s [option...]", v->words, v->argument);
	if (v->argument != NULL) {
		argument = argv[0];
		argc--;
		argv++;
	}
	ctl_args(&w, argc, argv, v->options, v->method == NULL || strcmp(v->method, "GET") == 0);
	if (v->method != NULL)
		ask(c, v, argument, &w);
	else if (strcmp(v->words, "dead export") == 0)
		do_export(c, &w);
	else
		do_import(c, &w);
	ctl_args_free(&w);
}

bool
ctl_verbs_run(const struct ctl *c)
{
	int n;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		n = verb_words(&verbs[i], c->argc, c->argv);
		if (n == 0)
			continue;
		if (c->argc > n && strcmp(c->argv[n], "--help") == 0) {
			printf("taskqctl %s%s%s: %s\n\n", verbs[i].words, verbs[i].argument != NULL ? " " : "",
			    verbs[i].argument != NULL ? verbs[i].argument : "", verbs[i].help);
			ctl_args_help(verbs[i].options);
		} else {
			run(c, &verbs[i], n);
		}
		return true;
	}
	return false;
}

void
ctl_verbs_help(void)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %-16s  %s\n", verbs[i].words, verbs[i].help);
}
