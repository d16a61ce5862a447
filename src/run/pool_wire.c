/* pool_wire.c - frames of a child, and what they say; see pool_wire.h. */
#include <math.h>
#include <string.h>

#include "task/task_json.h"
#include "task/task_msgpack.h"

#include "run/exec.h"
#include "run/pool_wire.h"

#define IDLE_CAP (256 * 1024) /* memory that an idle child may keep */

/* --- frames ---------------------------------------------------------------------------------------------------------------------- */

void
pool_frames_free(struct pool_frames *f)
{
	buf_free(&f->in);
	buf_free(&f->text);
	f->begin = f->looked = 0;
	f->open = 0;
}

char *
pool_frames_room(struct pool_frames *f, size_t size)
{
	if (f->begin > 0) {
		buf_consume(&f->in, f->begin);
		f->begin = 0;
	}
	if (f->in.len == 0 && f->in.cap > IDLE_CAP)
		buf_free(&f->in);
	if (f->text.cap > IDLE_CAP)
		buf_free(&f->text);
	buf_reserve(&f->in, size);
	return f->in.data + f->in.len;
}

void
pool_frames_came(struct pool_frames *f, size_t len)
{
	f->in.len += len;
}

struct span
pool_frames_part(const struct pool_frames *f)
{
	return (struct span){ f->in.data + f->begin, f->in.len - f->begin };
}

/* The frame ends `len` bytes from its beginning. */
static struct span
frame_take(struct pool_frames *f, size_t len)
{
	struct span s = { f->in.data + f->begin, len };

	f->begin += len;
	f->looked = 0;
	f->open = 0;
	return s;
}

static enum pool_frame
next_line(struct pool_frames *f, struct span *json_r)
{
	size_t left = f->in.len - f->begin;
	const char *from = f->in.data + f->begin;
	const char *end = left > f->looked ? memchr(from + f->looked, '\n', left - f->looked) : NULL;

	if (end == NULL) {
		f->looked = left;
		return left > f->max ? POOL_FRAME_LONG : POOL_FRAME_MORE;
	}
	if ((size_t)(end - from) > f->max)
		return POOL_FRAME_LONG;
	*json_r = frame_take(f, (size_t)(end - from) + 1);
	json_r->len--;
	return task_json_valid(*json_r) ? POOL_FRAME_WHOLE : POOL_FRAME_GARBLED;
}

static enum pool_frame
msgpack_take(struct pool_frames *f, struct span *json_r)
{
	struct span frame = frame_take(f, f->looked);

	buf_reset(&f->text);
	if (!task_msgpack_json(frame, &f->text))
		return POOL_FRAME_GARBLED;
	*json_r = buf_span(&f->text);
	return task_json_valid(*json_r) ? POOL_FRAME_WHOLE : POOL_FRAME_GARBLED;
}

/* Every value takes at least one byte, so the count of those still needed is bounded by what is left of the frame. */
static enum pool_frame
next_msgpack(struct pool_frames *f, struct span *json_r)
{
	size_t left = f->in.len - f->begin;

	if (f->looked == 0)
		f->open = 1;
	while (f->open > 0 && f->looked < left) {
		uint64_t inside;
		int64_t n = task_msgpack_head(f->in.data + f->begin + f->looked, left - f->looked, &inside);

		if (n == 0)
			return POOL_FRAME_MORE;
		if (n < 0)
			return POOL_FRAME_LONG;
		f->looked += (size_t)n;
		f->open += inside - 1;
		if (f->looked > f->max || f->open > f->max - f->looked)
			return POOL_FRAME_LONG;
	}
	if (f->open > 0 || f->looked > left)
		return POOL_FRAME_MORE;
	return msgpack_take(f, json_r);
}

enum pool_frame
pool_frames_next(struct pool_frames *f, struct span *json_r)
{
	if (f->in.len == f->begin)
		return POOL_FRAME_MORE;
	return f->msgpack ? next_msgpack(f, json_r) : next_line(f, json_r);
}

/* --- answers --------------------------------------------------------------------------------------------------------------------- */

enum { LEASE = 1, RESULT = 2, FAILURE = 4, SNOOZE = 8, PROGRESS = 16, NOTE = 32 };

static const struct {
	const char *name;
	int bit;
} names[] = {
	{ "\"lease\"", LEASE },
	{ "\"result\"", RESULT },
	{ "\"error_class\"", FAILURE },
	{ "\"error_code\"", FAILURE },
	{ "\"message\"", FAILURE },
	{ "\"retry_after\"", FAILURE },
	{ "\"snooze\"", SNOOZE },
	{ "\"progress\"", PROGRESS },
	{ "\"note\"", NOTE },
};

static bool
is_string(struct span json)
{
	return json.len >= 2 && json.ptr[0] == '"';
}

static void
note_read(struct span value, struct buf *room, struct pool_answer *a)
{
	if (!is_string(value))
		return;
	buf_reset(room);
	task_json_text(room, value);
	a->note = buf_span(room);
}

/* Returns the bit of the member. */
static int
member_read(struct span name, struct span value, struct buf *room, struct pool_answer *a)
{
	int bit = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && bit == 0; i++)
		if (span_is(name, names[i].name))
			bit = names[i].bit;
	if (bit == LEASE && is_string(value))
		a->lease = (struct span){ value.ptr + 1, value.len - 2 };
	else if (bit == RESULT && !span_is(value, "null"))
		a->result = value;
	else if (bit == SNOOZE || bit == PROGRESS)
		a->number = exec_text_number(value);
	else if (bit == NOTE)
		note_read(value, room, a);
	return bit;
}

static void
wrong(struct pool_answer *a, const char *expected)
{
	a->word = POOL_WRONG;
	a->wrong = expected;
}

static void
answer_judge(struct pool_answer *a, int has)
{
	switch (has & (RESULT | FAILURE | SNOOZE | PROGRESS)) {
	case RESULT:
		a->word = POOL_RESULT;
		break;
	case FAILURE:
		a->word = POOL_FAILURE;
		break;
	case SNOOZE:
		a->word = POOL_SNOOZE;
		if (!(isfinite(a->number) && a->number >= 0))
			wrong(a, "expected \"snooze\" to be a number of seconds from 0 on");
		break;
	case PROGRESS:
		a->word = POOL_PROGRESS;
		if (!(a->number >= 0 && a->number <= 100))
			wrong(a, "expected \"progress\" to be a number from 0 to 100");
		break;
	default:
		wrong(a, "expected one of \"result\", \"error_class\" (or another word of a failure), \"snooze\" and "
			 "\"progress\"");
	}
}

void
pool_answer_read(struct span frame, struct buf *room, struct pool_answer *a_r)
{
	struct span rest = frame, object, name, value;
	int has = 0;

	memset(a_r, 0, sizeof(*a_r));
	if (!task_json_next(&rest, NULL, &object) || object.ptr[0] != '{') {
		wrong(a_r, "expected an object");
		return;
	}
	rest = task_json_inside(object);
	while (task_json_next(&rest, &name, &value))
		has |= member_read(name, value, room, a_r);
	if (a_r->lease.len == 0)
		wrong(a_r, "expected \"lease\" as in the envelope");
	else
		answer_judge(a_r, has);
}

/* --- envelopes ------------------------------------------------------------------------------------------------------------------- */

/* U+2028 and U+2029, which can only stand in a string; in their own three bytes there is no room to escape them. */
static void
escape_separators(struct buf *b, size_t from)
{
	struct buf copy = { 0 };
	const char *p = b->data + from, *end = b->data + b->len;

	while (p < end) {
		bool is = end - p >= 3 && memcmp(p, "\xE2\x80", 2) == 0 && (p[2] == '\xA8' || p[2] == '\xA9');

		if (is)
			buf_puts(&copy, p[2] == '\xA8' ? "\\u2028" : "\\u2029");
		else
			buf_putc(&copy, *p);
		p += is ? 3 : 1;
	}
	b->len = from;
	buf_putspan(b, buf_span(&copy));
	buf_free(&copy);
}

void
pool_envelope_line(struct buf *b, size_t from)
{
	char *p = b->data + from;
	size_t left = b->len - from;

	/* Outside of strings only, inside they are escaped. */
	for (char *q = p; (q = memchr(q, '\n', left - (size_t)(q - p))) != NULL;)
		*q = ' ';
	for (char *q = p; (q = memchr(q, '\r', left - (size_t)(q - p))) != NULL;)
		*q = ' ';
	if (memmem(p, left, "\xE2\x80\xA8", 3) != NULL || memmem(p, left, "\xE2\x80\xA9", 3) != NULL)
		escape_separators(b, from);
	buf_putc(b, '\n');
}
