/* conf.h - the configuration as a struct, immutable once loaded.
 *
 * struct conf has one member per section of options.def and in it one per option: c->http.max_body, c->drain_timeout (top level
 * options are direct members).  Titled sections are arrays: c->handlers[i].title, c->handlers[i].timeout, c->nhandlers.
 *
 * TIME is int64_t us, SIZE int64_t bytes, RATE int64_t thousandths a day (conf_rate_interval() tells the time between two), INT and COUNT int (COUNT: `auto` is resolved to the number of cores), BOOL bool, WORD int
 * (position in its words), TEXT/PATH/SECRET const char * (never null), LIST/SECRETS struct conf_list.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"

#include "conf/conf_struct.h" /* struct conf, struct conf_handler: made from options.def by macros */

/* Positions of WORD options: the words of options.def in the same order (scripts/check-options). */
enum conf_handler_kind {
	CONF_HANDLER_EXEC,
	CONF_HANDLER_BUILTIN,
	CONF_HANDLER_HTTP,
	CONF_HANDLER_POOL,
	CONF_HANDLER_LEASE
};
enum conf_format { CONF_FORMAT_JSON, CONF_FORMAT_MSGPACK };
enum conf_redis_fill { CONF_REDIS_NEW, CONF_REDIS_REPLAYED };
enum conf_builtin { CONF_BUILTIN_NOOP, CONF_BUILTIN_ECHO, CONF_BUILTIN_SLEEP, CONF_BUILTIN_FAIL };

/* Who can judge postgres.conninfo lives on a higher floor: said once, before the first conf_load(). */
void conf_judge_conninfo(bool (*good)(const char *conninfo));

/* Who makes calls, too: each takes a text of the configuration and returns null, or what is wrong with it and what was expected.  Unsaid,
 * as in programs that call nobody, nothing is wrong. */
typedef const char *conf_judge_fn(const char *text);
struct conf_call_judges {
	conf_judge_fn *url, *secret, *header, *allow;
};
void conf_judge_calls(const struct conf_call_judges *judges);

/* Who can read a payload schema lives there too: the text of the file handler.schema names, or null and why.  Unsaid, as in programs
 * that run no tasks, the files are not looked at. */
struct task_schema;
void conf_read_schemas(
    struct task_schema *(*make)(struct span text, struct buf *why), void (*drop)(struct task_schema **s));

/* Who can read failure rules lives beside us: those of one handler, or null and why.  Unsaid, nobody looks at them. */
struct task_rules;
void conf_read_rules(
    struct task_rules *(*make)(const char *const *texts, int n, struct buf *why), void (*drop)(struct task_rules **r));

/* Reads and checks a file and all it includes.  Null when anything is wrong: then `errors` holds a line each, "file:line: what is
 * wrong, what was expected".  Path null: the defaults alone. */
struct conf *conf_load(const char *path, struct buf *errors) MUSTCHECK;
void conf_free(struct conf **c);
void conf_print(const struct conf *c, FILE *f); /* the effective configuration, readable by conf_load */
void conf_sample(FILE *f);                      /* etc/taskq.conf: every option, commented, with its words */
/* Copies what may only change at a restart from `old` into `fresh` and appends a line for each difference to `notes`. */
void conf_keep_restart_options(struct conf *fresh, const struct conf *old, struct buf *notes);
int conf_cores(void); /* that this process may use */
const struct conf_handler *conf_handler_find(const struct conf *c, struct span task_type); /* null: none */
void conf_queue_option(const struct conf_queue *q, const char *option, struct buf *out); /* its value as in a file */
const struct conf_queue *conf_queue_find(const struct conf *c, struct span queue); /* null: nothing was said of it */
int64_t conf_rate_interval(int64_t rate) MUSTCHECK; /* us from one to the next, rounded up; 0: no limit */
/* What its payloads must fit, as it was when the configuration was read; null: anything. */
const struct task_schema *conf_handler_schema(const struct conf *c, const struct conf_handler *h);
/* What its failures mean; null: what they mean by themselves. */
const struct task_rules *conf_handler_rules(const struct conf *c, const struct conf_handler *h);
void conf_handler_kind(const struct conf_handler *h, struct buf *out); /* its word: "exec" */
/* How its runs are guarded (sys/guard.h); conf_guard.c. */
struct guard_rule;
void conf_guard_rule(const struct conf *c, const struct conf_handler *h, struct guard_rule *rule_r);

#endif
