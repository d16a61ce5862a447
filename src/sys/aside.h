/* aside.h - work that may block for long, such as a write to a sick disk, done beside the loop: one job at a time, in a thread of its own.
 *
 * The thread lives as long as its job and sees no signal.  It may touch what its argument is, and nothing else: the log, the statistics
 * and the loop belong to the main thread.
 */
#ifndef SYS_ASIDE_H
#define SYS_ASIDE_H

#include "sys/loop.h"

struct aside;

struct aside *aside_new(struct loop *l) MUSTCHECK;
/* `work` runs in the thread, then `done` on a later turn of the loop.  Without a thread to be had the work is done at once. */
void aside_run(struct aside *a, loop_fn *work, loop_fn *done, void *arg);
bool aside_busy(const struct aside *a);
void aside_wait(struct aside *a);  /* until nothing is under way: done() is called in here */
void aside_free(struct aside **a); /* waits for the work; done() is not called any more */

#endif
