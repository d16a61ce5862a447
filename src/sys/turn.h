/* turn.h - after which id the next one in an order has to come, for all processes of one node.
 *
 * Made by the supervisor before the first fork.  Each process estimates the clock of the database by itself, so two may differ by some
 * milliseconds; but what is sent after an answer has to get a greater id, whoever gives it.  So whoever answers tells the millisecond
 * of the id here, before, and nobody gives a smaller one afterwards.  Within a millisecond the ids of one writer are in the order in
 * which it made them, those of two are not: the second goes on to the next one.
 *
 * That may make ids run ahead of the clock, by a millisecond each time that an answer of another process is no older than that.  From
 * TURN_LEAD_MAX on it goes no faster than the clock.  A clock that was set back by more than TURN_STEP_MAX begins anew.
 */
#ifndef SYS_TURN_H
#define SYS_TURN_H

#include "base/base.h"

#define TURN_LEAD_MAX 250   /* ms */
#define TURN_STEP_MAX 10000 /* ms */

struct turn;
struct turn *turn_new(void) MUSTCHECK; /* null + errno */

enum turn_verdict {
	TURN_GO,
	TURN_WAIT, /* ask again in a millisecond */
	TURN_STEP  /* GO, but the clock went back too far: this comes before what was told */
};
/* The first millisecond in which `writer`, whose clock shows `now`, may make an id that comes after all that were told. */
enum turn_verdict turn_next(struct turn *t, uint32_t writer, int64_t now, int64_t *ms_r) MUSTCHECK;
void turn_told(struct turn *t, uint32_t writer, int64_t ms); /* an id of that writer is told to somebody now */

#endif
