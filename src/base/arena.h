/* arena.h - memory with one lifetime: a request, a run.  Everything is freed at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"

struct arena;

struct arena *arena_new(size_t first_block) MUSTCHECK;
void arena_free(struct arena **a);
void arena_reset(struct arena *a); /* forgets all, keeps the first block */
void *arena_alloc(struct arena *a, size_t size) MUSTCHECK; /* zeroed, aligned for any type */
char *arena_strdup(struct arena *a, const char *text) MUSTCHECK;
char *arena_spandup(struct arena *a, struct span s) MUSTCHECK; /* terminated copy */
struct span arena_span(struct arena *a, struct span s);        /* copied bytes as a span */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3) MUSTCHECK;

#endif
