/* task_rules.h - what the failures of one handler mean, as its configuration says.  Pure; task_rules.c.
 *
 * A rule is a line of text, MATCH = CLASS [CODE]:
 *
 *	exit 3 = PERSISTENT                       an exit status, or several: exit 10-19 = NON_RETRYABLE BAD_INPUT
 *	signal KILL = TRANSIENT                   the process was ended by it
 *	status 409 = TRANSIENT                    an HTTP status, several, or a hundred: status 5xx = PERSISTENT
 *	code DB_DOWN = PERSISTENT                 a code, of the handler's or of taskqd's (TIMEOUT, BAD_OUTPUT, START_FAILED ...)
 *	class FLAKY = TRANSIENT                   a class word that the handler reported
 *
 * The first rule that fits wins.  Where none does: the class that the handler reported; else what task_class.c says of the exit or
 * HTTP status.  A reported class word that nobody knows makes the task dead, and so does a reported code without a class,
 * unless its exit or HTTP status means something by itself: trying on blindly would be a silent loop.
 */
#ifndef TASK_TASK_RULES_H
#define TASK_TASK_RULES_H

#include "task/task.h"

struct task_rules;

/* Null: `why` says what is wrong with the first bad one, and what was expected. */
struct task_rules *task_rules_new(const char *const *texts, int n, struct buf *why) MUSTCHECK;
void task_rules_free(struct task_rules **r);

/* What the handler said of its failure itself; its code is in the failure already. */
struct task_said {
	struct span class; /* the word as it came; empty: none */
	bool code;         /* it gave one */
};

enum task_judgement { TASK_JUDGED, TASK_UNKNOWN_CLASS, TASK_UNKNOWN_CODE };

/* Settles class and code of a failure that holds the defaults of its exit; `rules` may be null.  Of what is unknown the class is
 * NON_RETRYABLE and the message says which word it was. */
enum task_judgement task_rules_judge(
    const struct task_rules *rules, const struct task_said *said, struct task_failure *f) MUSTCHECK;

#endif
