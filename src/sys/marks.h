/* marks.h - which tasks each worker process has started and not yet left behind, to be read when it is dead.
 *
 * Made by the supervisor before the first fork.  A table for each life of a worker, found by its inc; nobody but that worker writes it, and
 * nobody reads it before the worker is known to be dead, so there is no lock to be left held.  A task is marked before its run
 * begins: what is not marked was certainly not started.  The reader drops the table.
 */
#ifndef SYS_MARKS_H
#define SYS_MARKS_H

#include "base/id.h"

#define MARKS_IDS 512 /* of one worker; more are counted, not named */

struct marks;

struct marks *marks_new(void) MUSTCHECK; /* null + errno */
int marks_take(
    struct marks *m, int64_t inc) MUSTCHECK;   /* a table; -1: none is free, then nothing is known of this worker */
void marks_drop(struct marks *m, int64_t inc); /* also when it has none */
int marks_set(struct marks *m, int table, const struct id *id) MUSTCHECK; /* its place */
void marks_clear(struct marks *m, int table, int place);

/* Fills `ids` and returns how many; -1: not known, or more than are named. */
int marks_read(const struct marks *m, int64_t inc, struct id ids[MARKS_IDS]) MUSTCHECK;

#endif
