/* task_dead.c - why a task is dead, in one word. */
#include "task/task.h"

#define NON_RETRYABLE 1 /* place in the list */

const char *const task_dead_reasons[] = {
	"RETRY_EXHAUSTED",
	[NON_RETRYABLE] = "NON_RETRYABLE",
	"NO_HANDLER",
	"EXPIRED",
	"QUARANTINED",
	"INVALID_PAYLOAD",
	"UNKNOWN_CLASS",
	"UNKNOWN_CODE",
	NULL,
};

bool
task_dead_reason_known(struct span word)
{
	for (const char *const *w = task_dead_reasons; *w != NULL; w++)
		if (span_is(word, *w))
			return true;
	return false;
}

const char *
task_dead_reason(struct span code)
{
	for (const char *const *w = task_dead_reasons; *w != NULL; w++)
		if (span_is(code, *w))
			return *w;
	return task_dead_reasons[NON_RETRYABLE];
}
