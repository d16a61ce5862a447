/* member.c - the members that are formatted first; see member.h. */
#include "base/member.h"
#include "base/clock.h"

static void
put_quoted(struct buf *b, const char *before, const char *text)
{
	buf_puts(b, before);
	buf_putc(b, '"');
	buf_puts(b, text);
	buf_putc(b, '"');
}

void
member_time(struct buf *b, const char *before, int64_t wall)
{
	char text[CLOCK_TEXT];

	if (wall == 0) {
		member_json(b, before, SPAN(""));
		return;
	}
	clock_format(wall, text);
	put_quoted(b, before, text);
}

void
member_id(struct buf *b, const char *before, const struct id *id)
{
	char text[ID_TEXT];

	if (id == NULL) {
		member_json(b, before, SPAN(""));
		return;
	}
	id_format(id, text);
	put_quoted(b, before, text);
}
