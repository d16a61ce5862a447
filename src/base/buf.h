/* buf.h - bytes that grow. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/base.h"

/* All zero is a valid empty buf.  `data` is not terminated; buf_cstr() terminates. */
struct buf {
	char *data;
	size_t len; /* bytes used */
	size_t cap; /* bytes allocated */
};

void buf_free(struct buf *b);                /* frees the bytes and leaves an empty buf */
void buf_reset(struct buf *b);               /* len = 0, keeps the memory */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes after len */
void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *text);
void buf_putspan(struct buf *b, struct span s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
void buf_putu64(struct buf *b, uint64_t n); /* decimal, fast path */
void buf_consume(struct buf *b, size_t len); /* drops bytes from the front */
const char *buf_cstr(struct buf *b);         /* terminated; valid until the next change */
struct span buf_span(const struct buf *b);
char *buf_take(struct buf *b, size_t *len_r); /* transfers the bytes (terminated); the buf is empty after */

/* Length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates, not above U+10FFFF), at most `left` bytes; 0 when
 * there is none.  `left` is at least 1. */
size_t utf8_length(const unsigned char *p, size_t left);

/* JSON text writers used by every room that answers or logs: the string is escaped by RFC 8259; bytes that are not
 * UTF-8 become U+FFFD. */
void buf_json_string(struct buf *b, struct span s);

#endif
