/* task_class.c - why a run failed, in one word, and what the end of a process or the status of an HTTP answer says about it.
 *
 * The class decides what happens next (again, dead, pause); the code says which failure it was.  The words are part of
 * the API and of stored rows: never rename one.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "task/task.h"

static const char *const class_names[TASK_CLASSES] = {
	[TASK_TRANSIENT] = "TRANSIENT",
	[TASK_PERSISTENT] = "PERSISTENT",
	[TASK_NON_RETRYABLE] = "NON_RETRYABLE",
	[TASK_AUTH] = "AUTH",
	[TASK_RATE_LIMITED] = "RATE_LIMITED",
	[TASK_CRASH] = "CRASH",
};

/* The exit codes that mean more than "it did not work". */
static const struct {
	int status;
	enum task_class class;
	const char *code;
} exits[] = {
	{ EX_USAGE, TASK_NON_RETRYABLE, "EX_USAGE" },
	{ EX_DATAERR, TASK_NON_RETRYABLE, "EX_DATAERR" },
	{ EX_NOINPUT, TASK_NON_RETRYABLE, "EX_NOINPUT" },
	{ EX_NOPERM, TASK_AUTH, "EX_NOPERM" },
	{ EX_CONFIG, TASK_NON_RETRYABLE, "EX_CONFIG" },
};

const char *
task_class_name(enum task_class c)
{
	ASSERT((unsigned)c < TASK_CLASSES);
	return class_names[c];
}

bool
task_class_parse(struct span word, enum task_class *c_r)
{
	for (int c = TASK_CLASS_NONE + 1; c < TASK_CLASSES; c++)
		if (span_is(word, class_names[c])) {
			*c_r = (enum task_class)c;
			return true;
		}
	return false;
}

/* The HTTP statuses that are not like the others of their hundred. */
static const struct {
	int status;
	enum task_class class;
} statuses[] = {
	{ 401, TASK_AUTH },
	{ 403, TASK_AUTH },
	{ 408, TASK_TRANSIENT },
	{ 409, TASK_TRANSIENT },
	{ 423, TASK_TRANSIENT },
	{ 425, TASK_TRANSIENT },
	{ 429, TASK_RATE_LIMITED },
	{ 502, TASK_TRANSIENT },
	{ 503, TASK_TRANSIENT },
	{ 504, TASK_TRANSIENT },
};

static void
of_signal(int sig, struct task_failure *f)
{
	const char *name = sigabbrev_np(sig); /* null for realtime signals */

	f->class = TASK_CRASH;
	if (name != NULL)
		snprintf(f->code, sizeof(f->code), "SIG%s", name);
	else
		snprintf(f->code, sizeof(f->code), "SIGNAL_%d", sig);
	snprintf(f->message, sizeof(f->message), "killed by signal %d (%s)", sig, f->code);
}

void
task_class_of_exit(int wait_status, struct task_failure *f_r)
{
	f_r->exit = wait_status;
	if (WIFSIGNALED(wait_status)) {
		of_signal(WTERMSIG(wait_status), f_r);
		return;
	}
	ASSERT(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 0);
	f_r->class = TASK_TRANSIENT;
	snprintf(f_r->code, sizeof(f_r->code), "HANDLER_FAILED");
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (exits[i].status == WEXITSTATUS(wait_status)) {
			f_r->class = exits[i].class;
			snprintf(f_r->code, sizeof(f_r->code), "%s", exits[i].code);
		}
	snprintf(f_r->message, sizeof(f_r->message), "exited with status %d", WEXITSTATUS(wait_status));
}

void
task_class_of_status(int status, struct task_failure *f_r)
{
	ASSERT(status >= 100 && status <= 999);
	f_r->exit = TASK_EXIT_HTTP + status;
	f_r->class = status >= 500 ? TASK_TRANSIENT : TASK_NON_RETRYABLE;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			f_r->class = statuses[i].class;
	snprintf(f_r->code, sizeof(f_r->code), "HTTP_%d", status);
	snprintf(f_r->message, sizeof(f_r->message), "answered with status %d", status);
}

bool
task_class_exit_is_special(int exit)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (exit == TASK_EXIT_HTTP + statuses[i].status)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (exit >= 0 && exit < TASK_EXIT_HTTP && WIFEXITED(exit) && WEXITSTATUS(exit) == exits[i].status)
			return true;
	return false;
}

void
task_result_too_large(struct task_failure *f, int64_t most)
{
	snprintf(f->code, sizeof(f->code), "OUTPUT_TOO_LARGE");
	snprintf(f->message, sizeof(f->message), "the result is longer than %lld bytes, the most that its queue takes",
	    (long long)most);
}
