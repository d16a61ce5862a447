/* run_spool.c - outcomes that Postgres does not take are kept on the disk too, until it does.
 *
 * They wait in memory as ever, and are written from there; the file is a copy for the day when this process does not live to see the
 * database again.  So nothing is read here, and a file is removed when the last outcome in it was answered.  What nobody waits for
 * costs nothing: without an outcome that waits longer than work.spool_after no file is touched.
 *
 * The disk may be as sick as the database, so it is written to aside of the loop, in groups: what ends during one write goes with the
 * next.  A write that fails leaves the outcomes where they are, is said, and tried again.  A file that is full of what was answered since is
 * written anew.
 *
 * An outcome in the file may have been written to the database all the same, when only its answer was lost: whoever delivers it finds it
 * there by its lease.  Next: spool/spool.h, keep/keep_spool.c.
 */
#include <string.h>

#include "spool/spool.h"
#include "store/store_deliver.h"
#include "sys/aside.h"

#include "run/run_alarm.h"
#include "run/run_int.h"

#define GROUP (20 * CLOCK_MS)    /* between two writes, once there is a file */
#define HURRY (200 * CLOCK_MS)   /* what is being left behind does not wait longer */
#define AGAIN (5 * CLOCK_SECOND) /* after one that failed */
#define RUN_SPOOL_MAGIC 0x73706f6fu

struct run_spool {
	unsigned magic;
	struct run *run;
	struct aside *aside;
	struct run_alarm *alarm;
	struct loop_timer *timer;
	/* of the job, while there is one */
	struct spool_file file;
	struct buf bytes;
	struct spool_head head;
	bool fresh; /* what is written is all that has to be kept */
	int error;
	/* ours */
	bool have; /* a file */
	int64_t inc, size;
	uint32_t batch; /* the last that was begun */
	int tasks;      /* that are in one */
	int64_t oldest; /* wall clock: when the first of them ended, or one before it */
	int64_t rest;   /* clock_now(): not before */
	bool alarmed, failing, full;
};

/* --- the jobs --------------------------------------------------------------------------------------------------------------------- */

static void
work_write(void *arg)
{
	struct run_spool *sp = arg;
	const struct run *r = sp->run;
	struct spool_file old = sp->file;

	if (!sp->fresh) {
		sp->error = spool_file_add(&sp->file, buf_span(&sp->bytes));
		return;
	}
	sp->error = spool_file_make(&sp->file, r->conf->work.spool_dir, r->o.node, &sp->head, buf_span(&sp->bytes));
	if (sp->error != 0)
		sp->file = old;
	else if (old.name[0] != '\0')
		(void)!spool_file_remove(&old); /* the new one has it all */
}

static void
work_remove(void *arg)
{
	struct run_spool *sp = arg;

	sp->error = spool_file_remove(&sp->file);
}

/* --- what is told --------------------------------------------------------------------------------------------------------------------- */

static void
spool_gauges(const struct run_spool *sp)
{
	stats_set(S_SPOOL_OUTCOMES, sp->have ? sp->tasks : 0);
	stats_set(S_SPOOL_BYTES, sp->have ? sp->size : 0);
	stats_set(S_SPOOL_OLDEST, sp->have && sp->tasks > 0 ? sp->oldest : 0);
}

static void
spool_failed(struct run_spool *sp)
{
	if (!sp->failing)
		log_crit("could not keep outcomes on disk: they are in memory only", log_errno(sp->error),
		    log_str("directory", sp->run->conf->work.spool_dir));
	sp->failing = true;
	sp->rest = clock_now() + AGAIN;
	stats_inc(S_SPOOL_ERRORS);
}

/* A slow database is no reason to wake somebody. */
static void
spool_alarm(struct run_spool *sp)
{
	const struct run *r = sp->run;
	const char *why = store_not_ready(r->o.store);

	if (why != NULL && !sp->alarmed) {
		log_crit("outcomes cannot be written: they are kept on disk", log_str("why", why),
		    log_int("outcomes", sp->tasks), log_str("directory", r->conf->work.spool_dir),
		    log_str("file", sp->file.name));
		run_alarm_ring(sp->alarm, "outcomes are kept on disk", why, sp->tasks);
	} else if (why == NULL && !sp->have)
		log_warning("postgres is slow to take outcomes: they are kept on disk", log_int("outcomes", sp->tasks),
		    log_str("file", sp->file.name));
	sp->alarmed = sp->alarmed || why != NULL;
}

static void
spool_worked(struct run_spool *sp)
{
	if (sp->failing)
		log_notice("outcomes can be kept on disk again");
	spool_alarm(sp);
	sp->failing = false;
	sp->have = true;
	sp->inc = sp->file.inc;
	sp->size = sp->file.size;
}

static void
spool_emptied(struct run_spool *sp)
{
	if (sp->error != 0)
		log_warning("could not remove a file of outcomes", log_errno(sp->error));
	log_notice("postgres has the outcomes that were kept on disk");
	sp->have = sp->alarmed = false;
	sp->size = 0;
}

/* --- writing ----------------------------------------------------------------------------------------------------------------------------- */

static void
spool_put(struct run_spool *sp, const struct run_task *t)
{
	struct store_outcome o = run_step_outcome(t);
	struct spool_record rec = {
		.id = o.id,
		.lo = o.lease.lo,
		.hi = o.lease.hi,
		.lease_id = o.lease.lease_id,
		.kind = (int)o.kind,
		.charge = o.charge,
		.crash = o.crash,
		.delay = o.delay,
		.started_at = o.started_at,
		.ended_at = clock_wall() - (clock_now() - t->ended_at),
		.ran = t->ended_at - t->started_at,
		.result = o.kind == STORE_SUCCEEDED ? o.result : SPAN(""),
		.reason = span_of(o.reason),
		.queue = t->row.queue,
		.task_type = t->row.task_type,
		.trace_id = t->row.trace_id,
	};

	if (o.kind != STORE_SUCCEEDED && o.failure != NULL) {
		rec.failed = true;
		rec.class = (int)o.failure->class;
		rec.exit = o.failure->exit;
		rec.code = span_of(o.failure->code);
		rec.message = span_of(o.failure->message);
	}
	spool_record_put(&sp->bytes, &rec);
}

/* Those of a batch that is not on disk, or of all. */
static void
spool_forget(struct run_spool *sp, uint32_t batch)
{
	static const enum run_task_state states[] = { RUN_SENT, RUN_ENDED };

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		struct list *head = &sp->run->tasks[states[i]], *pos;

		for (pos = head->next; pos != head; pos = pos->next) {
			struct run_task *t = container_of(pos, struct run_task, node);

			if (t->spooled == 0 || (batch != 0 && t->spooled != batch))
				continue;
			t->spooled = 0;
			sp->tasks--;
		}
	}
}

/* False when there is no room for more. */
static bool
spool_gather_state(struct run_spool *sp, enum run_task_state state)
{
	struct run *r = sp->run;
	int64_t room = r->conf->work.spool_max - SPOOL_HEAD - (sp->fresh ? 0 : sp->size);
	struct list *pos;

	for (pos = r->tasks[state].next; pos != &r->tasks[state]; pos = pos->next) {
		struct run_task *t = container_of(pos, struct run_task, node);
		size_t before = sp->bytes.len;

		if (t->spooled != 0)
			continue;
		spool_put(sp, t);
		if ((int64_t)sp->bytes.len > room) {
			sp->bytes.len = before;
			return false;
		}
		if (sp->tasks++ == 0)
			sp->oldest = clock_wall() - (clock_now() - t->ended_at);
		t->spooled = sp->batch;
	}
	return true;
}

static bool
spool_gather(struct run_spool *sp)
{
	return spool_gather_state(sp, RUN_SENT) && spool_gather_state(sp, RUN_ENDED);
}

static void
spool_full(struct run_spool *sp)
{
	if (!sp->full)
		log_crit("no more outcomes are kept on disk: they are in memory only",
		    log_int("spool_max", sp->run->conf->work.spool_max));
	sp->full = true;
	sp->rest = clock_now() + AGAIN;
}

static void
spool_written(void *arg)
{
	struct run_spool *sp = arg;

	MAGIC_CHECK(sp, RUN_SPOOL_MAGIC);
	if (sp->error != 0) {
		spool_forget(sp, sp->batch);
		spool_failed(sp);
	} else {
		spool_worked(sp);
	}
	buf_free(&sp->bytes);
	spool_gauges(sp);
	run_spool_turn(sp->run);
}

static void
spool_removed(void *arg)
{
	struct run_spool *sp = arg;

	MAGIC_CHECK(sp, RUN_SPOOL_MAGIC);
	spool_emptied(sp);
	spool_gauges(sp);
	run_spool_turn(sp->run);
}

static void
spool_write(struct run_spool *sp)
{
	struct run *r = sp->run;
	int64_t inc = store_worker_inc(r->o.store);
	bool whole;

	if (inc == 0) /* whose leases are others' by now */
		return;
	sp->batch++;
	sp->fresh = !sp->have || sp->inc != inc;
	if (sp->fresh)
		spool_forget(sp, 0);
	whole = spool_gather(sp);
	if (!whole && !sp->fresh) {
		buf_reset(&sp->bytes);
		sp->fresh = true;
		spool_forget(sp, 0);
		whole = spool_gather(sp);
	}
	if (!whole)
		spool_full(sp);
	else
		sp->full = false;
	if (sp->bytes.len == 0)
		return;
	sp->head = (struct spool_head){ .inc = inc, .place = store_place(r->o.store) };
	aside_run(sp->aside, work_write, spool_written, sp);
}

/* --- when ---------------------------------------------------------------------------------------------------------------------------------- */

/* How long the first in a state has waited, or one that came before it. */
static int64_t
waited(const struct run *r, enum run_task_state state)
{
	const struct list *pos = r->tasks[state].next;

	return pos == &r->tasks[state] ? 0 : clock_now() - container_of(pos, const struct run_task, node)->ended_at;
}

/* Until something has to be written. */
static int64_t
spool_pause(const struct run_spool *sp)
{
	const struct run *r = sp->run;
	int64_t sent = waited(r, RUN_SENT), ended = waited(r, RUN_ENDED), oldest = sent > ended ? sent : ended;
	int64_t after = r->conf->work.spool_after, rest = sp->rest - clock_now(), left;

	if (r->phase == RUN_STOPPING && after > HURRY)
		after = HURRY;
	left = sp->tasks > 0 ? GROUP : after - oldest;
	left = left > rest ? left : rest;
	return left > 0 ? left : 0;
}

static int
unwritten(const struct run_spool *sp)
{
	return sp->run->count[RUN_ENDED] + sp->run->count[RUN_SENT] - sp->tasks;
}

static void
spool_look(void *arg)
{
	struct run_spool *sp = arg;
	int64_t pause;

	MAGIC_CHECK(sp, RUN_SPOOL_MAGIC);
	if (aside_busy(sp->aside))
		return; /* its end looks again */
	if (sp->have && sp->tasks == 0 && (!sp->failing || unwritten(sp) <= 0)) {
		aside_run(sp->aside, work_remove, spool_removed, sp);
		return;
	}
	if (unwritten(sp) <= 0)
		return;
	pause = spool_pause(sp);
	if (pause == 0 || (pause <= GROUP && sp->tasks > 0))
		spool_write(sp);
	else
		loop_timer_set(sp->timer, pause);
}

/* At the end of every turn of the machine: cheap. */
void
run_spool_turn(struct run *r)
{
	struct run_spool *sp = r->spool;

	if (sp == NULL || loop_timer_is_set(sp->timer) || aside_busy(sp->aside))
		return;
	if (unwritten(sp) > 0)
		loop_timer_set(sp->timer, spool_pause(sp));
	else if (sp->have && sp->tasks == 0)
		loop_timer_set(sp->timer, 0);
}

/* A task that is in the file leaves the machine. */
void
run_spool_left(struct run_task *t)
{
	struct run_spool *sp = t->run->spool;

	if (sp == NULL || t->spooled == 0)
		return;
	ASSERT(sp->tasks > 0);
	sp->tasks--;
	spool_gauges(sp);
}

/* --- public ----------------------------------------------------------------------------------------------------------------------------------- */

void
run_spool_open(struct run *r)
{
	struct run_spool *sp;

	if (r->o.node == NULL || r->conf->work.spool_max == 0)
		return;
	sp = r->spool = mem_zalloc(sizeof(*sp));
	sp->magic = RUN_SPOOL_MAGIC;
	sp->run = r;
	sp->aside = aside_new(r->o.loop);
	sp->timer = loop_timer_new(r->o.loop, spool_look, sp);
	sp->alarm = run_alarm_new(&r->env);
}

/* The last chance: what is not on disk yet is written now. */
int
run_spool_flush(struct run *r)
{
	struct run_spool *sp = r->spool;

	if (sp == NULL)
		return 0;
	aside_wait(sp->aside);
	if (unwritten(sp) > 0) {
		spool_write(sp);
		aside_wait(sp->aside);
	}
	return sp->have ? sp->tasks : 0;
}

void
run_spool_close(struct run *r)
{
	struct run_spool *sp = r->spool;

	if (sp == NULL)
		return;
	r->spool = NULL;
	aside_free(&sp->aside);
	run_alarm_free(&sp->alarm);
	if (sp->file.name[0] != '\0' && sp->tasks == 0)
		(void)!spool_file_remove(&sp->file);
	spool_file_leave(&sp->file);
	loop_timer_free(&sp->timer);
	buf_free(&sp->bytes);
	sp->magic = 0;
	mem_free(&sp);
}
