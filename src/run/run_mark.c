/* run_mark.c - what this worker has started is marked in shared memory, so that its death is charged to nothing else; see sys/marks.h.
 *
 * From before its start until it has left the machine: a task whose outcome is not written yet was started.  The marks are of one identity;
 * with another one they begin anew, and those of the old one are nobody's business, for its leases belong to others.
 */
#include "run/run_int.h"

static void
marks_of(struct run *r, int64_t inc)
{
	if (r->marks.inc == inc)
		return;
	if (r->marks.inc != 0 && r->marks.table >= 0)
		marks_drop(r->o.marks, r->marks.inc);
	r->marks.inc = inc;
	r->marks.table = marks_take(r->o.marks, inc);
	if (r->marks.table < 0)
		log_warning("no room to mark what is started: should this worker die, all its tasks count as started");
}

void
run_mark(struct run_task *t)
{
	struct run *r = t->run;

	if (r->o.marks == NULL || t->mark_of != 0)
		return;
	marks_of(r, store_worker_inc(r->o.store));
	if (r->marks.table < 0)
		return;
	t->mark_of = r->marks.inc;
	t->mark = marks_set(r->o.marks, r->marks.table, &t->row.id);
}

/* The end of the process: what is left is read by whoever gives its leases back. */
void
run_mark_leave(struct run *r)
{
	r->marks.inc = 0;
}

void
run_unmark(struct run_task *t)
{
	struct run *r = t->run;

	if (t->mark_of != 0 && t->mark_of == r->marks.inc)
		marks_clear(r->o.marks, r->marks.table, t->mark);
	t->mark_of = 0;
}
