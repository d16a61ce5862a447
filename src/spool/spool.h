/* spool.h - outcomes on the disk of this node, until Postgres has them.
 *
 * A worker that cannot write outcomes appends them to a file of its own; the keeper of the node delivers what a dead worker has left,
 * before it takes back the leases.  A file is one life of a worker, and is locked by it (flock) as long as it lives: what can be locked has
 * nobody behind it.  Nothing here knows a loop, the log or the store; functions that touch the disk block.
 *
 *	NODE-INC-TIME.spool      NODE: fingerprint of the node's name, INC: identity of the worker, TIME: when it was made
 *	NODE-INC-TIME.new        not yet promised to anybody: renamed when its first records are on disk
 *	NODE-INC-TIME.bad        set aside by the keeper: something in it could not be read, or was refused
 *
 * A file is a head and records, all numbers in network order:
 *
 *	head     "taskqspl" version:4 0:4 inc:8 place:8 check:8
 *	record   "TqO1" length:4 check of these:8 check of the body:8 body
 *
 * spool_record.c   bytes <-> records        spool_file.c   the files
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/id.h"

/* --- bytes: spool_record.c --------------------------------------------------------------------------------------------------- */

#define SPOOL_VERSION 1
#define SPOOL_HEAD 40

struct spool_head {
	int64_t inc;
	uint64_t place; /* which database its leases are of; 0: not known */
};

/* An outcome, in plain words: the numbers of kinds and classes are those of the database's rows. */
struct spool_record {
	struct id id, lo, hi; /* the task, the range of its lease */
	int64_t lease_id;
	int kind;
	bool charge, crash;
	bool failed; /* class, exit, code and message tell */
	int class, exit;
	int64_t delay;
	int64_t started_at; /* database clock */
	int64_t ended_at;   /* wall clock, us */
	int64_t ran;        /* us */
	struct span result, reason, code, message;
	struct span queue, task_type, trace_id;
};

void spool_head_put(struct buf *b, const struct spool_head *h);
void spool_record_put(struct buf *b, const struct spool_record *r);

enum spool_took {
	SPOOL_TOOK,
	SPOOL_END,
	SPOOL_TORN,  /* the end of a write that was cut: nobody was promised what is missing.  It ends here */
	SPOOL_BROKEN /* not what was written; taken up to the next whole record, or to the end */
};
/* BROKEN: another version too. */
enum spool_took spool_head_take(struct span *bytes, struct spool_head *h_r) MUSTCHECK;
enum spool_took spool_record_take(
    struct span *bytes, struct spool_record *r_r) MUSTCHECK; /* spans point into `bytes` */

/* --- files: spool_file.c --------------------------------------------------------------------------------------------------------- */

#define SPOOL_NAME 96

/* Of a living worker. */
struct spool_file {
	char dir[256];
	char name[SPOOL_NAME]; /* empty: there is none */
	int64_t inc;
	int fd;
	int64_t size;
};

/* Made, filled, on disk, then known by its name.  0 or errno: then there is none. */
int spool_file_make(
    struct spool_file *f, const char *dir, const char *node, const struct spool_head *h, struct span records) MUSTCHECK;
int spool_file_add(struct spool_file *f, struct span records) MUSTCHECK; /* 0: on disk; errno: as before */
int spool_file_remove(struct spool_file *f) MUSTCHECK;                   /* 0 or errno; there is none then */
void spool_file_leave(struct spool_file *f);                             /* closed, for the keeper to find */

/* Files of this node that nobody holds. */
struct spool_left {
	char name[SPOOL_NAME];
	int64_t inc;
};
/* Sorted by name; removes what was never promised.  -1 + errno; no directory is no file. */
int spool_list(const char *dir, const char *node, struct spool_left **left_r) MUSTCHECK;
/* Locked and open; -1 + errno: EWOULDBLOCK when somebody holds it, ENOENT when it is gone. */
int spool_left_open(const char *dir, const char *name) MUSTCHECK;
int spool_left_read(int fd, struct buf *bytes) MUSTCHECK;           /* 0 or errno */
int spool_left_remove(const char *dir, const char *name) MUSTCHECK; /* 0 or errno */
int spool_left_set_aside(const char *dir, const char *name) MUSTCHECK;

/* What is there of this node and held by nobody. */
struct spool_sum {
	int files, bad; /* bad: set aside */
	int64_t outcomes, bytes;
	int64_t oldest; /* wall clock, us; 0: none */
};
void spool_survey(const char *dir, const char *node, struct spool_sum *sum_r);

#endif
