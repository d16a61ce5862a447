/* run_auth.c - a handler that was not let in is paused, for all workers of all nodes, until somebody has looked at it.
 *
 * Trying on would spend attempts on tasks that are not at fault, and may lock an account.  So the pause is a row (store_pause()), and
 * this worker starts nothing more of the handler while that is being written; what it had claimed goes back to the queue then, as with
 * every pause.  When the row cannot be written the next failure tries again.  Logs the alarm, once for each pause.
 */
#include <stdio.h>

#include "run/run_int.h"

struct barring {
	struct run *run;
	int handler;
};

static void
tell(const struct conf_handler *h, const struct store_pause *p)
{
	log_crit("handler paused: it was not let in, and waits for somebody to mend that and resume it",
	    log_str("handler", h->title), log_span("why", p->why));
}

static void
on_paused(void *arg, enum store_status status, bool changed, const struct store_pause *p)
{
	struct barring *b = arg;
	struct run *r = b->run;
	const struct conf_handler *h = &r->conf->handlers[b->handler];

	MAGIC_CHECK(r, RUN_MAGIC);
	r->handlers[b->handler].barred = false;
	if (status != STORE_OK)
		log_error("could not pause a handler that is not let in", log_str("handler", h->title));
	else if (changed && p != NULL)
		tell(h, p);
	else if (r->o.wake != NULL)
		wake_pauses_changed(r->o.wake); /* another node was first: here nobody has looked yet */
	mem_free(&b);
	run_turn_soon(r);
}

void
run_auth_failed(struct run_task *t)
{
	struct run *r = t->run;
	const struct task_failure *f = t->exec.end.failure;
	char why[sizeof(f->code) + sizeof(f->message) + 2];
	struct store_pause p = { .what = STORE_PAUSED_HANDLER, .by = SPAN("taskq") };
	struct barring *b;

	stats_not_let_in(stats_series(t->row.queue, t->row.task_type));
	if (r->handlers[t->handler].barred)
		return;
	b = mem_zalloc(sizeof(*b));
	*b = (struct barring){ r, t->handler };
	r->handlers[t->handler].barred = true;
	snprintf(why, sizeof(why), "%s: %s", f->code, f->message);
	p.name = span_of(r->conf->handlers[t->handler].title);
	p.why = span_of(why);
	store_pause(r->o.store, &p, on_paused, b);
}
