/* http_parse_fuzz.c - any bytes as a request.
 *
 * Beyond "does not crash": the verdict is the same in pieces of any size; and whatever is accepted has, for a reader that knows
 * nothing of ours and only looks for bytes, no line end but CR LF, no fold, no NUL, one length at most, and one Host at most.
 * scripts/fuzz http_parse 60 runs it for a minute.
 */
#include <string.h>
#include <strings.h>

#include "t/fuzz/fuzz.h"
#include "t/unit/http_read.h"

/* How many lines of the head begin with this name and a colon. */
static int
lines_named(struct span head, const char *name)
{
	size_t len = strlen(name), i;
	int n = 0;

	for (i = 1; i + len < head.len; i++)
		n += head.ptr[i - 1] == '\n' && strncasecmp(head.ptr + i, name, len) == 0 && head.ptr[i + len] == ':';
	return n;
}

static void
check_accepted(struct span all)
{
	const char *end = memmem(all.ptr + 2, all.len - 2, "\r\n\r\n", 4);
	struct span head = { all.ptr, 0 };
	size_t i;

	ASSERT(end != NULL);
	head.len = (size_t)(end - all.ptr) + 2;
	ASSERT(memchr(head.ptr, '\0', head.len) == NULL);
	for (i = 0; i < head.len; i++) {
		ASSERT((head.ptr[i] == '\n') == (i > 0 && head.ptr[i - 1] == '\r'));
		ASSERT(i == 0 || head.ptr[i - 1] != '\n' || (head.ptr[i] != ' ' && head.ptr[i] != '\t'));
	}
	ASSERT(lines_named(head, "content-length") + lines_named(head, "transfer-encoding") <= 1);
	ASSERT(lines_named(head, "host") <= 1);
}

/* What was told without the count of bytes left behind, which depends on the pieces. */
static struct span
told(const struct buf *b)
{
	const char *end = memrchr(b->data, ' ', b->len);

	ASSERT(end != NULL);
	return (struct span){ b->data, (size_t)(end - b->data) };
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = { (const char *)data, size };
	struct buf whole = { 0 }, pieces = { 0 };
	enum http_parse verdict;
	size_t piece = size > 0 ? data[size - 1] % 16 + 1 : 1;

	if (size == 0)
		return 0;
	verdict = read_pieces(all.ptr, size, size, &whole);
	ASSERT(read_pieces(all.ptr, size, piece, &pieces) == verdict);
	if (verdict != HTTP_PARSE_DONE) {
		ASSERT(span_eq(buf_span(&whole), buf_span(&pieces)));
		ASSERT(verdict == HTTP_PARSE_MORE || whole.data[0] == '4' || whole.data[0] == '5');
	} else {
		ASSERT(span_eq(told(&whole), told(&pieces)));
		check_accepted(all);
	}
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
