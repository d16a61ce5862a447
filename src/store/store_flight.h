/* store_flight.h - tasks that are read back together: what store_flight.c, which knows who waits for which statement, and those who know what
 * is asked (store_get.c, store_stretch.c) share.
 */
#ifndef STORE_STORE_FLIGHT_H
#define STORE_STORE_FLIGHT_H

#include "store/store_int.h"

#define FLIGHT_BYTES (8 << 20) /* of payloads and results in one statement, about */

struct question {
	struct list node;
	int64_t asked_at;        /* clock_now() */
	struct request *request; /* with which it left; null: it waits */
	store_row_fn *row_fn;    /* one of them is there */
	look_fn *look_fn;
	void *arg;
	int n; /* rows in the answer */
	struct id ids[];
};

/* One way to ask. */
struct flight_kind {
	enum store_sql sql;
	int most;       /* tasks in a statement, while they are small */
	int64_t beside; /* how long one is away before another leaves */
	void (*bind)(struct stmt *t, const struct list *questions);
	/* Rows at their places, those of each question behind those of the one before; places stay empty where nothing was found.  Returns how
	 * many places were looked at: at least one, and those of a question that is short of some are asked for again. */
	int (*take)(const struct store *s, const struct list *questions, const PGresult *res, struct task_row *rows,
	    int nrows, int64_t *bytes_r);
};

/* Takes over the question, which has `n` ids behind it; false when no more are taken, and `q` is as it was. */
bool flights_ask(struct flights *k, struct question *q) MUSTCHECK;
struct question *question_new(int n) MUSTCHECK;
bool question_waits(const struct question *q) MUSTCHECK; /* nothing was read for it yet */

#endif
