/* task_msgpack.h - JSON values as msgpack and back.  Pure; task_msgpack.c. */
#ifndef TASK_TASK_MSGPACK_H
#define TASK_TASK_MSGPACK_H

#include "base/buf.h"

/* Appends a valid JSON value.  Integers that fit 64 bits stay integers, other numbers become the nearest double. */
void task_msgpack_put(struct buf *b, struct span json);
/* Appends one msgpack value as JSON; false when it has what JSON cannot say: raw bytes, extensions, NaN, names that are not text, text
 * that is not UTF-8; or is nested too deep.  That no name is twice is for whoever takes the JSON. */
bool task_msgpack_json(struct span msgpack, struct buf *b) MUSTCHECK;
/* The head of a value: its length without the values inside, and how many these are.  0: more bytes are needed; -1: not msgpack. */
int64_t task_msgpack_head(const char *bytes, size_t len, uint64_t *inside_r) MUSTCHECK;

#endif
