/* store_claim.c - what a worker asks for, and what it got.
 *
 * A lane is asked from its low-water mark on, so that a claim does not walk over the dead rows of what was claimed before; the mark is a plain
 * read's head, or when that is new a little earlier, and is forgotten when rows were put below it.  Rows come back with each lease; a lease whose ids are all
 * holes is dropped at once.  The claim advances the worker's seq, which is why every step has one, if only for no tasks.
 * Logs nothing.  Next: store_lease.c.
 */
#include <string.h>

#include "store/store_int.h"

#define MARGIN CLOCK_SECOND /* rows of other processes may begin a little before the mark and come after it was read */
#define LATE \
	2 /* times http.request_timeout: later than that after its id nothing comes any more that a look would not find */
#define WIDTH_GAIN 8 /* one claim moves the average width of a range by an eighth */

/* --- claim -------------------------------------------------------------------------------------------------------- */

struct id
claim_start(const struct store *s, const struct id *mark)
{
	int64_t at = task_id_time(mark);

	if (at < store_db_now(s) - LATE * s->o.conf->http.request_timeout)
		return *mark; /* zero, too */
	return task_id_least(at - MARGIN);
}

/* From where on a lane is asked: its head as it was read, or a little earlier; zero when there is none, or rows were put below it. */
static struct id
mark_of(const struct store_worker *w, const struct lane_info *l, const struct store_probe *p)
{
	const struct wake *wake = w->store->o.wake;

	if (wake != NULL && wake_lane_lower_count(wake, l->lane) != l->lower)
		return (struct id){ { 0 } };
	return claim_start(w->store, &p->mark);
}

static void
bind_probe(struct store_worker *w, struct stmt *t, const struct store_probe *p, int column)
{
	const struct lane_info *l = worker_lane(w, p->lane);
	struct id start;

	if (l == NULL)
		return; /* forgotten: a look will show it again */
	if (column == 0)
		stmt_int4(t, p->lane);
	else if (column == 1)
		stmt_int2(t, p->prio);
	else if (column == 3)
		stmt_int4(t, p->below);
	if (column != 2)
		return;
	start = mark_of(w, l, p);
	stmt_uuid(t, &start);
}

void
claim_bind_probes(struct store_worker *w, struct stmt *t, bool claims)
{
	const struct store_step *in = &w->step.copy;
	int column, i;

	for (column = 0; column < 4; column++) {
		stmt_array(t);
		for (i = 0; claims && i < in->nprobes; i++)
			bind_probe(w, t, &in->probes[i], column);
		stmt_array_end(t);
	}
}

/* As many ranges as cover the tasks wanted, by the width of those that came lately, and a few more. */
static int
rows_for(const struct store_worker *w, int claim)
{
	int rows = (int)((double)claim / (w->width > 1 ? w->width : 1)) + 2;

	return rows < claim ? rows : claim;
}

/* Of each turn the place of its first probe among those that were bound, or of its last; they come turn by turn. */
static void
bind_places(struct store_worker *w, struct stmt *t, const struct store_step *in, bool last)
{
	int turn, first, i = 0, place = 0;

	stmt_array(t);
	for (turn = 0; turn < in->nturns; turn++) {
		first = place + 1;
		for (; i < in->nprobes && in->probes[i].turn == turn; i++)
			place += worker_lane(w, in->probes[i].lane) != NULL;
		stmt_int4(t, last ? place : first);
	}
	ASSERT(i == in->nprobes || in->nturns == 0);
	stmt_array_end(t);
}

static void
bind_turns(struct store_worker *w, struct stmt *t, const struct store_step *in, bool claims)
{
	static const struct store_step nothing;
	int i;

	bind_places(w, t, claims ? in : &nothing, false);
	bind_places(w, t, claims ? in : &nothing, true);
	stmt_array(t);
	for (i = 0; claims && i < in->nturns; i++)
		stmt_int4(t, in->turns[i]);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; claims && i < in->nturns; i++)
		stmt_int4(t, rows_for(w, in->turns[i]));
	stmt_array_end(t);
}

/* Of each turn whether it may have left something: it covered all it asked for, tasks or holes, or all the ranges it looked at; or
 * nobody knows any more what was its. */
bool *
claim_full(struct store_worker *w, int ntasks, const struct claim_got *got, bool again)
{
	const struct store_step *in = &w->step.copy;
	bool *full = mem_zalloc(sizeof(*full) * (size_t)(in->nturns + 1));
	int i, leases = 0;

	for (i = 0; i < in->nturns; i++) {
		leases += got[i].leases;
		full[i] = again || got[i].covered >= in->turns[i] || got[i].leases >= rows_for(w, in->turns[i]);
	}
	if (leases > 0)
		w->width += ((double)ntasks / leases - w->width) / WIDTH_GAIN;
	return full;
}

void
claim_add(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	bool claims = st->to == st->copy.noutcomes && st->copy.exact == NULL;
	int64_t lease_id = store_new_rid(w->store);
	struct stmt *t = request_stmt(r, SQL_CLAIM);

	buf_put(&st->lease_ids, &lease_id, sizeof(lease_id));
	stmt_int4(t, w->inc);
	stmt_int8(t, w->seq + 1);
	stmt_int8(t, lease_id);
	claim_bind_probes(w, t, claims);
	bind_turns(w, t, &st->copy, claims);
	t = request_stmt(r, SQL_WORKER_LOOK);
	stmt_int4(t, w->inc);
	stmt_int8(t, w->seq);
}

void
claim_add_again(struct store_worker *w, struct request *r)
{
	struct stepping *st = &w->step;
	size_t i, n = st->lease_ids.len / sizeof(int64_t);
	struct stmt *t;
	int64_t lease_id;

	if (!st->uncertain)
		return;
	st->at_claim_again = r->nstmts;
	t = request_stmt(r, SQL_CLAIM_AGAIN);
	stmt_int4(t, w->inc);
	stmt_array(t);
	for (i = 0; i + 1 < n; i++) { /* those of the tries before this one */
		memcpy(&lease_id, st->lease_ids.data + i * sizeof(lease_id), sizeof(lease_id));
		stmt_int8(t, lease_id);
	}
	stmt_array_end(t);
}

/* A lease without tasks is of use to nobody. */
static void
on_dropped(struct request *r)
{
	request_free(&r);
}

static void
drop_hollow(struct store_worker *w, const struct store_lease *l)
{
	struct request *r = request_new(on_dropped, w);
	struct stmt *t = request_stmt(r, SQL_LEASE_DROP);

	r->repeat = true;
	r->deadline = clock_now() + w->store->o.conf->postgres.deadline;
	stmt_array(t);
	stmt_uuid(t, &l->lo);
	stmt_array_end(t);
	stmt_array(t);
	stmt_int8(t, l->lease_id);
	stmt_array_end(t);
	request_send(w->pool, r);
}

void
claim_row(const PGresult *res, int row, struct store_claimed *c)
{
	struct span options = col_span(res, row, SQL_CLAIM_OPTIONS);
	int lost = (int)col_int(res, row, SQL_CLAIM_LOST);

	c->row.id = col_id(res, row, SQL_CLAIM_ID);
	c->row.lane = (int32_t)col_int(res, row, SQL_CLAIM_LANE);
	c->row.priority = -(int)col_int(res, row, SQL_CLAIM_PRIO);
	c->row.max_attempts = (int)col_int(res, row, SQL_CLAIM_MAX_ATTEMPTS);
	c->row.created_at = col_time(res, row, SQL_CLAIM_CREATED_AT);
	c->row.updated_at = col_time(res, row, SQL_CLAIM_SINCE);
	c->row.run_at = col_time(res, row, SQL_CLAIM_RUN_AT);
	c->row.payload = col_span(res, row, SQL_CLAIM_PAYLOAD);
	c->row.error_class = span_of(task_class_name((enum task_class)col_int(res, row, SQL_CLAIM_ERROR_CLASS)));
	c->row.error_code = col_span(res, row, SQL_CLAIM_ERROR_CODE);
	c->row.state = TASK_LEASED;
	if (options.len > 0 && !task_options_unpack(options, &c->row))
		c->row.nlabels = 0;
	c->run = c->row.run = (int)col_int(res, row, SQL_CLAIM_RUN);
	c->attempts = c->row.attempts = (int)col_int(res, row, SQL_CLAIM_ATTEMPTS);
	/* a worker lost under many tasks says little of one; from the third loss on the task was alone */
	c->crashes = (int)col_int(res, row, SQL_CLAIM_CRASHES) + (lost > 2 ? lost - 2 : 0);
	c->row.crashes = c->crashes;
}

static void
claimed_row(const PGresult *res, int row, const struct lane_info *lane, struct store_claimed *c)
{
	claim_row(res, row, c);
	ASSERT(lane != NULL); /* only lanes that were read are asked for */
	c->row.queue = lane->queue;
	c->row.task_type = lane->task_type;
	c->row.group = lane->group;
	c->row.ordering_key = lane->ordering_key;
}

static void
got_add(struct claim_got *got, const struct store_lease *l)
{
	got->leases++;
	got->covered += (int)(task_id_pos(&l->hi) - task_id_pos(&l->lo)) + 1;
}

/* Adds the leases and tasks of one result; tasks_r has room, got_r grows.  lease_id 0: it is of claim_again, where each row tells its own. */
int
claim_take(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r,
    struct claim_got *got_r)
{
	struct store_lease lease = { .lease_id = lease_id };
	struct open_lease *l = NULL;
	const struct lane_info *lane = NULL;
	struct id last = { { 0 } };
	int row, turn = lease_id == 0 ? -1 : 0, n = 0;

	for (row = 0; row < PQntuples(res); row++) {
		if (col_null(res, row, SQL_CLAIM_LO)) /* of an exact claim: not a task */
			continue;
		if (lease_id == 0)
			lease.lease_id = col_int(res, row, SQL_CLAIM_AGAIN_LEASE_ID);
		else if (got_r != NULL)
			turn = (int)col_int(res, row, SQL_CLAIM_TURN) - 1;
		lease.lo = col_id(res, row, SQL_CLAIM_LO);
		lease.hi = col_id(res, row, SQL_CLAIM_HI);
		if (got_r != NULL && turn >= 0 && (row == 0 || !id_eq(&lease.lo, &last)))
			got_add(&got_r[turn], &lease);
		last = lease.lo;
		if (col_null(res, row, SQL_CLAIM_ID)) {
			drop_hollow(w, &lease);
			continue;
		}
		if (l == NULL || l->lease.lease_id != lease.lease_id || !id_eq(&l->lease.lo, &lease.lo)) {
			l = lease_find(&w->leases, &lease);
			lane = worker_lane(w, (int32_t)col_int(res, row, SQL_CLAIM_LANE));
		}
		if (l == NULL)
			l = lease_add(&w->leases, &lease);
		tasks_r[n] = (struct store_claimed){ .lease = lease, .turn = turn };
		claimed_row(res, row, lane, &tasks_r[n]);
		lease_open_task(l, &tasks_r[n].row.id);
		n++;
	}
	return n;
}
