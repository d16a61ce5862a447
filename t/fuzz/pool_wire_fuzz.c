/* pool_wire_fuzz.c - any bytes as what a pool child writes: the first says the format, the second how they are cut.
 *
 * Beyond "does not crash": a frame is valid JSON and not longer than what msgpack may grow to; frames do not depend on how the bytes were
 * cut; an answer is one of five words, and its parts lie in the frame; a value that is packed comes back with the same number of
 * frames, one.  scripts/fuzz pool_wire 60 runs it for a minute.
 */
#include <math.h>
#include <string.h>

#include "run/pool_wire.h"
#include "t/fuzz/fuzz.h"
#include "task/task_json.h"
#include "task/task_msgpack.h"

#define MAX 4096

static void
check_answer(struct span frame)
{
	struct buf room = { 0 };
	struct pool_answer a;

	pool_answer_read(frame, &room, &a);
	ASSERT((a.word == POOL_WRONG) == (a.wrong != NULL));
	ASSERT(a.word == POOL_WRONG || a.lease.len > 0);
	ASSERT(
	    a.result.len == 0 || (a.result.ptr >= frame.ptr && a.result.ptr + a.result.len <= frame.ptr + frame.len));
	ASSERT(a.word != POOL_RESULT || a.result.len == 0 || task_json_valid(a.result));
	ASSERT(a.word != POOL_PROGRESS || (a.number >= 0 && a.number <= 100));
	ASSERT(a.word != POOL_SNOOZE || (isfinite(a.number) && a.number >= 0));
	buf_free(&room);
}

static void
check_packed(struct span frame)
{
	struct pool_frames f = { .msgpack = true, .max = 64 * MAX };
	struct buf packed = { 0 };
	struct span back;
	enum pool_frame e;

	task_msgpack_put(&packed, frame);
	memcpy(pool_frames_room(&f, packed.len), packed.data, packed.len);
	pool_frames_came(&f, packed.len);
	e = pool_frames_next(&f, &back);
	/* Nested deeper than msgpack is read, a number beyond all, or two names that differ only in half characters. */
	ASSERT(e == POOL_FRAME_WHOLE || e == POOL_FRAME_GARBLED);
	ASSERT(pool_frames_part(&f).len == 0);
	buf_free(&packed);
	pool_frames_free(&f);
}

/* All frames, in pieces of `step`, as one text. */
static void
read_all(bool msgpack, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct pool_frames f = { .msgpack = msgpack, .max = MAX };
	enum pool_frame e = POOL_FRAME_MORE;
	struct span s;

	for (size_t at = 0; at < size && e != POOL_FRAME_LONG; at += step) {
		size_t n = size - at < step ? size - at : step;

		memcpy(pool_frames_room(&f, n), data + at, n);
		pool_frames_came(&f, n);
		while ((e = pool_frames_next(&f, &s)) == POOL_FRAME_WHOLE || e == POOL_FRAME_GARBLED) {
			buf_putc(out, e == POOL_FRAME_WHOLE ? '=' : '?');
			if (e == POOL_FRAME_GARBLED)
				continue;
			ASSERT(task_json_valid(s) && s.len <= 64 * MAX);
			buf_putspan(out, s);
			check_answer(s);
			check_packed(s);
		}
	}
	buf_putc(out, e == POOL_FRAME_LONG ? '!' : '.');
	pool_frames_free(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 };
	bool msgpack;

	if (size < 2)
		return 0;
	msgpack = (data[0] & 1) != 0;
	read_all(msgpack, data + 2, size - 2, size, &whole);
	read_all(msgpack, data + 2, size - 2, 1u + data[1] % 16, &pieces);
	ASSERT(span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
