/* clock.h - time, settable in tests. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

/* Spans of time are int64_t microseconds everywhere in taskq; so are wall-clock instants, counted from the Unix epoch. */
#define CLOCK_MS INT64_C(1000)
#define CLOCK_SECOND INT64_C(1000000)

int64_t clock_now(void);  /* monotonic, for spans and deadlines */
int64_t clock_wall(void); /* this machine's opinion of the date; leases and retention use the database's */
void clock_set(int64_t mono, int64_t wall); /* tests: freeze both */
void clock_unset(void);

/* RFC 3339 in UTC with six decimals and Z, 27 characters + NUL. */
#define CLOCK_TEXT 28
void clock_format(int64_t wall, char text[CLOCK_TEXT]);
/* Accepts RFC 3339 with any offset, 0-9 decimals; false when it is not one or not between years 1970 and 9999. */
bool clock_parse(struct span text, int64_t *wall_r) MUSTCHECK;

#endif
