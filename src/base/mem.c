/* mem.c - memory that cannot fail: out of memory is a panic, so no caller has a path for it. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* malloc(0) may return null; one byte keeps "never null" true. */
static size_t
at_least_one(size_t size)
{
	return size != 0 ? size : 1;
}

void *
mem_alloc(size_t size)
{
	void *p = malloc(at_least_one(size));

	ASSERT(p != NULL && "out of memory");
	return p;
}

void *
mem_zalloc(size_t size)
{
	void *p = calloc(1, at_least_one(size));

	ASSERT(p != NULL && "out of memory");
	return p;
}

void *
mem_resize(void *ptr, size_t size)
{
	void *p = realloc(ptr, at_least_one(size));

	ASSERT(p != NULL && "out of memory");
	return p;
}

char *
mem_strdup(const char *text)
{
	return text != NULL ? mem_spandup(span_of(text)) : NULL;
}

char *
mem_spandup(struct span s)
{
	char *p = mem_alloc(s.len + 1);

	if (s.len != 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

void
mem_trim(void)
{
	(void)malloc_trim(0);
}

void
mem_free(void *ptr_to_ptr)
{
	void *p;

	/* The address of a pointer of any type arrives here; memcpy reads it without assuming which. */
	memcpy(&p, ptr_to_ptr, sizeof(p));
	free(p);
	p = NULL;
	memcpy(ptr_to_ptr, &p, sizeof(p));
}
