/* id.h - 128-bit identifiers and their text (RFC 9562). */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/base.h"

struct id {
	uint8_t b[16]; /* network order: memcmp() is the order of the database's uuid type */
};

#define ID_TEXT 37 /* 36 characters + NUL */

void id_format(const struct id *id, char text[ID_TEXT]); /* lower case */
bool id_parse(struct span text, struct id *id_r) MUSTCHECK; /* 8-4-4-4-12, either case; else false */
int id_cmp(const struct id *a, const struct id *b);
bool id_eq(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *id);
struct id id_random(void); /* UUIDv4 from getrandom(2); panics when the kernel has no randomness */

#endif
