/* member.h - the members of a JSON object, one after the other, for every room that answers with one, sends one or keeps one.
 *
 * Each takes what comes before its value, with comma, name and colon: member_text(b, ",\"queue\":", queue).
 */
#ifndef BASE_MEMBER_H
#define BASE_MEMBER_H

#include "base/buf.h"
#include "base/id.h"

void member_time(struct buf *b, const char *before, int64_t wall);      /* RFC 3339, see clock.h; 0: null */
void member_id(struct buf *b, const char *before, const struct id *id); /* NULL: null */

/* An answer is a dozen of these: here, so that the compiler knows their lengths. */

/* A string, escaped; empty: null. */
static inline void
member_text(struct buf *b, const char *before, struct span s)
{
	buf_puts(b, before);
	if (s.len == 0)
		buf_puts(b, "null");
	else
		buf_json_string(b, s);
}

/* JSON text as it is; empty: null. */
static inline void
member_json(struct buf *b, const char *before, struct span json)
{
	buf_puts(b, before);
	buf_putspan(b, json.len > 0 ? json : SPAN("null"));
}

static inline void
member_int(struct buf *b, const char *before, int64_t n)
{
	buf_puts(b, before);
	if (n < 0)
		buf_putc(b, '-');
	buf_putu64(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

#endif
