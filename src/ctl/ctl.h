/* ctl.h - what the files of taskqctl share.
 *
 *	taskqctl.c    the command line; status and metrics, which are read from the daemon's shared numbers
 *	ctl_verbs.c   the other verbs, one row each: what they ask of the API and how the answer is shown
 *	ctl_args.c    their options: into a query or a body
 *	ctl_http.c    one request to the daemon, one answer
 *	ctl_show.c    answers as tables
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>

#include "base/buf.h"

struct ctl {
	const char *run_dir;   /* null: from the configuration */
	const char *conf_path; /* null: the built-in one */
	const char *url;       /* of the API; null: the first address of the daemon */
	bool json;             /* answers for programs */
	int argc;              /* the words after the options of taskqctl itself */
	char **argv;
};

NORETURN PRINTF_LIKE(2, 3) void ctl_fail(int code, const char *fmt, ...);
/* The run_dir of the daemon; the caller frees it. */
char *ctl_run_dir(const struct ctl *c) MUSTCHECK;

/* --- ctl_verbs.c --------------------------------------------------------------------------------------------------------------- */

/* False: there is no such verb. */
bool ctl_verbs_run(const struct ctl *c) MUSTCHECK;
void ctl_verbs_help(void);

/* --- ctl_args.c ---------------------------------------------------------------------------------------------------------------- */

struct ctl_words {
	struct buf query; /* "?a=b&c=d", or empty */
	json_t *body;     /* an object */
	const char *file; /* --file, or null */
};
/* Reads options; `allowed` names them, separated by blanks, "filter" stands for all that tell dead letters.  A wrong one ends the
 * program.  With `query` filters go there, else into the member `filter` of the body. */
void ctl_args(struct ctl_words *w, int argc, char **argv, const char *allowed, bool query);
void ctl_args_free(struct ctl_words *w);
void ctl_args_help(const char *allowed);
/* Appends name=value, with ? or & before it. */
void ctl_query_add(struct buf *query, const char *name, const char *value);

/* --- ctl_http.c ---------------------------------------------------------------------------------------------------------------- */

/* The answer of a request that went well; any other ends the program with what the daemon said.  `body` may be null. */
json_t *ctl_ask(const struct ctl *c, const char *method, const char *target, const json_t *body) MUSTCHECK;
/* Lines from the daemon as they come; and lines to it, of which the answer tells what became. */
void ctl_download(const struct ctl *c, const char *target, FILE *out);
json_t *ctl_upload(const struct ctl *c, const char *target, FILE *in) MUSTCHECK;

/* --- ctl_show.c ---------------------------------------------------------------------------------------------------------------- */

struct ctl_column {
	const char *head;
	const char *member; /* "a/b" is b of the object a */
};
/* A row for each element of the array; at the end of a terminal's patience texts are cut to 60 characters. */
void ctl_show_rows(const json_t *items, const struct ctl_column *columns, int n);
/* A line for each member; what is an array of objects comes as a table below. */
void ctl_show_object(const json_t *o);
void ctl_show_json(const json_t *o);

#endif
