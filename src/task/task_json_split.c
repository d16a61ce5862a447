/* task_json_split.c - a bulk body, in any pieces, into the bytes of its items.
 *
 * It looks at each byte once and copies none.  In an array an item ends at the comma or bracket that stands outside of its strings and
 * brackets, among lines at the end of the line.  Either kind of bracket opens and either closes: an item in which they do not match is
 * cut somewhere, and whoever reads it finds out.
 */
#include <string.h>

#include "task/task_json.h"

enum { AT_START, AT_FIRST, AT_ITEM, IN_ITEM, AT_NEXT, AT_END, BROKEN };

enum { PLAIN, SPACE, QUOTE, OPEN, CLOSE, COMMA };
static const uint8_t kinds[256] = {
	[' '] = SPACE,
	['\t'] = SPACE,
	['\r'] = SPACE,
	['\n'] = SPACE,
	['"'] = QUOTE,
	['['] = OPEN,
	['{'] = OPEN,
	[']'] = CLOSE,
	['}'] = CLOSE,
	[','] = COMMA,
};

static int
kind_of(const char *p)
{
	return kinds[(unsigned char)*p];
}

static enum json_split_event
bad(struct json_split *s, const char *wrong)
{
	s->state = BROKEN;
	s->wrong = wrong;
	return JSON_SPLIT_BAD;
}

/* --- inside of an item ------------------------------------------------------------------------------------------------ */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* True when none of eight bytes is a quote or a backslash.  May be false for others too. */
static bool
dull8(const char *p)
{
	uint64_t x, quote, slash;

	memcpy(&x, p, sizeof(x));
	quote = x ^ EACH('"');
	slash = x ^ EACH('\\');
	return ((((quote - EACH(1)) & ~quote) | ((slash - EACH(1)) & ~slash)) & EACH(0x80)) == 0;
}

/* Behind the quote that ends the string, or the end of the piece. */
static const char *
skip_string(struct json_split *s, const char *p, const char *end)
{
	for (; p < end; p++) {
		while (!s->escape && end - p >= 8 && dull8(p))
			p += 8;
		if (p == end)
			break;
		if (s->escape) {
			s->escape = false;
		} else if (*p == '\\') {
			s->escape = true;
		} else if (*p == '"') {
			s->string = false;
			return p + 1;
		}
	}
	return p;
}

/* The byte that ends the item, which is no part of it; null: it goes on. */
static const char *
item_end(struct json_split *s, const char *p, const char *end)
{
	while (p < end) {
		if (s->string) {
			p = skip_string(s, p, end);
			continue;
		}
		switch (kind_of(p)) {
		case QUOTE:
			s->string = true;
			break;
		case OPEN:
			s->depth++;
			break;
		case CLOSE:
			if (s->depth == 0)
				return p;
			s->depth--;
			break;
		case COMMA:
			if (s->depth == 0)
				return p;
			break;
		default:
			break;
		}
		p++;
	}
	return NULL;
}

static void
take(struct json_split *s, struct span *piece, size_t n)
{
	piece->ptr += n;
	piece->len -= n;
	s->offset += n;
}

static enum json_split_event
go_on(struct json_split *s, struct span *piece, struct span *part_r)
{
	const char *end =
	    s->lines ? memchr(piece->ptr, '\n', piece->len) : item_end(s, piece->ptr, piece->ptr + piece->len);

	*part_r = (struct span){ piece->ptr, end != NULL ? (size_t)(end - piece->ptr) : piece->len };
	take(s, piece, part_r->len);
	if (end == NULL)
		return JSON_SPLIT_PART;
	s->state = AT_NEXT;
	return JSON_SPLIT_ITEM;
}

/* --- between items ------------------------------------------------------------------------------------------------------ */

static enum json_split_event
begin_item(struct json_split *s, struct span *piece, struct span *part_r)
{
	s->state = IN_ITEM;
	s->string = s->escape = false;
	s->depth = 0;
	s->begin = s->offset;
	s->items++;
	return go_on(s, piece, part_r);
}

/* One byte that is neither white space nor part of an item.  Null, or what else was expected. */
static const char *
take_mark(struct json_split *s, char c)
{
	switch (s->state) {
	case AT_START:
		s->state = AT_FIRST;
		return c == '[' ? NULL : "expected an array: an opening bracket";
	case AT_FIRST:
		s->state = AT_END;
		return c == ']' ? NULL : "expected an item or a closing bracket";
	case AT_NEXT:
		s->state = c == ',' ? AT_ITEM : AT_END;
		return c == ',' || c == ']' ? NULL : "expected a comma or a closing bracket";
	case AT_ITEM:
		return "expected an item";
	default:
		return "expected nothing after the array";
	}
}

static bool
begins_item(const struct json_split *s, const char *p)
{
	if (s->lines)
		return true;
	return (s->state == AT_FIRST || s->state == AT_ITEM) && kind_of(p) != COMMA && *p != ']' && *p != '}';
}

enum json_split_event
json_split(struct json_split *s, struct span *piece, struct span *part_r)
{
	const char *wrong;

	if (s->state == BROKEN)
		return JSON_SPLIT_BAD;
	while (piece->len > 0) {
		if (s->state == IN_ITEM)
			return go_on(s, piece, part_r);
		if (kind_of(piece->ptr) == SPACE) {
			take(s, piece, 1);
			continue;
		}
		if (begins_item(s, piece->ptr))
			return begin_item(s, piece, part_r);
		wrong = take_mark(s, *piece->ptr);
		if (wrong != NULL)
			return bad(s, wrong);
		take(s, piece, 1);
	}
	return JSON_SPLIT_MORE;
}

enum json_split_event
json_split_end(struct json_split *s)
{
	if (s->state == BROKEN)
		return JSON_SPLIT_BAD;
	if (s->lines && s->state == IN_ITEM) {
		s->state = AT_NEXT;
		return JSON_SPLIT_ITEM;
	}
	if (s->lines || s->state == AT_END)
		return JSON_SPLIT_MORE;
	return bad(
	    s, s->state == AT_START ? "expected an array, the body is empty" : "expected more, the body ends here");
}
