/* store_order.c - submissions with an ordering key, on their way into the database.
 *
 * The order of a lane is that of its ids, and a task must not be seen before one of the same lane with a smaller id.  So those of one lane
 * share a batch, or the later ones wait until the fate of the earlier ones is known; and because a batch is sorted by priority, and
 * has what is delayed at its end, only alike ones share it.  Lanes share seats, which delays one of them and does no harm.
 * Only this process knows: submissions to several acceptors at the same time have no order between them.
 */
#include "store/store_int.h"

bool
order_join(struct submitter *u, struct item *it)
{
	struct order_seat *seat = &u->seats[(uint32_t)it->lane % ORDER_SEATS];
	int priority = it->in.request->priority;

	ASSERT(it->seat == NULL);
	if (it->in.request->ordering_key.len == 0)
		return true;
	if (seat->refused == u->filling ||
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
