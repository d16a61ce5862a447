/* exec_text.c - what handlers write, made fit to keep: valid UTF-8, bounded, one line where one is wanted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#include "run/exec.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Length of the character at p, 0 when the bytes are not one (overlong forms, surrogates and cut ones included). */
static size_t
char_len(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char lo, hi;   /* first byte */
		unsigned char lo2, hi2; /* second byte */
		size_t len;
	} shapes[] = {
		{ 0xC2, 0xDF, 0x80, 0xBF, 2 },
		{ 0xE0, 0xE0, 0xA0, 0xBF, 3 },
		{ 0xE1, 0xEC, 0x80, 0xBF, 3 },
		{ 0xED, 0xED, 0x80, 0x9F, 3 },
		{ 0xEE, 0xEF, 0x80, 0xBF, 3 },
		{ 0xF0, 0xF0, 0x90, 0xBF, 4 },
		{ 0xF1, 0xF3, 0x80, 0xBF, 4 },
		{ 0xF4, 0xF4, 0x80, 0x8F, 4 },
	};

	if (p[0] < 0x80)
		return (p[0] >= 0x20 && p[0] != 0x7F) || p[0] == '\t' || p[0] == '\n' ? 1 : 0;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		if (p[0] < shapes[i].lo || p[0] > shapes[i].hi)
			continue;
		if (left < shapes[i].len || p[1] < shapes[i].lo2 || p[1] > shapes[i].hi2)
			return 0;
		for (size_t k = 2; k < shapes[i].len; k++)
			if ((p[k] & 0xC0) != 0x80)
				return 0;
		return shapes[i].len;
	}
	return 0;
}

size_t
exec_text_clean(char *to, size_t size, struct span from)
{
	size_t out = 0, in = 0;

	ASSERT(size > 0);
	while (in < from.len) {
		const char *c = from.ptr + in;
		size_t len = char_len((const unsigned char *)c, from.len - in), take = len;

		if (len == 0) {
			c = replacement;
			len = sizeof(replacement) - 1;
			take = 1;
		}
		if (out + len >= size)
			break;
		memcpy(to + out, c, len);
		out += len;
		in += take;
	}
	to[out] = '\0';
	return out;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct span
exec_text_trim(struct span text)
{
	while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
		text.len--;
	while (text.len > 0 && is_blank(text.ptr[0])) {
		text.ptr++;
		text.len--;
	}
	return text;
}

struct span
exec_text_last_line(struct span text)
{
	size_t begin;

	text = exec_text_trim(text);
	for (begin = text.len; begin > 0 && text.ptr[begin - 1] != '\n' && text.ptr[begin - 1] != '\r';)
		begin--;
	return exec_text_trim((struct span){ text.ptr + begin, text.len - begin });
}

struct span
exec_text_take(struct span *text, size_t most)
{
	size_t len = text->len < most ? text->len : most, at = len;
	struct span taken;

	if (len < text->len) {
		while (at > 0 && text->ptr[at - 1] != '\n')
			at--;
		for (at = at > 0 ? at : len; at > len - 3 && ((unsigned char)text->ptr[at] & 0xC0) == 0x80;)
			at--;
	}
	taken = (struct span){ text->ptr, at };
	*text = (struct span){ text->ptr + at, text->len - at };
	return exec_text_trim(taken);
}

double
exec_text_number(struct span json)
{
	struct buf text = { 0 };
	double n;

	if (json.len == 0 || (json.ptr[0] != '-' && (json.ptr[0] < '0' || json.ptr[0] > '9')))
		return (double)NAN;
	buf_putspan(&text, json);
	n = strtod(buf_cstr(&text), NULL);
	buf_free(&text);
	return n;
}
