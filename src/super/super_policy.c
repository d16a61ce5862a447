/* super_policy.c - whether and when a child is started; the rule against restart storms.
 *
 * Only numbers and time; how a child is started is in super_spawn.c.  A child that dies before it was ready and a second old died
 * "early".  The first early death costs nothing, further ones in a row slow the role's next start: 0.1 s, 0.2 s ... a minute.  While
 * a role is slowed its missing children are started one at a time; the first that proves itself lifts the delay.
 */
#include "stats/stats.h"

#include "super/super_int.h"

int64_t
super_throttle_delay(int early)
{
	int64_t delay = SUPER_SLOW_FIRST;

	if (early < 2)
		return 0;
	while (--early > 1 && delay < SUPER_SLOW_MOST)
		delay *= 2;
	return delay < SUPER_SLOW_MOST ? delay : SUPER_SLOW_MOST;
}

bool
super_throttle_open(const struct super_throttle *t, int64_t now)
{
	return now >= t->next_at;
}

void
super_throttle_started(struct super_throttle *t, int64_t now)
{
	/* One at a time: the next may come when this one had the time to prove itself. */
	if (super_throttle_delay(t->early) > 0)
		t->next_at = now + SUPER_PROVEN;
}

void
super_throttle_died_early(struct super_throttle *t, int64_t now)
{
	t->early++;
	t->next_at = now + super_throttle_delay(t->early);
}

void
super_throttle_proven(struct super_throttle *t)
{
	t->early = 0;
	t->next_at = 0;
}

enum super_room
super_room_for(int wanted, int serving, int living)
{
	int room = STATS_SLOTS - 1; /* slot 0 keeps the counters of the dead */

	if (wanted + serving > room)
		return SUPER_ROOM_NEVER;
	return wanted + living > room ? SUPER_ROOM_LATER : SUPER_ROOM_NOW;
}
