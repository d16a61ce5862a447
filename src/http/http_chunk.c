/* http_chunk.c - takes the chunks off a body (RFC 9112 §7.1).
 *
 * A size is 1 to 16 hexadecimal digits and CR LF.  Extensions and trailers are refused: nobody sends them in good faith to an API,
 * and readers disagree about them.
 */
#include "base/base.h"

#include "http/http_int.h"

enum { AT_SIZE, AT_SIZE_LF, AT_DATA, AT_DATA_CR, AT_DATA_LF, AT_LAST_CR, AT_LAST_LF, AT_END, AT_BAD };

static void
chunk_bad(struct http_chunks *c, int status, const char *code, const char *detail)
{
	c->state = AT_BAD;
	(void)http_refuse(&c->bad, status, code, detail);
}

static void
chunk_digit(struct http_chunks *c, char ch)
{
	int digit = ch >= '0' && ch <= '9'                     ? ch - '0'
		    : (ch | 0x20) >= 'a' && (ch | 0x20) <= 'f' ? (ch | 0x20) - 'a' + 10
							       : -1;

	if (digit >= 0 && c->digits < 16) {
		c->left = c->left << 4 | (unsigned)digit;
		c->digits++;
	} else if (ch == '\r' && c->digits > 0) {
		c->state = AT_SIZE_LF;
	} else {
		chunk_bad(c, 400, "bad_request", "expected a chunk size of 1 to 16 hexadecimal digits, then CR LF");
	}
}

static void
chunk_expect(struct http_chunks *c, char ch, char want, int next)
{
	if (ch == want)
		c->state = next;
	else if (c->state == AT_LAST_CR)
		chunk_bad(c, 400, "bad_request", "trailers are not accepted");
	else
		chunk_bad(c, 400, "bad_request", "expected CR LF after a chunk");
}

/* One byte that is not data. */
static void
chunk_byte(struct http_chunks *c, char ch, size_t room)
{
	switch (c->state) {
	case AT_SIZE:
		chunk_digit(c, ch);
		break;
	case AT_SIZE_LF:
		chunk_expect(c, ch, '\n', c->left != 0 ? AT_DATA : AT_LAST_CR);
		if (c->state == AT_DATA && c->left > room)
			chunk_bad(c, 413, "body_too_large", "body is longer than the limit");
		break;
	case AT_DATA_CR:
		chunk_expect(c, ch, '\r', AT_DATA_LF);
		break;
	case AT_DATA_LF:
		chunk_expect(c, ch, '\n', AT_SIZE);
		c->digits = 0;
		break;
	case AT_LAST_CR:
		chunk_expect(c, ch, '\r', AT_LAST_LF);
		break;
	case AT_LAST_LF:
		chunk_expect(c, ch, '\n', AT_END);
		break;
	default:
		UNREACHABLE("state of a chunked body");
	}
}

enum http_parse
http_chunks_read(struct http_chunks *c, const char *bytes, size_t len, size_t max, struct buf *body, size_t *used_r)
{
	size_t at = 0, n;

	while (at < len && c->state < AT_END) {
		if (c->state != AT_DATA) {
			chunk_byte(c, bytes[at++], max - body->len);
			continue;
		}
		n = len - at < c->left ? len - at : (size_t)c->left;
		buf_put(body, bytes + at, n);
		at += n;
		c->left -= n;
		if (c->left == 0)
			c->state = AT_DATA_CR;
	}
	*used_r = at;
	if (c->state == AT_END)
		return HTTP_PARSE_DONE;
	return c->state == AT_BAD ? HTTP_PARSE_BAD : HTTP_PARSE_MORE;
}
