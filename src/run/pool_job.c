/* pool_job.c - the tasks that a child of a pool has: given, begun, answered, and what becomes of them when it ends.
 *
 * Envelopes are written ahead; whether the child has begun what it read is known of the oldest job alone, or by its own word.  So when it
 * ends by itself or breaks the protocol, the begun ones are blamed, or the one that is known to be at fault; when we ended it, the one
 * that we ended it for.  All others go back as if they had never been given to it: so does one of whose envelope no byte was read.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "log/log.h"
#include "sys/proc.h"
#include "task/task_msgpack.h"

#include "run/pool.h"

static struct pool_job *
job_at(const struct list *node)
{
	struct pool_job *j = container_of(node, struct pool_job, node);

	MAGIC_CHECK(j, POOL_JOB_MAGIC);
	return j;
}

/* --- given ----------------------------------------------------------------------------------------------------------------------- */

static void
envelope_write(struct pool_child *c, const struct exec_run *x)
{
	struct task_envelope e = {
		.row = x->row, .attempt = x->attempt, .lease_id = x->lease_id, .deadline = x->deadline
	};
	size_t from = c->out.len;

	if (!c->in.msgpack) {
		task_envelope_json(&c->out, &e);
		pool_envelope_line(&c->out, from);
		return;
	}
	buf_reset(&c->room);
	task_envelope_json(&c->room, &e);
	task_msgpack_put(&c->out, buf_span(&c->room));
}

void
pool_job_give(struct pool_child *c, struct exec_run *x)
{
	struct pool_job *j = arena_alloc(x->arena, sizeof(*j));
	size_t before = c->out.len;

	ASSERT(c->state == POOL_IDLE || c->state == POOL_BUSY);
	envelope_write(c, x);
	*j = (struct pool_job){ .magic = POOL_JOB_MAGIC, .child = c, .x = x, .from = c->put };
	c->put += c->out.len - before;
	j->to = c->put;
	j->given_at = clock_now();
	j->begun = c->njobs == 0;
	list_init(&j->node);
	list_push(&c->jobs, &j->node);
	c->njobs++;
	x->state = j;
	x->waits = !j->begun;
	pool_child_move(c, POOL_BUSY);
}

struct pool_job *
pool_job_oldest(const struct pool_child *c)
{
	const struct list *node = list_first(&c->jobs);

	return node != NULL ? job_at(node) : NULL;
}

struct pool_job *
pool_job_find(const struct pool_child *c, struct span lease)
{
	const struct list *node;
	struct id task;
	int64_t id;

	if (!task_lease_parse(lease, &task, &id))
		return NULL;
	for (node = c->jobs.next; node != &c->jobs; node = node->next) {
		struct pool_job *j = job_at(node);

		if (j->x->lease_id == id && id_eq(&j->x->row->id, &task))
			return j;
	}
	return NULL;
}

void
pool_job_begin(struct pool_job *j, int64_t since)
{
	if (j->begun)
		return;
	j->begun = true;
	j->x->waits = false;
	if (j->x->begun != NULL)
		j->x->begun(j->x, since);
}

/* --- over ------------------------------------------------------------------------------------------------------------------------ */

static void
job_remove(struct pool_job *j)
{
	list_remove(&j->node);
	j->child->njobs--;
	j->x->state = NULL;
	j->magic = 0;
}

/* The child hears first that the job is over, its owner then: it may free all of it. */
void
pool_job_answered(struct pool_job *j)
{
	struct pool_child *c = j->child;
	struct exec_run *x = j->x;
	struct pool_job *next;
	int64_t now = clock_now();

	pool_job_begin(j, j->given_at); /* one that overtook others */
	if (x->end.failure != NULL)
		pool_hear_tail(c, x);
	buf_reset(&c->tail);
	c->ragged = c->ragged || j->to > c->put - c->out.len;
	pool_worked(c, now - (c->heard_at > j->given_at ? c->heard_at : j->given_at));
	c->heard_at = now;
	c->done++;
	job_remove(j);
	pool_child_rest(c);
	if (c->state == POOL_BUSY && (next = pool_job_oldest(c)) != NULL)
		pool_job_begin(next, now);
	x->ended(x);
}

void
pool_job_forget(struct pool_job *j)
{
	MAGIC_CHECK(j, POOL_JOB_MAGIC);
	job_remove(j);
}

/* --- what becomes of them -------------------------------------------------------------------------------------------------------- */

static void
job_decide(struct pool_job *j, enum task_class class, const char *code, const char *message)
{
	if (j->decided || j->stopped)
		return;
	(void)exec_fail(j->x, class, code, span_of(message));
	pool_hear_tail(j->child, j->x);
	j->decided = true;
}

void
pool_job_wrong(
    struct pool_child *c, struct pool_job *only, enum task_class class, const char *code, const char *message)
{
	const struct list *node;

	if (only != NULL) {
		pool_job_begin(only, only->given_at);
		job_decide(only, class, code, message);
		return;
	}
	for (node = c->jobs.next; node != &c->jobs; node = node->next)
		if (job_at(node)->begun)
			job_decide(job_at(node), class, code, message);
}

/* Who has read its task whole may still answer it. */
void
pool_jobs_deaf(struct pool_child *c)
{
	struct pool_job *j = pool_job_oldest(c);
	uint64_t took = pool_child_took(c);

	if (j == NULL || j->from >= took)
		pool_child_doom(c, SIGKILL);
	else if (j->to > took)
		pool_hear_wrong(
		    c, j, "expected it to read its task whole, but it closed its standard input", (struct span){ 0 });
}

static void
end_by_status(struct exec_run *x, int status, const char *said)
{
	struct task_failure f = { .exit = status };
	char text[64];

	proc_status_text(status, text, sizeof(text));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		exec_fail(x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("the child ended without an answer"))->exit =
		    status;
		return;
	}
	task_class_of_exit(status, &f);
	if (f.class == TASK_CRASH)
		exec_crash(x, f.code, status, span_of(text));
	else
		exec_fail(x, f.class, f.code, span_of(said[0] != '\0' ? said : text))->exit = status;
}

/* Somebody is known to be the reason of its end. */
static bool
child_has_culprit(const struct pool_child *c)
{
	const struct list *node;

	for (node = c->jobs.next; node != &c->jobs; node = node->next)
		if (job_at(node)->decided || job_at(node)->stopped)
			return true;
	return false;
}

void
pool_jobs_judge(struct pool_child *c, int status)
{
	bool culprit = child_has_culprit(c);
	uint64_t took = pool_child_took(c);
	const struct list *node;

	for (node = c->jobs.next; node != &c->jobs; node = node->next) {
		struct pool_job *j = job_at(node);

		if (j->decided)
			continue;
		if (j->stopped || (j->begun && !culprit && j->from < took)) {
			end_by_status(j->x, status, c->said);
			pool_hear_tail(c, j->x);
		} else {
			exec_unbegun(j->x);
		}
	}
}

void
pool_jobs_lost(struct pool_child *c)
{
	bool culprit = child_has_culprit(c);
	const struct list *node;

	for (node = c->jobs.next; node != &c->jobs; node = node->next) {
		struct pool_job *j = job_at(node);

		if (j->decided)
			continue;
		if (j->stopped || (j->begun && !culprit))
			exec_crash(j->x, "LAUNCHER_LOST", -1, SPAN("the launcher of the child is gone"));
		else
			exec_unbegun(j->x);
	}
}

/* The last first: those that wait again each go to the front. */
void
pool_jobs_end(struct pool_child *c)
{
	while (!list_empty(&c->jobs)) {
		struct pool_job *j = job_at(c->jobs.prev);
		struct exec_run *x = j->x;

		job_remove(j);
		x->ended(x);
	}
}
