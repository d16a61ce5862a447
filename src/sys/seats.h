/* seats.h - how many connections each acceptor of a node holds, so that the one with the fewest takes the next.
 *
 * Made by the supervisor before the first fork.  Each acceptor keeps its own word and reads those of the others; one that died leaves
 * a word that is wrong until its successor comes, and while two generations share an index theirs may be either's: who reads here may
 * wait a moment for another, never rely on it.
 */
#ifndef SYS_SEATS_H
#define SYS_SEATS_H

#include "base/base.h"

#define SEATS_MAX 64 /* acceptors */

struct seats;
struct seats *seats_new(void) MUSTCHECK; /* null + errno */
void seats_set(struct seats *s, int index, int taken);
/* One of the others among the first n has clearly fewer. */
bool seats_fewer(const struct seats *s, int n, int index) MUSTCHECK;

#endif
