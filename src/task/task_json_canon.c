/* task_json_canon.c - the one text of a JSON value.
 *
 * Names sorted by their UTF-8, no white space, numbers as written, strings with the least escapes: \" \\ \b \f \n \r
 * \t, \u00xx in lower case for the other control characters, \udxxx for a surrogate without its other half, everything
 * else as it is.
 *
 * Frozen: fingerprints of stored keys are taken from this text.  That is why it does not use the writer that answers
 * use.
 */
#include <string.h>

#include "task/task_int.h"

static void
put_unicode_escape(struct buf *b, uint32_t c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', digits[c >> 12 & 15], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15] };

	buf_put(b, text, sizeof(text));
}

static void
put_char(struct buf *b, uint32_t c)
{
	static const char special[] = "\"\\\b\f\n\r\t";
	static const char letter[] = "\"\\bfnrt";
	const char *found = c != 0 && c < 0x80 ? strchr(special, (int)c) : NULL;
	char utf8[4];
	size_t len;

	if (found != NULL) {
		buf_putc(b, '\\');
		buf_putc(b, letter[found - special]);
	} else if (c < 0x20 || (c & 0xfffff800) == 0xd800) {
		put_unicode_escape(b, c);
	} else {
		len = json_char_put(c, utf8);
		buf_put(b, utf8, len);
	}
}

static void
put_string(struct buf *b, const struct json_scan *s, uint32_t token)
{
	struct span raw = json_raw(s, token);
	const unsigned char *p = (const unsigned char *)raw.ptr, *end = p + raw.len;

	if (!(s->tokens[token].flags & JSON_ESCAPED)) {
		buf_put(b, raw.ptr - 1, raw.len + 2); /* with its quotes */
		return;
	}
	buf_putc(b, '"');
	while (p < end)
		put_char(b, json_char(&p));
	buf_putc(b, '"');
}

void
json_canon_text(struct buf *b, struct span text)
{
	size_t plain = 0;

	buf_putc(b, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_put(b, text.ptr + plain, i - plain);
		put_char(b, c);
		plain = i + 1;
	}
	buf_put(b, text.ptr + plain, text.len - plain);
	buf_putc(b, '"');
}

/* What is left of an open object or array; `child` is its next name or item. */
struct open {
	uint32_t token;
	uint32_t child;
};

static bool
is_over(const struct json_scan *s, const struct open *o)
{
	if (s->tokens[o->token].type == JSON_OBJECT)
		return o->child == 0;
	return o->child == s->tokens[o->token].next;
}

/* Writes the comma, the name and all that comes before the next child, and says which token it is. */
static uint32_t
next_child(struct buf *b, const struct json_scan *s, struct open *o)
{
	uint32_t child = o->child;
	bool object = s->tokens[o->token].type == JSON_OBJECT;

	if (child != (object ? s->tokens[o->token].link : o->token + 1))
		buf_putc(b, ',');
	if (!object) {
		o->child = s->tokens[child].next;
		return child;
	}
	put_string(b, s, child);
	buf_putc(b, ':');
	o->child = s->tokens[child].link;
	return child + 1;
}

void
json_canon(struct buf *b, const struct json_scan *s, uint32_t token)
{
	struct open stack[TASK_DEPTH_MAX];
	int depth = 0;

	for (;;) {
		const struct json_token *t = &s->tokens[token];

		if (t->type == JSON_OBJECT || t->type == JSON_ARRAY) {
			buf_putc(b, t->type == JSON_OBJECT ? '{' : '[');
			stack[depth++] = (struct open){ token, t->type == JSON_OBJECT ? t->link : token + 1 };
		} else if (t->type == JSON_STRING) {
			put_string(b, s, token);
		} else {
			buf_putspan(b, json_raw(s, token));
		}
		for (; depth > 0 && is_over(s, &stack[depth - 1]); depth--)
			buf_putc(b, s->tokens[stack[depth - 1].token].type == JSON_OBJECT ? '}' : ']');
		if (depth == 0)
			return;
		token = next_child(b, s, &stack[depth - 1]);
	}
}

bool
task_json_canonical(struct span json, struct buf *out, struct task_problem *problem_r)
{
	struct json_scan s;
	bool good = json_scan(&s, json, problem_r);

	if (good)
		json_canon(out, &s, 0);
	json_scan_free(&s);
	return good;
}

bool
task_json_valid(struct span json)
{
	struct json_scan s;
	struct task_problem problem;
	bool good = json_scan(&s, json, &problem);

	json_scan_free(&s);
	return good;
}
