/* task_json_text.c - strings of a checked JSON text: undo escapes, compare, copy, sort.
 *
 * Everything here trusts the scanner: the bytes between the quotes are valid, so nothing looks for an end inside an
 * escape.
 *
 * Names are sorted, not hashed: nobody can choose names that make sorting slow.
 */
#include <string.h>

#include "task/task_int.h"

#define SMALL 12 /* sorted by insertion */

static uint32_t
hex4(const unsigned char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (p[i] <= '9' ? p[i] - (uint32_t)'0' : (p[i] | 0x20u) - 'a' + 10);
	return v;
}

/* `p` is at the digits of \uXXXX; a pair of surrogates is one character. */
static uint32_t
unicode_escape(const unsigned char **at)
{
	const unsigned char *p = *at;
	uint32_t c = hex4(p), low;

	*at = p + 4;
	if ((c & 0xfc00) != 0xd800 || p[4] != '\\' || p[5] != 'u')
		return c;
	low = hex4(p + 6);
	if ((low & 0xfc00) != 0xdc00)
		return c;
	*at = p + 10;
	return 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
}

static uint32_t
escape(const unsigned char **at)
{
	unsigned char c = *(*at)++;

	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'u':
		return unicode_escape(at);
	default:
		return c;
	}
}

uint32_t
json_char(const unsigned char **at)
{
	const unsigned char *p = *at;

	if (p[0] == '\\') {
		*at = p + 1;
		return escape(at);
	}
	if (p[0] < 0x80) {
		*at = p + 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*at = p + 2;
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	}
	if (p[0] < 0xf0) {
		*at = p + 3;
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	}
	*at = p + 4;
	return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

size_t
json_char_put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

struct span
json_raw(const struct json_scan *s, uint32_t token)
{
	return (struct span){ s->text.ptr + s->tokens[token].start, s->tokens[token].len };
}

struct span
json_whole(const struct json_scan *s, uint32_t token)
{
	size_t quote = s->tokens[token].type == JSON_STRING;

	return (struct span){ s->text.ptr + s->tokens[token].start - quote, s->tokens[token].len + 2 * quote };
}

bool
json_text_is(const struct json_scan *s, uint32_t token, const char *text)
{
	struct span raw = json_raw(s, token);
	const unsigned char *p = (const unsigned char *)raw.ptr, *end = p + raw.len;

	while (p < end && *text != '\0' && json_char(&p) == (unsigned char)*text)
		text++;
	return p == end && *text == '\0';
}

/* The order of code points is the order of their UTF-8. */
static int
cmp_escaped(struct span a, struct span b)
{
	const unsigned char *pa = (const unsigned char *)a.ptr, *ea = pa + a.len;
	const unsigned char *pb = (const unsigned char *)b.ptr, *eb = pb + b.len;
	uint32_t ca, cb;

	while (pa < ea && pb < eb) {
		ca = json_char(&pa);
		cb = json_char(&pb);
		if (ca != cb)
			return ca < cb ? -1 : 1;
	}
	return (pa < ea) - (pb < eb);
}

int
json_texts_cmp(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b)
{
	struct span ta = json_raw(sa, a), tb = json_raw(sb, b);
	int order;

	if ((sa->tokens[a].flags | sb->tokens[b].flags) & JSON_ESCAPED)
		return cmp_escaped(ta, tb);
	order = memcmp(ta.ptr, tb.ptr, ta.len < tb.len ? ta.len : tb.len);
	return order != 0 ? order : (ta.len > tb.len) - (ta.len < tb.len);
}

int
json_text_cmp(const struct json_scan *s, uint32_t a, uint32_t b)
{
	return json_texts_cmp(s, a, s, b);
}

size_t
json_text_chars(const struct json_scan *s, uint32_t token)
{
	struct span raw = json_raw(s, token);
	const unsigned char *p = (const unsigned char *)raw.ptr, *end = p + raw.len;
	size_t n = 0;

	for (; p < end; n++)
		(void)json_char(&p);
	return n;
}

struct span
json_text(const struct json_scan *s, uint32_t token, struct arena *arena)
{
	struct span raw = json_raw(s, token);
	const unsigned char *p = (const unsigned char *)raw.ptr, *end = p + raw.len;
	char *out;
	size_t len = 0;

	if (!(s->tokens[token].flags & JSON_ESCAPED))
		return raw;
	out = arena_alloc(arena, raw.len); /* undoing an escape never makes it longer */
	while (p < end)
		len += json_char_put(json_char(&p), out + len);
	return (struct span){ out, len };
}

static void
sort_small(const struct json_scan *s, uint32_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint32_t moving = v[i];
		size_t j = i;

		for (; j > 0 && json_text_cmp(s, v[j - 1], moving) > 0; j--)
			v[j] = v[j - 1];
		v[j] = moving;
	}
}

/* Merge sort: stable, n log n whatever comes.  It goes log2(n) calls deep, at most 17. */
static void
sort(const struct json_scan *s, uint32_t *v, uint32_t *spare, size_t n)
{
	size_t half = n / 2, i = 0, j = half, k = 0;

	if (n <= SMALL) {
		sort_small(s, v, n);
		return;
	}
	sort(s, v, spare, half);
	sort(s, v + half, spare, n - half);
	if (json_text_cmp(s, v[half - 1], v[half]) <= 0)
		return;
	memcpy(spare, v, half * sizeof(*v));
	while (i < half && j < n)
		v[k++] = json_text_cmp(s, spare[i], v[j]) <= 0 ? spare[i++] : v[j++];
	memcpy(v + k, spare + i, (half - i) * sizeof(*v));
}

uint32_t
json_names_link(struct json_scan *s, uint32_t object, uint32_t count)
{
	uint32_t name = object + 1;
	uint32_t *v;

	if (count == 0)
		return 0;
	if (s->order_cap < count) {
		s->order_cap = 2 * (size_t)count;
		s->order = mem_resize(s->order != s->few ? s->order : NULL, 2 * s->order_cap * sizeof(*s->order));
	}
	v = s->order;
	for (uint32_t i = 0; i < count; i++) {
		v[i] = name;
		name = s->tokens[name + 1].next;
	}
	sort(s, v, v + count, count);
	s->tokens[object].link = v[0];
	for (uint32_t i = 1; i < count; i++) {
		s->tokens[v[i - 1]].link = v[i];
		if (json_text_cmp(s, v[i - 1], v[i]) == 0)
			return v[i];
	}
	return 0;
}
