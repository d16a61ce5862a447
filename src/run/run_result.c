/* run_result.c - what its queue says of a result: how long it may be, and whether it is kept at all.
 *
 * Here and not in a kind of work, so that it is the same for all of them; work.output_max is what a kind reads at most.  Logs nothing.
 * Next: store/store_read.c, which shows them.
 */
#include "run/run_int.h"

void
run_result_check(struct run_task *t)
{
	int64_t most = store_result_max(t->run->conf, t->row.queue);
	struct task_failure *f;

	if (t->exec.end.ending != EXEC_SUCCESS || (int64_t)t->exec.end.result.len <= most)
		return;
	f = exec_fail(&t->exec, TASK_NON_RETRYABLE, "OUTPUT_TOO_LARGE", SPAN(""));
	task_result_too_large(f, most);
}

bool
run_result_kept(const struct run_task *t)
{
	return store_result_life(t->run->conf, t->row.queue) > 0;
}
