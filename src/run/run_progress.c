/* run_progress.c - what running tasks say of themselves: kept here, and told to the store together, once a second at most.
 *
 * Only the last word of a task counts, and only while it runs: what was not told when it ends is forgotten.  One statement is under way at
 * a time; one that fails is not repeated, for the next word is newer.  Logs nothing.  Next: store/store_progress.c.
 */
#include <string.h>

#include "run/run_int.h"

#define TELL_PERIOD CLOCK_SECOND

struct run_progress {
	bool told;
	int percent;
	size_t len;
	char note[TASK_NOTE_MAX + 1];
};

static void
told(void *arg, enum store_status status UNUSED)
{
	struct run *r = arg;

	MAGIC_CHECK(r, RUN_MAGIC);
	r->telling = false;
}

static struct store_progress
word_of(struct run_task *t)
{
	t->progress->told = true;
	return (struct store_progress){
		.id = t->row.id,
		.lease_id = t->lease->lease.lease_id,
		.percent = t->progress->percent,
		.note = { t->progress->note, t->progress->len },
	};
}

static void
tell(void *arg)
{
	struct run *r = arg;
	struct store_progress *all;
	struct list *pos;
	int n = 0;

	MAGIC_CHECK(r, RUN_MAGIC);
	if (r->telling) {
		loop_timer_set(r->tell, TELL_PERIOD);
		return;
	}
	all = mem_alloc(sizeof(*all) * (size_t)(r->count[RUN_RUNNING] + 1));
	for (pos = r->tasks[RUN_RUNNING].next; pos != &r->tasks[RUN_RUNNING]; pos = pos->next) {
		struct run_task *t = container_of(pos, struct run_task, node);

		if (t->progress != NULL && !t->progress->told)
			all[n++] = word_of(t);
	}
	if (n > 0) {
		r->telling = true;
		r->told_at = clock_now();
		store_progress(r->o.store, all, n, told, r);
	}
	mem_free(&all);
}

/* Of the machine's contract with the kinds: exec_run.progress. */
void
run_progress_heard(struct exec_run *x, int percent, struct span note)
{
	struct run_task *t = x->arg;
	struct run *r;
	int64_t wait;

	MAGIC_CHECK(t, RUN_TASK_MAGIC);
	r = t->run;
	if (t->progress == NULL)
		t->progress = arena_alloc(t->arena, sizeof(*t->progress));
	t->progress->told = false;
	t->progress->percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	t->progress->len = exec_text_clean(t->progress->note, sizeof(t->progress->note), note);
	wait = r->told_at + TELL_PERIOD - clock_now();
	if (!loop_timer_is_set(r->tell))
		loop_timer_set(r->tell, wait > 0 ? wait : 0);
}

void
run_progress_open(struct run *r)
{
	r->told_at = clock_now() - TELL_PERIOD;
	r->tell = loop_timer_new(r->o.loop, tell, r);
}

void
run_progress_close(struct run *r)
{
	loop_timer_free(&r->tell);
}
