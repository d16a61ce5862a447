/* buf.c - bytes that grow, and the JSON string writer.
 *
 * Capacity doubles, so appending n bytes costs O(n) in all.  buf_consume() moves what is left to the front: cheap when, as
 * in a protocol reader, little is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define BUF_FIRST 64

void
buf_free(struct buf *b)
{
	mem_free(&b->data);
	b->len = b->cap = 0;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
}

void
buf_grow(struct buf *b, size_t more)
{
	size_t cap = b->cap != 0 ? b->cap : BUF_FIRST;

	ASSERT(more <= SIZE_MAX / 4 && b->len <= SIZE_MAX / 4);
	while (cap - b->len < more)
		cap *= 2;
	b->data = mem_resize(b->data, cap);
	b->cap = cap;
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	buf_reserve(b, BUF_FIRST);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	ASSERT(n >= 0);
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n + 1);
		MUST(vsnprintf(b->data + b->len, b->cap - b->len, fmt, again) == n);
	}
	va_end(again);
	b->len += (size_t)n;
}

void
buf_putu64(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	buf_put(b, digits + at, sizeof(digits) - at);
}

void
buf_consume(struct buf *b, size_t len)
{
	ASSERT(len <= b->len);
	b->len -= len;
	if (b->len != 0 && len != 0)
		memmove(b->data, b->data + len, b->len);
}

const char *
buf_cstr(struct buf *b)
{
	buf_reserve(b, 1);
	b->data[b->len] = '\0';
	return b->data;
}

char *
buf_take(struct buf *b, size_t *len_r)
{
	char *data;

	(void)buf_cstr(b);
	data = b->data;
	if (len_r != NULL)
		*len_r = b->len;
	*b = (struct buf){ 0 };
	return data;
}

size_t
utf8_length(const unsigned char *p, size_t left)
{
	size_t n, i;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (left < n || p[1] < low || p[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void
json_escape(struct buf *b, unsigned char c)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	size_t i;

	for (i = 0; i + 1 < sizeof(named); i += 2)
		if ((unsigned char)named[i] == c) {
			buf_putc(b, '\\');
			buf_putc(b, named[i + 1]);
			return;
		}
	buf_printf(b, "\\u%04x", c);
}

void
buf_json_string(struct buf *b, struct span s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0, plain = 0, n;

	buf_reserve(b, s.len + 2);
	buf_putc(b, '"');
	while (i < s.len) {
		n = utf8_length(p + i, s.len - i);
		if (n > 1 || (n == 1 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')) {
			i += n;
			continue;
		}
		buf_put(b, s.ptr + plain, i - plain);
		if (n == 0)
			buf_puts(b, "\xef\xbf\xbd");
		else
			json_escape(b, p[i]);
		plain = ++i;
	}
	if (s.len > plain)
		buf_put(b, s.ptr + plain, s.len - plain);
	buf_putc(b, '"');
}
