/* store_order.c - submissions with an ordering key, on their way into the database.
 *
 * The order of a lane is that of its ids, and a task must not be seen before one of the same lane with a smaller id.  So those of one lane
 * share a batch, or the later ones wait until the fate of the earlier ones is known; and because a batch is sorted by priority, and
 * has what is delayed at its end, only alike ones share it.  Lanes share seats, which delays one of them and does no harm.
 * Only this process knows: submissions to several acceptors at the same time have no order between them.
 *
 * One that was sent after the answer to another does come after it, whichever acceptor of the node it meets: what was answered is told in
 * memory that all share (sys/turn.h), and ids begin after that.  Logs a clock that went back too far for it.
 */
#include "log/log.h"
#include "sys/sys.h"

#include "store/store_int.h"

/* --- ids ----------------------------------------------------------------------------------------------------------------- */

static void
begin_after(struct submitter *u)
{
	enum turn_verdict v;
	int64_t ms;

	u->order_waits = false;
	if (u->store->o.turn == NULL)
		return;
	v = turn_next(u->store->o.turn, u->maker.writer, store_db_now(u->store) / CLOCK_MS, &ms);
	if (v == TURN_STEP)
		log_warning("the clock of the database went back too far: what has an ordering key comes before what "
			    "was submitted until now");
	u->order_waits = v == TURN_WAIT;
	if (v == TURN_GO)
		task_id_not_before(&u->maker, ms);
}

bool
order_first_id(struct submitter *u, struct id *first_r)
{
	struct store *s = u->store;

	if (s->writer == 0)
		return false; /* it is being asked for */
	if (u->maker_writer != s->writer) {
		u->maker_writer = s->writer;
		task_id_maker_init(&u->maker, (uint32_t)s->writer,
		    (uint16_t)(digest_fnv64(&s->writer, sizeof(s->writer)) % TASK_BUCKETS), 0);
	}
	u->maker.db_offset = store_db_now(s) - clock_wall() + failpoint("ids.ahead") * CLOCK_MS;
	begin_after(u);
	if (task_id_batch(&u->maker, first_r))
		return true;
	log_warning("the clock went back too far, taking a new identity", log_int("writer", s->writer));
	store_ask_writer(s);
	return false;
}

bool
order_has(const struct item *it)
{
	return it->in.request->ordering_key.len > 0;
}

void
order_told(struct turn *t, const struct store_submitted *a)
{
	if (t != NULL && a->status == STORE_OK && (a->verdict == STORE_ACCEPTED || a->verdict == STORE_REPLAYED))
		turn_told(t, task_id_writer(&a->row.id), task_id_time(&a->row.id) / CLOCK_MS);
}

/* --- batches -------------------------------------------------------------------------------------------------------------- */

bool
order_join(struct submitter *u, struct item *it)
{
	struct order_seat *seat = &u->seats[(uint32_t)it->lane % ORDER_SEATS];
	int priority = it->in.request->priority;

	ASSERT(it->seat == NULL);
	if (!order_has(it))
		return true;
	if (u->order_waits || seat->refused == u->filling ||
	    (seat->items > 0 && (seat->filling != u->filling || seat->lane != it->lane || seat->priority != priority ||
				    seat->later != it->later))) {
		seat->refused = u->filling;
		return false;
	}
	seat->items++;
	seat->filling = u->filling;
	seat->lane = it->lane;
	seat->priority = priority;
	seat->later = it->later;
	it->seat = seat;
	return true;
}

void
order_leave(struct item *it)
{
	if (it->seat == NULL)
		return;
	ASSERT(it->seat->items > 0);
	it->seat->items--;
	it->seat = NULL;
}
