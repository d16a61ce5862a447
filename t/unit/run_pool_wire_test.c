/* run_pool_wire_test.c - frames and answers of pool children, JSON and msgpack. */
#include <stdlib.h>
#include <string.h>

#include "run/pool_wire.h"
#include "task/task_msgpack.h"

#include "tap.h"

/* All frames of the bytes, in pieces of `step`: "frame|frame|" and the last event. */
static const char *
frames(bool msgpack, const char *bytes, size_t len, size_t step, size_t max)
{
	static const char *const words[] = { "more", "whole", "garbled", "long" };
	static struct buf out;
	struct pool_frames f = { .msgpack = msgpack, .max = max };
	enum pool_frame e = POOL_FRAME_MORE;
	struct span s;

	buf_reset(&out);
	for (size_t at = 0; at < len && e != POOL_FRAME_LONG; at += step) {
		size_t n = len - at < step ? len - at : step;

		memcpy(pool_frames_room(&f, n), bytes + at, n);
		pool_frames_came(&f, n);
		while ((e = pool_frames_next(&f, &s)) != POOL_FRAME_MORE && e != POOL_FRAME_LONG) {
			if (e == POOL_FRAME_WHOLE)
				buf_putspan(&out, s);
			buf_puts(&out, e == POOL_FRAME_WHOLE ? "|" : "?|");
		}
	}
	if (pool_frames_part(&f).len > 0 && e == POOL_FRAME_MORE)
		buf_puts(&out, "+");
	buf_puts(&out, words[e]);
	pool_frames_free(&f);
	return buf_cstr(&out);
}

static void
test_lines(void)
{
	static const char text[] = "{\"a\":1}\n[2]\r\nnot\n\"\xff\"\n{\"b\"";

	for (size_t step = 1; step <= sizeof(text); step++)
		is_str(frames(false, text, strlen(text), step, 100), "{\"a\":1}|[2]\r|?|?|+more",
		    "lines in pieces of %zu", step);
	is_str(frames(false, "12345\n123456\n", 13, 13, 5), "12345|long", "a line that is too long");
	is_str(frames(false, "123456", 6, 1, 5), "long", "also before its end has come");
	is_str(frames(false, "\n", 1, 1, 5), "?|more", "an empty line is no answer");
}

static void
test_msgpack(void)
{
	/* {"a": [1, -1, 1.5, nil, true], "b": "\xc3\xa9"} 7 bin */
	static const char bytes[] = "\x82\xa1"
				    "a\x95\x01\xff\xcb\x3f\xf8\0\0\0\0\0\0\xc0\xc3\xa1"
				    "b\xa2\xc3\xa9\x07\xc4\x01x\xd9\x05he";
	size_t len = sizeof(bytes) - 1;

	for (size_t step = 1; step <= len; step++)
		is_str(frames(true, bytes, len, step, 100), "{\"a\":[1,-1,1.5,null,true],\"b\":\"\xc3\xa9\"}|7|?|+more",
		    "msgpack in pieces of %zu", step);
	is_str(frames(true, "\xc1", 1, 1, 100), "long", "a byte that is no msgpack");
	is_str(frames(true, "\xdd\xff\xff\xff\xff", 5, 5, 100), "long", "an array of four thousand million");
	is_str(frames(true, "\xdb\x7f\xff\xff\xff", 5, 5, 100), "long", "a text of two thousand million");
	is_str(frames(true, "\xdf\x00\x00\x00\x40", 5, 5, 100), "long", "a map of more than fits");
	is_str(frames(true, "\x81\x01\x02", 3, 3, 100), "?|more", "a name that is no text");
	is_str(frames(true, "\xa1\xff", 2, 2, 100), "?|more", "text that is not UTF-8");
	is_str(frames(true, "\xcb\x7f\xf8\0\0\0\0\0\0", 9, 9, 100), "?|more", "NaN");
	is_str(frames(true, "\x82\xa1x\x01\xa1x\x02", 7, 7, 100), "?|more", "a name twice");
	is_str(frames(true, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, 9, 100), "18446744073709551615|more",
	    "the greatest integer");
	is_str(frames(true, "\xca\x40\x00\x00\x00", 5, 5, 100), "2.0|more", "a float stays one");
}

static void
test_pack(void)
{
	static const struct {
		const char *json, *back;
	} rows[] = {
		{ " {\"a\" : [ 1 , -2,\n 3.5 ], \"b\":{}, \"\":null}", "{\"a\":[1,-2,3.5],\"b\":{},\"\":null}" },
		{ "\"\\u00e9\\n\\ud83d\\ude00\\/\\\"\"", "\"\xc3\xa9\\n\xf0\x9f\x98\x80/\\\"\"" },
		{ "\"\\ud800x\\udc00\"", "\"\xef\xbf\xbdx\xef\xbf\xbd\"" },
		{ "[true,false,[[]],18446744073709551615,-9223372036854775808]",
		    "[true,false,[[]],18446744073709551615,-9223372036854775808]" },
		{ "[1e2,18446744073709551616,-0,-0.0]", "[100.0,1.8446744073709552e+19,-0.0,-0.0]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf packed = { 0 }, back = { 0 };

		task_msgpack_put(&packed, span_of(rows[i].json));
		ok(task_msgpack_json(buf_span(&packed), &back), "value %zu is packed", i);
		is_str(buf_cstr(&back), rows[i].back, "value %zu and back", i);
		buf_free(&packed);
		buf_free(&back);
	}
}

static void
test_answers(void)
{
	static const struct {
		const char *text;
		enum pool_word word;
		const char *rest; /* the result, the note, or what was expected */
		double number;
	} rows[] = {
		{ "{\"lease\":\"L\",\"result\": {\"a\":[\"}\"]} }", POOL_RESULT, "{\"a\":[\"}\"]}", 0 },
		{ "{\"result\":null,\"x\":{\"lease\":\"no\"},\"lease\":\"L\"}", POOL_RESULT, "", 0 },
		{ "{\"lease\":\"L\",\"result\":1e400}", POOL_RESULT, "1e400", 0 },
		{ "{\"lease\":\"L\",\"message\":\"m\",\"error_code\":\"c\"}", POOL_FAILURE, "", 0 },
		{ "{\"lease\":\"L\",\"snooze\":2.5}", POOL_SNOOZE, "", 2.5 },
		{ "{\"lease\":\"L\",\"progress\":50,\"note\":\"half\\n\\u00e9\"}", POOL_PROGRESS, "half\n\xc3\xa9",
		    50 },
		{ "{\"lease\":\"L\",\"progress\":0,\"note\":7}", POOL_PROGRESS, "", 0 },
		{ "{\"lease\":\"L\"}", POOL_WRONG, "expected one of", 0 },
		{ "{\"lease\":\"L\",\"result\":1,\"snooze\":1}", POOL_WRONG, "expected one of", 0 },
		{ "{\"lease\":\"L\",\"result\":1,\"message\":\"m\"}", POOL_WRONG, "expected one of", 0 },
		{ "{\"lease\":\"L\",\"snooze\":-1}", POOL_WRONG, "expected \"snooze\"", 0 },
		{ "{\"lease\":\"L\",\"snooze\":1e999}", POOL_WRONG, "expected \"snooze\"", 0 },
		{ "{\"lease\":\"L\",\"snooze\":\"1\"}", POOL_WRONG, "expected \"snooze\"", 0 },
		{ "{\"lease\":\"L\",\"progress\":101}", POOL_WRONG, "expected \"progress\"", 0 },
		{ "{\"lease\":\"L\",\"progress\":null}", POOL_WRONG, "expected \"progress\"", 0 },
		{ "{\"lease\":1,\"result\":1}", POOL_WRONG, "expected \"lease\"", 0 },
		{ "{\"result\":1}", POOL_WRONG, "expected \"lease\"", 0 },
		{ "{}", POOL_WRONG, "expected \"lease\"", 0 },
		{ "[1]", POOL_WRONG, "expected an object", 0 },
		{ " 5", POOL_WRONG, "expected an object", 0 },
	};
	struct buf room = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pool_answer a;

		pool_answer_read(span_of(rows[i].text), &room, &a);
		is_int(a.word, rows[i].word, "%s: word", rows[i].text);
		if (a.word == POOL_WRONG) {
			ok(strncmp(a.wrong, rows[i].rest, strlen(rows[i].rest)) == 0, "%s: %s", rows[i].text, a.wrong);
			continue;
		}
		ok(span_is(a.lease, "L"), "%s: lease", rows[i].text);
		ok(span_is(a.word == POOL_PROGRESS ? a.note : a.result, rows[i].rest), "%s: its text", rows[i].text);
		ok(a.number == rows[i].number, "%s: number", rows[i].text);
	}
	buf_free(&room);
}

static void
test_envelope(void)
{
	struct buf b = { 0 };

	buf_puts(&b, "before\n{\"a\":\r\n[1,\n\"\\n\xe2\x80\xa8\xe2\x80\xa9\xe2\x82\xac\"]}");
	pool_envelope_line(&b, 7);
	is_str(buf_cstr(&b), "before\n{\"a\":  [1, \"\\n\\u2028\\u2029\xe2\x82\xac\"]}\n", "an envelope is one line");
	buf_free(&b);
}

int
main(void)
{
	test_lines();
	test_msgpack();
	test_pack();
	test_answers();
	test_envelope();
	return done();
}
