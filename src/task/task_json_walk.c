/* task_json_walk.c - walking through JSON that was checked before; see task_json.h.
 *
 * No look is twice at the same byte on one level, nothing is allocated.  What is not valid JSON gives nonsense, but no read outside of it.
 */
#include <string.h>

#include "task/task_json.h"

static bool
is_between(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ':';
}

static void
skip_between(struct span *s)
{
	while (s->len > 0 && is_between(s->ptr[0])) {
		s->ptr++;
		s->len--;
	}
}

/* The length of the string at the beginning, both quotes included. */
static size_t
string_len(struct span s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\')
			i++;
	}
	return s.len;
}

static size_t
bracket_len(struct span s)
{
	size_t depth = 0, i = 0;

	while (i < s.len) {
		char c = s.ptr[i];

		if (c == '"') {
			i += string_len((struct span){ s.ptr + i, s.len - i });
			continue;
		}
		i++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
	}
	return i;
}

static size_t
value_len(struct span s)
{
	size_t i = 0;

	if (s.ptr[0] == '"')
		return string_len(s);
	if (s.ptr[0] == '{' || s.ptr[0] == '[')
		return bracket_len(s);
	while (i < s.len && !is_between(s.ptr[i]) && s.ptr[i] != '}' && s.ptr[i] != ']')
		i++;
	return i;
}

static bool
take_value(struct span *rest, struct span *value_r)
{
	size_t len;

	skip_between(rest);
	if (rest->len == 0 || (len = value_len(*rest)) == 0)
		return false;
	*value_r = (struct span){ rest->ptr, len };
	*rest = (struct span){ rest->ptr + len, rest->len - len };
	return true;
}

bool
task_json_next(struct span *rest, struct span *name, struct span *value_r)
{
	if (name != NULL && !take_value(rest, name))
		return false;
	return take_value(rest, value_r);
}

struct span
task_json_inside(struct span value)
{
	skip_between(&value);
	return value.len == 0 ? value : (struct span){ value.ptr + 1, value.len - 1 };
}

/* --- strings ------------------------------------------------------------------------------------------------------------------ */

/* The four digits after \u; -1: they are not there. */
static int
unit(const char *p, const char *end)
{
	int n = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		if (base_hex(p[i]) < 0)
			return -1;
		n = n << 4 | base_hex(p[i]);
	}
	return n;
}

static void
put_utf8(struct buf *b, unsigned c)
{
	char t[4];

	if (c < 0x80) {
		buf_putc(b, (char)c);
		return;
	}
	if (c < 0x800) {
		t[0] = (char)(0xC0 | c >> 6);
	} else {
		t[0] = (char)(c < 0x10000 ? 0xE0 | c >> 12 : 0xF0 | c >> 18);
		t[1] = (char)(c < 0x10000 ? 0x80 | (c >> 6 & 0x3F) : 0x80 | (c >> 12 & 0x3F));
		t[2] = (char)(0x80 | (c >> 6 & 0x3F));
	}
	t[c < 0x800 ? 1 : c < 0x10000 ? 2 : 3] = (char)(0x80 | (c & 0x3F));
	buf_put(b, t, c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
}

/* What is behind the backslash at p; returns its length, the backslash included. */
static size_t
put_escape(struct buf *b, const char *p, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *plain = end - p >= 2 && p[1] != '\0' ? strchr(from, p[1]) : NULL;
	int high = unit(p, end), low;

	if (plain != NULL) {
		buf_putc(b, to[plain - from]);
		return 2;
	}
	if (high < 0)
		return (size_t)(end - p); /* not JSON */
	low = high >= 0xD800 && high < 0xDC00 ? unit(p + 6, end) : -1;
	if (low >= 0xDC00 && low < 0xE000) {
		put_utf8(b, 0x10000 + (((unsigned)high - 0xD800) << 10 | ((unsigned)low - 0xDC00)));
		return 12;
	}
	put_utf8(b, high >= 0xD800 && high < 0xE000 ? 0xFFFD : (unsigned)high);
	return 6;
}

void
task_json_text(struct buf *b, struct span string)
{
	const char *p = string.ptr + 1, *end = string.ptr + string.len - 1;

	while (p < end) {
		const char *back = memchr(p, '\\', (size_t)(end - p));

		buf_put(b, p, (size_t)((back != NULL ? back : end) - p));
		if (back == NULL)
			break;
		p = back + put_escape(b, back, end);
	}
}
