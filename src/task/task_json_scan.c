/* task_json_scan.c - one pass over a JSON text: is it valid, and what is where.
 *
 * A loop over what may come next (enum want); each take_ function reads that and says what may follow.  Open objects
 * and arrays are kept on a stack of fixed depth, so no input can exhaust ours.  A problem is set where it is found and
 * the loop ends.
 *
 * Details must stay free of quotes and backslashes of the body: they are copied into answers as they are.
 */
#include <string.h>

#include "task/task_int.h"

enum want { WANT_VALUE, WANT_FIRST_ITEM, WANT_NAME, WANT_FIRST_NAME, WANT_COLON, WANT_NEXT, WANT_END, DONE, WRONG };

struct reader {
	struct json_scan *s;
	struct task_problem *problem;
	const unsigned char *begin, *at, *end;
};

/* The path to the member that is being read. */
static void
point_here(struct reader *r)
{
	for (int i = 0; i < r->s->depth; i++) {
		const struct json_frame *f = &r->s->stack[i];

		if (f->count == 0)
			return;
		if (r->s->tokens[f->token].type == JSON_OBJECT)
			problem_point_name(r->problem, r->s, f->name);
		else
			problem_point_index(r->problem, f->count - 1);
	}
}

static enum want
wrong_at(struct reader *r, const unsigned char *where, const char *code, const char *what)
{
	problem_set(r->problem, code, (size_t)(where - r->begin), "%s", what);
	point_here(r);
	return WRONG;
}

/* Nothing but a short text, or trouble of its own, explains a missing byte. */
static enum want
wrong(struct reader *r, const char *what)
{
	return wrong_at(r, r->at, "invalid_json", r->at == r->end ? "expected more, the text ends here" : what);
}

static uint32_t
token_new(struct reader *r, enum json_type type, const unsigned char *start, const unsigned char *end)
{
	struct json_scan *s = r->s;
	uint32_t n = s->ntokens++;

	if (n == s->cap) {
		s->cap *= 4;
		if (s->tokens == s->fixed) {
			s->tokens = mem_alloc(s->cap * sizeof(*s->tokens));
			memcpy(s->tokens, s->fixed, sizeof(s->fixed));
		} else {
			s->tokens = mem_resize(s->tokens, s->cap * sizeof(*s->tokens));
		}
	}
	s->tokens[n] = (struct json_token){
		.start = (uint32_t)(start - r->begin),
		.len = (uint32_t)(end - start),
		.next = n + 1,
		.type = (uint8_t)type,
	};
	return n;
}

/* --- strings ------------------------------------------------------------------------------------------------------- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* True when none of eight bytes ends the plain part of a string: control, quote, backslash, not ASCII. */
static bool
plain8(const unsigned char *p)
{
	uint64_t x, quote, slash;

	memcpy(&x, p, sizeof(x));
	quote = x ^ EACH('"');
	slash = x ^ EACH('\\');
	return ((x | ((x - EACH(0x20)) & ~x) | ((quote - EACH(1)) & ~quote) | ((slash - EACH(1)) & ~slash)) &
		   EACH(0x80)) == 0;
}

static const unsigned char *
skip_plain(const unsigned char *p, const unsigned char *end)
{
	while (end - p >= 8 && plain8(p))
		p += 8;
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static bool
is_hex(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* The high byte of the \uXXXX at p, which must be there whole; -1 when it is not one. */
static int
unicode_at(const struct reader *r, const unsigned char *p)
{
	static const uint8_t value[] = { ['1'] = 1,
		['2'] = 2,
		['3'] = 3,
		['4'] = 4,
		['5'] = 5,
		['6'] = 6,
		['7'] = 7,
		['8'] = 8,
		['9'] = 9,
		['A'] = 10,
		['B'] = 11,
		['C'] = 12,
		['D'] = 13,
		['E'] = 14,
		['F'] = 15,
		['a'] = 10,
		['b'] = 11,
		['c'] = 12,
		['d'] = 13,
		['e'] = 14,
		['f'] = 15 };

	if (r->end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
		if (!is_hex(p[i]))
			return -1;
	return value[p[2]] << 4 | value[p[3]];
}

/* At a backslash: moves behind the escape (or the pair of them).  False when there is none. */
static bool
take_escape(struct reader *r, unsigned *flags)
{
	int high, low;

	*flags |= JSON_ESCAPED;
	if (r->end - r->at >= 2 && r->at[1] != '\0' && strchr("\"\\/bfnrt", r->at[1]) != NULL) {
		r->at += 2;
		return true;
	}
	high = unicode_at(r, r->at);
	if (high < 0)
		return false;
	r->at += 6;
	if (high < 0xd8 || high > 0xdf)
		return true;
	low = unicode_at(r, r->at);
	if (high < 0xdc && low >= 0xdc && low <= 0xdf)
		r->at += 6;
	else
		*flags |= JSON_SURROGATE;
	return true;
}

/* At the opening quote.  The token, or UINT32_MAX and a problem. */
static uint32_t
take_string(struct reader *r)
{
	const unsigned char *start = ++r->at;
	unsigned flags = 0;
	uint32_t token;
	size_t n;

	for (;;) {
		r->at = skip_plain(r->at, r->end);
		if (r->at == r->end) {
			wrong(r, "");
		} else if (*r->at == '"') {
			token = token_new(r, JSON_STRING, start, r->at++);
			r->s->tokens[token].flags = (uint8_t)flags;
			return token;
		} else if (*r->at == '\\') {
			if (take_escape(r, &flags))
				continue;
			wrong_at(r, r->at, "invalid_json", "expected an escape of JSON after the backslash");
		} else if (*r->at < 0x20) {
			wrong(r, "expected control characters in strings to be escaped");
		} else {
			n = utf8_length(r->at, (size_t)(r->end - r->at));
			r->at += n;
			if (n > 0)
				continue;
			wrong_at(r, r->at, "invalid_utf8", "expected UTF-8");
		}
		return UINT32_MAX;
	}
}

/* --- values -------------------------------------------------------------------------------------------------------- */

static bool
take_digits(struct reader *r)
{
	const unsigned char *start = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return r->at > start;
}

static bool
take_byte(struct reader *r, unsigned char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static enum want
take_number(struct reader *r)
{
	const unsigned char *start = r->at;
	unsigned flags = JSON_INTEGER;
	uint32_t token;

	take_byte(r, '-');
	if (!take_byte(r, '0') && !take_digits(r))
		return wrong(r, "expected a digit");
	if (take_byte(r, '.')) {
		flags = 0;
		if (!take_digits(r))
			return wrong(r, "expected a digit after the decimal point");
	}
	if (take_byte(r, 'e') || take_byte(r, 'E')) {
		flags = 0;
		if (!take_byte(r, '-'))
			take_byte(r, '+');
		if (!take_digits(r))
			return wrong(r, "expected a digit in the exponent");
	}
	token = token_new(r, JSON_NUMBER, start, r->at); /* may move the tokens */
	r->s->tokens[token].flags = (uint8_t)flags;
	return WANT_NEXT;
}

static enum want
take_word(struct reader *r, const char *word, enum json_type type)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return wrong_at(r, r->at, "invalid_json", "expected a value");
	token_new(r, type, r->at, r->at + len);
	r->at += len;
	return WANT_NEXT;
}

static enum want
open_container(struct reader *r, enum json_type type, enum want next)
{
	if (r->s->depth == TASK_DEPTH_MAX)
		return wrong_at(r, r->at, "too_deep", "expected at most 64 levels of nesting");
	r->s->stack[r->s->depth++] = (struct json_frame){ .token = token_new(r, type, r->at, r->at + 1) };
	r->at++;
	return next;
}

static enum want
take_value(struct reader *r)
{
	if (r->at == r->end)
		return wrong(r, "");
	if (r->s->depth > 0 && r->s->tokens[r->s->stack[r->s->depth - 1].token].type == JSON_ARRAY)
		r->s->stack[r->s->depth - 1].count++;
	if (++r->s->nvalues > TASK_JSON_TOKENS)
		return wrong_at(r, r->at, "too_many_values", "expected at most 100000 values");
	switch (*r->at) {
	case '{':
		return open_container(r, JSON_OBJECT, WANT_FIRST_NAME);
	case '[':
		return open_container(r, JSON_ARRAY, WANT_FIRST_ITEM);
	case '"':
		return take_string(r) == UINT32_MAX ? WRONG : WANT_NEXT;
	case 't':
		return take_word(r, "true", JSON_TRUE);
	case 'f':
		return take_word(r, "false", JSON_FALSE);
	case 'n':
		return take_word(r, "null", JSON_NULL);
	default:
		if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
			return take_number(r);
		return wrong(r, "expected a value");
	}
}

/* At the closing bracket. */
static enum want
close_container(struct reader *r)
{
	struct json_frame *f = &r->s->stack[r->s->depth - 1];
	struct json_token *t = &r->s->tokens[f->token];
	uint32_t twice;

	r->at++;
	t->len = (uint32_t)(r->at - r->begin) - t->start;
	t->next = r->s->ntokens;
	if (t->type == JSON_OBJECT) {
		twice = json_names_link(r->s, f->token, f->count);
		if (twice != 0) {
			f->name = twice;
			return wrong_at(r, r->begin + r->s->tokens[twice].start - 1, "duplicate_name",
			    "expected each name once in an object");
		}
	}
	r->s->depth--;
	return WANT_NEXT;
}

static enum want
take_name(struct reader *r)
{
	struct json_frame *f = &r->s->stack[r->s->depth - 1];
	uint32_t name;

	if (r->at == r->end || *r->at != '"')
		return wrong(r, "expected a name in quotes");
	name = take_string(r);
	if (name == UINT32_MAX)
		return WRONG;
	f->name = name;
	f->count++;
	return WANT_COLON;
}

/* After a value: a comma, the end of what it is in, or the end of all. */
static enum want
take_next(struct reader *r)
{
	bool object;

	if (r->s->depth == 0)
		return WANT_END;
	object = r->s->tokens[r->s->stack[r->s->depth - 1].token].type == JSON_OBJECT;
	if (take_byte(r, ','))
		return object ? WANT_NAME : WANT_VALUE;
	if (r->at < r->end && *r->at == (object ? '}' : ']'))
		return close_container(r);
	return wrong(r, object ? "expected a comma or a closing brace" : "expected a comma or a closing bracket");
}

static enum want
take(struct reader *r, enum want what)
{
	switch (what) {
	case WANT_FIRST_ITEM:
		if (r->at < r->end && *r->at == ']')
			return close_container(r);
		return take_value(r);
	case WANT_VALUE:
		return take_value(r);
	case WANT_FIRST_NAME:
		if (r->at < r->end && *r->at == '}')
			return close_container(r);
		return take_name(r);
	case WANT_NAME:
		return take_name(r);
	case WANT_COLON:
		return take_byte(r, ':') ? WANT_VALUE : wrong(r, "expected a colon");
	case WANT_NEXT:
		return take_next(r);
	case WANT_END:
		return r->at == r->end ? DONE : wrong(r, "expected nothing after the value");
	case DONE:
	case WRONG:
		break;
	}
	UNREACHABLE("nothing is wanted");
}

bool
json_scan(struct json_scan *s, struct span text, struct task_problem *problem_r)
{
	const unsigned char *begin = (const unsigned char *)(text.len > 0 ? text.ptr : "");
	struct reader r = { .s = s, .problem = problem_r, .begin = begin, .at = begin, .end = begin + text.len };
	enum want want = WANT_VALUE;

	s->text = text;
	s->tokens = s->fixed;
	s->cap = JSON_INLINE;
	s->ntokens = s->nvalues = 0;
	s->order = s->few;
	s->order_cap = JSON_FEW;
	s->depth = 0;
	if (text.len > INT32_MAX)
		return wrong_at(&r, begin, "invalid_json", "expected less than 2 GiB") == DONE;
	while (want != DONE && want != WRONG) {
		while (r.at < r.end && (*r.at == ' ' || *r.at == '\n' || *r.at == '\r' || *r.at == '\t'))
			r.at++;
		want = take(&r, want);
	}
	return want == DONE;
}

void
json_scan_free(struct json_scan *s)
{
	if (s->tokens != s->fixed)
		mem_free(&s->tokens);
	if (s->order != s->few)
		mem_free(&s->order);
}
