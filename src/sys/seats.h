/* seats.h - how many connections each acceptor of a node holds, so that the one with the fewest takes the next.
 *
 * Made by the supervisor before the first fork.  Each acceptor keeps its own word while it takes connections, and reads those of the
 * others; the supervisor clears that of one that died.  What is read may be old: one may wait a moment for another, never rely on it.
 */
#ifndef SYS_SEATS_H
#define SYS_SEATS_H

#include "base/base.h"

#define SEATS_MAX 128 /* indices that acceptors can have, of two generations */

struct seats;
struct seats *seats_new(void) MUSTCHECK;               /* null + errno */
void seats_set(struct seats *s, int index, int taken); /* and takes more */
void seats_leave(struct seats *s, int index);          /* takes none, for a moment or for good */
/* One of the others that take more has clearly fewer than `mine`. */
bool seats_fewer(const struct seats *s, int index, int mine) MUSTCHECK;

#endif
