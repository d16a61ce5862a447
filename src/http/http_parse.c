/* http_parse.c - the lines of a request head (RFC 9112 §2-§5), read byte by byte from left to right.
 *
 * A machine of small steps, each of which eats what it understands and names the next.  It stops at the first byte that decides:
 * so the verdict is the same for one read of everything and for a thousand reads of one byte, and a client that speaks
 * another protocol is refused at its first byte rather than at a deadline.
 *
 * Stricter than the RFC lets a server be: a line ends with CR LF only, a field is on one line, names are tokens directly
 * before the colon, values are UTF-8 without control characters.  What the fields mean: http_frame.c.
 */
#include <string.h>

#include "base/base.h"

#include "http/http_int.h"

enum {
	AT_START, /* before the request line */
	AT_START_LF,
	AT_METHOD,
	AT_TARGET,
	AT_VERSION,
	AT_VERSION_LF,
	AT_LINE, /* first byte of a header line, or of the empty line */
	AT_NAME,
	AT_SPACE, /* between colon and value */
	AT_VALUE,
	AT_VALUE_LF,
	AT_END_LF,
	AT_DONE,
	AT_BAD
};

enum { IS_TOKEN = 1, IS_VALUE = 2, IS_VISIBLE = 4 };

#define TOKEN (IS_TOKEN | IS_VALUE | IS_VISIBLE)
#define VISIBLE (IS_VALUE | IS_VISIBLE)
static const unsigned char kind[256] = {
	['\t'] = IS_VALUE,
	[' '] = IS_VALUE,
	['!'] = TOKEN,
	['"'] = VISIBLE,
	['#' ... '\''] = TOKEN,
	['(' ... ')'] = VISIBLE,
	['*' ... '+'] = TOKEN,
	[','] = VISIBLE,
	['-' ... '.'] = TOKEN,
	['/'] = VISIBLE,
	['0' ... '9'] = TOKEN,
	[':' ... '@'] = VISIBLE,
	['A' ... 'Z'] = TOKEN,
	['[' ... ']'] = VISIBLE,
	['^' ... 'z'] = TOKEN,
	['{'] = VISIBLE,
	['|'] = TOKEN,
	['}'] = VISIBLE,
	['~'] = TOKEN,
	[0x80 ... 0xff] = IS_VALUE,
};

bool
http_refuse(struct http_bad *bad, int status, const char *code, const char *detail)
{
	*bad = (struct http_bad){ status, code, detail };
	return false;
}

struct span
http_field_name(const struct http_field *f, const char *bytes)
{
	return (struct span){ bytes + f->name, f->name_len };
}

struct span
http_field_value(const struct http_field *f, const char *bytes)
{
	return (struct span){ bytes + f->value, f->value_len };
}

bool
http_is_token(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((kind[(unsigned char)s.ptr[i]] & IS_TOKEN) == 0)
			return false;
	return s.len != 0;
}

/* Length of the UTF-8 sequence at p (RFC 3629); 0 when there is none. */
static size_t
utf8_sequence(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4, i;

	if (n == 1)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90))
		return 0; /* overlong */
	if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0; /* surrogate; above U+10FFFF */
	return n;
}

bool
http_is_utf8(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0, n;

	while (i < s.len) {
		if ((n = utf8_sequence(p + i, s.len - i)) == 0)
			return false;
		i += n;
	}
	return true;
}

/* --- steps: each leaves h->state at the next one, or returns false when the bytes ran out or are refused ------------------ */

typedef bool step_fn(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len);

static bool
step_bad(struct http_head *h, int status, const char *code, const char *detail)
{
	h->state = AT_BAD;
	return http_refuse(&h->bad, status, code, detail);
}

static bool
step_to(struct http_head *h, int state)
{
	h->at++;
	h->state = state;
	return true;
}

static bool
step_lf(struct http_head *h, const unsigned char *p, size_t len, int next)
{
	if (h->at == len)
		return false;
	if (p[h->at] != '\n')
		return step_bad(h, 400, "bad_request", "CR must be followed by LF");
	return step_to(h, next);
}

/* Eats bytes of a kind within the request line; false when the bytes ran out or the line is too long. */
static bool
line_run(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len, int what)
{
	size_t max = h->start + lim->line, stop = len < max ? len : max, at = h->at;

	while (at < stop && (kind[p[at]] & what) != 0)
		at++;
	h->at = at;
	if (at == len)
		return false;
	if (at == max)
		return step_bad(h, 414, "uri_too_long", "request line is longer than the limit");
	return true;
}

static bool
step_start(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	(void)lim;
	if (h->at == len)
		return false;
	if (p[h->at] == '\r' && h->at == 0)
		return step_to(h, AT_START_LF);
	h->start = h->at;
	h->state = AT_METHOD;
	return true;
}

static bool
step_start_lf(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	(void)lim;
	return step_lf(h, p, len, AT_START);
}

static bool
step_method(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	if (!line_run(h, lim, p, len, IS_TOKEN))
		return false;
	h->method_len = (uint32_t)(h->at - h->start);
	if (p[h->at] != ' ' || h->method_len == 0)
		return step_bad(h, 400, "bad_request", "expected a method and one space");
	h->target = (uint32_t)h->at + 1;
	return step_to(h, AT_TARGET);
}

static bool
step_target(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	if (!line_run(h, lim, p, len, IS_VISIBLE))
		return false;
	h->target_len = (uint32_t)h->at - h->target;
	if (p[h->at] != ' ' || h->target_len == 0)
		return step_bad(h, 400, "bad_request", "expected a request target and one space");
	return step_to(h, AT_VERSION);
}

/* "HTTP/" DIGIT "." DIGIT, byte by byte: only the whole word can tell a version we do not speak from something else. */
static bool
step_version(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	static const char form[] = "HTTP/0.0";
	size_t begin = (size_t)h->target + h->target_len + 1, i;
	unsigned char c, want;

	for (; h->at < len && h->at - begin < sizeof(form) - 1; h->at++) {
		i = h->at - begin;
		c = p[h->at];
		want = (unsigned char)form[i];
		if (want == '0' ? (c < '0' || c > '9') : c != want)
			return step_bad(h, 400, "bad_request", "expected HTTP/1.1 at the end of the request line");
		if (h->at - h->start >= lim->line)
			return step_bad(h, 414, "uri_too_long", "request line is longer than the limit");
	}
	if (h->at == len)
		return false;
	if (p[h->at] != '\r')
		return step_bad(h, 400, "bad_request", "request line must end with CR LF");
	if (p[begin + 5] != '1' || p[begin + 7] > '1')
		return step_bad(h, 505, "version_not_supported", "expected HTTP/1.1");
	h->minor = p[begin + 7] - '0';
	return step_to(h, AT_VERSION_LF);
}

static bool
step_version_lf(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	(void)lim;
	if (!step_lf(h, p, len, AT_LINE))
		return false;
	h->lines = h->at;
	return true;
}

/* Room in the block of header lines; false when the bytes ran out or there is none. */
static bool
block_room(struct http_head *h, const struct http_limits *lim, size_t len)
{
	if (h->at == len)
		return false;
	if (h->at - h->lines >= lim->head)
		return step_bad(h, 431, "headers_too_large", "header lines are longer than the limit");
	return true;
}

static bool
block_run(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len, int what)
{
	size_t max = h->lines + lim->head, stop = len < max ? len : max, at = h->at;
	unsigned char high = 0;

	while (at < stop && (kind[p[at]] & what) != 0)
		high |= p[at++];
	h->at = at;
	h->high |= high;
	return block_room(h, lim, len);
}

static struct http_field *
field_add(struct http_head *h)
{
	if (h->nfields == h->cap) {
		h->cap = h->cap != 0 ? h->cap * 2 : 16;
		h->fields = mem_resize(h->fields, (size_t)h->cap * sizeof(*h->fields));
	}
	h->fields[h->nfields] = (struct http_field){ .name = (uint32_t)h->at };
	return &h->fields[h->nfields++];
}

static bool
step_line(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	if (h->at == len)
		return false;
	if (p[h->at] == '\r')
		return step_to(h, AT_END_LF);
	if ((kind[p[h->at]] & IS_TOKEN) == 0)
		return step_bad(h, 400, "bad_request", "expected the name of a header field");
	if (h->nfields == lim->fields)
		return step_bad(h, 431, "headers_too_large", "more header lines than the limit");
	(void)field_add(h);
	h->state = AT_NAME;
	return true;
}

static bool
step_name(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	struct http_field *f = &h->fields[h->nfields - 1];

	if (!block_run(h, lim, p, len, IS_TOKEN))
		return false;
	if (p[h->at] != ':')
		return step_bad(h, 400, "bad_request", "a header field's name must be a token followed by a colon");
	f->name_len = (uint32_t)h->at - f->name;
	return step_to(h, AT_SPACE);
}

static bool
step_space(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	while (block_room(h, lim, len) && (p[h->at] == ' ' || p[h->at] == '\t'))
		h->at++;
	if (h->at == len || h->state == AT_BAD)
		return false;
	h->fields[h->nfields - 1].value = (uint32_t)h->at;
	h->high = 0;
	h->state = AT_VALUE;
	return true;
}

static bool
step_value(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	struct http_field *f = &h->fields[h->nfields - 1];
	size_t end;

	if (!block_run(h, lim, p, len, IS_VALUE))
		return false;
	if (p[h->at] != '\r')
		return step_bad(h, 400, "bad_request", "control character in the value of a header field");
	for (end = h->at; end > f->value && (p[end - 1] == ' ' || p[end - 1] == '\t');)
		end--;
	f->value_len = (uint32_t)end - f->value;
	if (h->high >= 0x80 && !http_is_utf8((struct span){ (const char *)p + f->value, f->value_len }))
		return step_bad(h, 400, "bad_request", "value of a header field is not UTF-8");
	return step_to(h, AT_VALUE_LF);
}

static bool
step_value_lf(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	return block_room(h, lim, len) && step_lf(h, p, len, AT_LINE);
}

static bool
step_end_lf(struct http_head *h, const struct http_limits *lim, const unsigned char *p, size_t len)
{
	(void)lim;
	return step_lf(h, p, len, AT_DONE);
}

static step_fn *const steps[AT_DONE] = {
	[AT_START] = step_start,
	[AT_START_LF] = step_start_lf,
	[AT_METHOD] = step_method,
	[AT_TARGET] = step_target,
	[AT_VERSION] = step_version,
	[AT_VERSION_LF] = step_version_lf,
	[AT_LINE] = step_line,
	[AT_NAME] = step_name,
	[AT_SPACE] = step_space,
	[AT_VALUE] = step_value,
	[AT_VALUE_LF] = step_value_lf,
	[AT_END_LF] = step_end_lf,
};

enum http_parse
http_head_parse(struct http_head *h, const struct http_limits *lim, const char *bytes, size_t len)
{
	ASSERT(h->at <= len);
	while (h->state < AT_DONE)
		if (!steps[h->state](h, lim, (const unsigned char *)bytes, len))
			break;
	if (h->state == AT_DONE)
		return HTTP_PARSE_DONE;
	return h->state == AT_BAD ? HTTP_PARSE_BAD : HTTP_PARSE_MORE;
}

void
http_head_reset(struct http_head *h)
{
	struct http_field *fields = h->fields;
	int cap = h->cap;

	*h = (struct http_head){ .fields = fields, .cap = cap };
}

void
http_head_free(struct http_head *h)
{
	mem_free(&h->fields);
	*h = (struct http_head){ 0 };
}
