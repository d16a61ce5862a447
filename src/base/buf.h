/* buf.h - bytes that grow. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <string.h>

#include "base/base.h"

/* All zero is a valid empty buf.  `data` is not terminated; buf_cstr() terminates. */
struct buf {
	char *data;
	size_t len; /* bytes used */
	size_t cap; /* bytes allocated */
};

void buf_free(struct buf *b);              /* frees the bytes and leaves an empty buf */
void buf_reset(struct buf *b);             /* len = 0, keeps the memory */
void buf_grow(struct buf *b, size_t more); /* what buf_reserve() does when there is no room */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
void buf_putu64(struct buf *b, uint64_t n);   /* decimal, fast path */
void buf_consume(struct buf *b, size_t len);  /* drops bytes from the front */
const char *buf_cstr(struct buf *b);          /* terminated; valid until the next change */
char *buf_take(struct buf *b, size_t *len_r); /* transfers the bytes (terminated); the buf is empty after */

/* An answer is a hundred small appends: here, so that the compiler knows their lengths. */

/* Room for `more` bytes after len. */
static inline void
buf_reserve(struct buf *b, size_t more)
{
	if (b->cap - b->len < more || b->data == NULL)
		buf_grow(b, more);
}

static inline void
buf_put(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	buf_reserve(b, len);
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
}

static inline void
buf_putc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->data[b->len++] = c;
}

static inline void
buf_puts(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

static inline void
buf_putspan(struct buf *b, struct span s)
{
	buf_put(b, s.ptr, s.len);
}

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->data, b->len };
}

/* Length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates, not above U+10FFFF), at most `left` bytes; 0 when
 * there is none.  `left` is at least 1. */
size_t utf8_length(const unsigned char *p, size_t left);

/* JSON text writers used by every room that answers or logs: the string is escaped by RFC 8259; bytes that are not
 * UTF-8 become U+FFFD. */
void buf_json_string(struct buf *b, struct span s);

#endif
