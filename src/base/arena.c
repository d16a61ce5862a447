/* arena.c - memory with one lifetime.
 *
 * A chain of blocks, the newest first; each holds at least twice what the one before did, so a long life costs few calls of
 * malloc.  A request larger than the next block gets a block of its own size.
 */
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

#define ARENA_ALIGN alignof(max_align_t)
#define ARENA_LEAST 256
#define ARENA_MOST (1U << 20) /* blocks stop doubling here */

struct block {
	struct block *older;
	size_t size; /* usable bytes */
	size_t used;
	alignas(max_align_t) char bytes[];
};

struct arena {
	struct block *newest;
	struct block *first;
};

static struct block *
block_new(struct block *older, size_t size)
{
	struct block *b = mem_alloc(sizeof(*b) + size);

	b->older = older;
	b->size = size;
	b->used = 0;
	return b;
}

static void
blocks_free_down_to(struct arena *a, struct block *keep)
{
	struct block *b;

	while ((b = a->newest) != keep) {
		a->newest = b->older;
		mem_free(&b);
	}
}

struct arena *
arena_new(size_t first_block)
{
	struct arena *a = mem_alloc(sizeof(*a));

	a->first = block_new(NULL, first_block < ARENA_LEAST ? ARENA_LEAST : first_block);
	a->newest = a->first;
	return a;
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	blocks_free_down_to(*a, NULL);
	mem_free(a);
}

void
arena_reset(struct arena *a)
{
	blocks_free_down_to(a, a->first);
	a->first->used = 0;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	size_t next;
	void *p;

	ASSERT(size < SIZE_MAX / 4);
	size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	if (a->newest->size - a->newest->used < size) {
		next = a->newest->size < ARENA_MOST ? a->newest->size * 2 : ARENA_MOST;
		a->newest = block_new(a->newest, size > next ? size : next);
	}
	p = a->newest->bytes + a->newest->used;
	a->newest->used += size;
	return memset(p, 0, size);
}

char *
arena_strdup(struct arena *a, const char *text)
{
	return text != NULL ? arena_spandup(a, span_of(text)) : NULL;
}

char *
arena_spandup(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len != 0)
		memcpy(p, s.ptr, s.len);
	return p;
}

struct span
arena_span(struct arena *a, struct span s)
{
	return (struct span){ arena_spandup(a, s), s.len };
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	ASSERT(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	MUST(vsnprintf(p, (size_t)n + 1, fmt, again) == n);
	va_end(again);
	va_end(ap);
	return p;
}
