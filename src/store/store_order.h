/* store_order.h - what has an order or an exact limit: submissions leave one batch after the other, claims count what runs. */
#ifndef STORE_STORE_ORDER_H
#define STORE_STORE_ORDER_H

#include <libpq-fe.h>

#include "store/store.h"

struct item;
struct request;
struct store_worker;
struct submitter;

/* --- store_order.c --------------------------------------------------------------------------------------------------------- */

struct order_seat {
	int items;        /* on their way */
	unsigned filling; /* the batch they went with */
	unsigned refused; /* a batch that somebody was kept out of: nobody may overtake */
	int32_t lane;
	int priority;
	bool later;
};
#define ORDER_SEATS 256

/* The first id of a batch, of this life of the process, and after all that this node has told; false when there are none now. */
bool order_first_id(struct submitter *u, struct id *first_r) MUSTCHECK;
bool order_has(const struct item *it) MUSTCHECK;                  /* it has an ordering key */
void order_told(struct turn *t, const struct store_submitted *a); /* `t` may be null; before the answer leaves */
bool order_join(struct submitter *u, struct item *it) MUSTCHECK;  /* false: it has to wait for another batch */
void order_leave(struct item *it);                                /* its fate is known */

/* --- store_exact.c --------------------------------------------------------------------------------------------------------- */

/* The claim from lanes with exact limits, after all else of the step. */
void exact_add(struct store_worker *w, struct request *r);
/* As claim_take(), and what the answer tells beside the tasks; *held_r is the caller's; whether there was more than it took. */
int exact_take(struct store_worker *w, const PGresult *res, int64_t lease_id, struct store_claimed *tasks_r,
    struct store_stepped *a, int32_t **held_r, bool *full_r);

#endif
