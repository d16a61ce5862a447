/* base.h - words that every room uses.
 *
 * Attributes, assertions and memory that cannot fail.  Includes libc only.
 *
 * Three kinds of trouble, three tools: we are wrong -> ASSERT (stays in the release build; the process dies with file
 * and line, the supervisor starts another); the machine is wrong at start -> log_fatal(); the world said no -> a MUSTCHECK
 * result.  Allocation never returns null: out of memory is a panic.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUSTCHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ASSERT(e) ((e) ? (void)0 : base_panic(__FILE__, __LINE__, #e))
/* For calls that cannot fail unless we are wrong: MUST(close(fd) == 0). */
#define MUST(e) ASSERT(e)
#define UNREACHABLE(why) base_panic(__FILE__, __LINE__, why)

NORETURN void base_panic(const char *file, int line, const char *what);
/* Called once by base_panic with the text, before abort(); used to log it and to leave it in the stats slot. */
void base_on_panic(void (*hook)(const char *text));

/* A struct that travels as void * begins with `unsigned magic`, set by its maker and checked on arrival. */
#define MAGIC_CHECK(p, m) ASSERT((p) != NULL && (p)->magic == (m))

/* Bytes borrowed from somebody else; not terminated by NUL.  The lender must outlive the span. */
struct span {
	const char *ptr;
	size_t len;
};
#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
struct span span_of(const char *text); /* null gives the empty span */
bool span_eq(struct span a, struct span b);
bool span_is(struct span a, const char *text);
bool span_ieq(struct span a, const char *text); /* ASCII case ignored */
int base_hex(char c);                           /* value of a hexadecimal digit, either case; -1: none */

void *mem_alloc(size_t size) MUSTCHECK;
void *mem_zalloc(size_t size) MUSTCHECK;
void *mem_resize(void *ptr, size_t size) MUSTCHECK;
char *mem_strdup(const char *text) MUSTCHECK; /* null stays null */
char *mem_spandup(struct span s) MUSTCHECK;   /* adds the NUL */
void mem_trim(void);                          /* gives what is free back to the kernel; takes milliseconds */
void mem_free(void *ptr_to_ptr);              /* takes the address, frees, leaves null */

#endif
