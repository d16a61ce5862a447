/* task_json_test.c - what the scanner takes and refuses, and canonical text. */
#include <time.h>

#include "t/unit/tap.h"
#include "task/task_json.h"

#define TEXT(literal) literal, sizeof(literal) - 1

static void
repeat(struct buf *b, const char *text, int n)
{
	while (n-- > 0)
		buf_puts(b, text);
}

/* The canonical text, or null: refused. */
static const struct {
	const char *text;
	size_t len;
	const char *canon;
} accepted[] = {
	{ TEXT("{}"), "{}" },
	{ TEXT("[]"), "[]" },
	{ TEXT(" \t\r\n[ ] \n"), "[]" },
	{ TEXT("null"), "null" },
	{ TEXT("true"), "true" },
	{ TEXT("false"), "false" },
	{ TEXT("0"), "0" },
	{ TEXT("-0"), "-0" },
	{ TEXT("1.0"), "1.0" },
	{ TEXT("1"), "1" },
	{ TEXT("-12.50e+07"), "-12.50e+07" },
	{ TEXT("1E5"), "1E5" },
	{ TEXT("0e0"), "0e0" },
	{ TEXT("1e999999"), "1e999999" },
	{ TEXT("1180591620717411303424"), "1180591620717411303424" },
	{ TEXT("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827" },
	{ TEXT("\"\""), "\"\"" },
	{ TEXT("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\""), "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ TEXT("\"\\/\\b\\f\\n\\r\\t\\\"\\\\\""), "\"/\\b\\f\\n\\r\\t\\\"\\\\\"" },
	{ TEXT("\"\\u002F\\u0008\\u000C\\u000a\\u000d\\u0009\\u0022\\u005c\""), "\"/\\b\\f\\n\\r\\t\\\"\\\\\"" },
	{ TEXT("\"\\u0000\\u001F\\u007f\""), "\"\\u0000\\u001f\x7f\"" },
	{ TEXT("\"\\uD800\""), "\"\\ud800\"" },
	{ TEXT("\"\\udc00\\ud800\""), "\"\\udc00\\ud800\"" },
	{ TEXT("\"\\ud800\\ud800\\udc00x\""), "\"\\ud800\xf0\x90\x80\x80x\"" },
	{ TEXT("\"\\ud800\\u0041\""), "\"\\ud800A\"" },
	{ TEXT("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
	    "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
	{ TEXT("{\"b\" : 1 , \"a\" : [ 1 , { \"d\" : null , \"c\" : { } } ] }"),
	    "{\"a\":[1,{\"c\":{},\"d\":null}],\"b\":1}" },
	{ TEXT("{\"\":0,\"a\":{\"\":1}}"), "{\"\":0,\"a\":{\"\":1}}" },
	{ TEXT("{\"\\u00e9\":1,\"e\":2,\"\\ud83d\\ude00\":3,\"\xef\xbf\xbd\":4}"),
	    "{\"e\":2,\"\xc3\xa9\":1,\"\xef\xbf\xbd\":4,\"\xf0\x9f\x98\x80\":3}" },
	{ TEXT("{\"ab\":1,\"a\":2,\"abc\":3,\"\\u0061b\\u0000\":4}"), "{\"a\":2,\"ab\":1,\"ab\\u0000\":4,\"abc\":3}" },
	{ TEXT("[{\"a\":1},{\"a\":1}]"), "[{\"a\":1},{\"a\":1}]" },
	{ TEXT("{\"\\ud800\":1,\"\\udc00\":2,\"\\ud800\\udc00\":3}"),
	    "{\"\\ud800\":1,\"\\udc00\":2,\"\xf0\x90\x80\x80\":3}" },
};

static const struct {
	const char *text;
	size_t len;
	const char *code;
	size_t offset;
	const char *pointer;
} refused[] = {
	{ TEXT(""), "invalid_json", 0, "" },
	{ TEXT("  "), "invalid_json", 2, "" },
	{ TEXT("\xef\xbb\xbf{}"), "invalid_json", 0, "" },
	{ TEXT("{} {}"), "invalid_json", 3, "" },
	{ TEXT("{}\0"), "invalid_json", 2, "" },
	{ TEXT("\0"), "invalid_json", 0, "" },
	{ TEXT("1 2"), "invalid_json", 2, "" },
	{ TEXT("[1]]"), "invalid_json", 3, "" },
	{ TEXT("[1,]"), "invalid_json", 3, "/1" },
	{ TEXT("[,1]"), "invalid_json", 1, "/0" },
	{ TEXT("[1 2]"), "invalid_json", 3, "/0" },
	{ TEXT("[1}"), "invalid_json", 2, "/0" },
	{ TEXT("["), "invalid_json", 1, "" },
	{ TEXT("{"), "invalid_json", 1, "" },
	{ TEXT("{\"a\":1,}"), "invalid_json", 7, "/a" },
	{ TEXT("{\"a\" 1}"), "invalid_json", 5, "/a" },
	{ TEXT("{\"a\":}"), "invalid_json", 5, "/a" },
	{ TEXT("{\"a\":1]"), "invalid_json", 6, "/a" },
	{ TEXT("{a:1}"), "invalid_json", 1, "" },
	{ TEXT("{'a':1}"), "invalid_json", 1, "" },
	{ TEXT("{1:1}"), "invalid_json", 1, "" },
	{ TEXT("{\"x\":[0,{\"y/~z\":tru}]}"), "invalid_json", 16, "/x/1/y~1~0z" },
	{ TEXT("nul"), "invalid_json", 0, "" },
	{ TEXT("nulll"), "invalid_json", 4, "" },
	{ TEXT("True"), "invalid_json", 0, "" },
	{ TEXT("NaN"), "invalid_json", 0, "" },
	{ TEXT("Infinity"), "invalid_json", 0, "" },
	{ TEXT("-Infinity"), "invalid_json", 1, "" },
	{ TEXT("01"), "invalid_json", 1, "" },
	{ TEXT("-01"), "invalid_json", 2, "" },
	{ TEXT("+1"), "invalid_json", 0, "" },
	{ TEXT("-"), "invalid_json", 1, "" },
	{ TEXT(".5"), "invalid_json", 0, "" },
	{ TEXT("1."), "invalid_json", 2, "" },
	{ TEXT("1.e1"), "invalid_json", 2, "" },
	{ TEXT("1e"), "invalid_json", 2, "" },
	{ TEXT("1e+"), "invalid_json", 3, "" },
	{ TEXT("1e+-1"), "invalid_json", 3, "" },
	{ TEXT("0x10"), "invalid_json", 1, "" },
	{ TEXT("1_000"), "invalid_json", 1, "" },
	{ TEXT("// c\n1"), "invalid_json", 0, "" },
	{ TEXT("[1,/* c */2]"), "invalid_json", 3, "/1" },
	{ TEXT("\x0c[]"), "invalid_json", 0, "" },
	{ TEXT("\xc2\xa0[]"), "invalid_json", 0, "" },
	{ TEXT("\"abc"), "invalid_json", 4, "" },
	{ TEXT("\"abc\\"), "invalid_json", 4, "" },
	{ TEXT("\"abc\\\""), "invalid_json", 6, "" },
	{ TEXT("\"a\nb\""), "invalid_json", 2, "" },
	{ TEXT("\"0123456789a\tb\""), "invalid_json", 12, "" },
	{ TEXT("\"a\0b\""), "invalid_json", 2, "" },
	{ TEXT("\"\x1f\""), "invalid_json", 1, "" },
	{ TEXT("\"\\x41\""), "invalid_json", 1, "" },
	{ TEXT("\"\\U0041\""), "invalid_json", 1, "" },
	{ TEXT("\"\\u004\""), "invalid_json", 1, "" },
	{ TEXT("\"\\u00g1\""), "invalid_json", 1, "" },
	{ TEXT("\"\\u"), "invalid_json", 1, "" },
	{ TEXT("\"\\\0\""), "invalid_json", 1, "" },
	{ TEXT("\"\\ud800\\u00\""), "invalid_json", 7, "" },
	{ TEXT("\"\x80\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xc0\xaf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xc1\xbf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xe0\x80\xaf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xe0\x9f\xbf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xf0\x80\x80\xaf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xf0\x8f\xbf\xbf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xed\xa0\x80\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xed\xbf\xbf\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xf4\x90\x80\x80\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xf5\x80\x80\x80\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xff\""), "invalid_utf8", 1, "" },
	{ TEXT("\"\xc3\""), "invalid_utf8", 1, "" },
	{ TEXT("\"01234567\xe2\x82\""), "invalid_utf8", 9, "" },
	{ TEXT("\"\xe2\x82"), "invalid_utf8", 1, "" },
	{ TEXT("{\"\xff\":1}"), "invalid_utf8", 2, "" },
	{ TEXT("{\"a\":1,\"a\":1}"), "duplicate_name", 7, "/a" },
	{ TEXT("{\"a\":1,\"b\":2,\"\\u0061\":3}"), "duplicate_name", 13, "/a" },
	{ TEXT("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), "duplicate_name", 18, "/\xf0\x9f\x98\x80" },
	{ TEXT("{\"\":1,\"\":2}"), "duplicate_name", 6, "/" },
	{ TEXT("{\"x\":[1,{\"~\":{},\"~\":1}]}"), "duplicate_name", 16, "/x/1/~0" },
	{ TEXT("{\"\\ud800\":1,\"\\uD800\":2}"), "duplicate_name", 12, "/\xef\xbf\xbd" },
	{ TEXT("{\"a\\u0000b\":1,\"a\\u0000b\":2}"), "duplicate_name", 14,
	    "/a\xef\xbf\xbd"
	    "b" },
};

static void
test_accepted(void)
{
	struct buf b = { 0 };
	struct task_problem p;

	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		/* an exact copy on the heap, so that a sanitizer sees a read past the end */
		char *copy = mem_spandup((struct span){ accepted[i].text, accepted[i].len });
		struct span text = { mem_resize(copy, accepted[i].len), accepted[i].len };

		buf_reset(&b);
		p = (struct task_problem){ 0 };
		ok(task_json_canonical(text, &b, &p), "taken: case %zu%s%s", i, p.code != NULL ? ", " : "",
		    p.code != NULL ? p.detail : "");
		is_str(buf_cstr(&b), accepted[i].canon, "its canonical text");
		ok(task_json_valid(text), "and it is valid");
		mem_free(&text.ptr);
	}
	buf_free(&b);
}

static void
test_refused(void)
{
	struct buf b = { 0 };
	struct task_problem p;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char *copy = mem_spandup((struct span){ refused[i].text, refused[i].len });
		struct span text = { mem_resize(copy, refused[i].len), refused[i].len };

		ok(!task_json_canonical(text, &b, &p) && b.len == 0, "refused: case %zu, %s", i, p.detail);
		is_str(p.code, refused[i].code, "code of case %zu", i);
		is_int(p.offset, refused[i].offset, "offset of case %zu", i);
		is_str(p.pointer, refused[i].pointer, "pointer of case %zu", i);
		ok(p.status == 400 && strncmp(p.detail, "expected ", 9) == 0, "case %zu says what was expected", i);
		ok(!task_json_valid(text), "case %zu is not valid", i);
		mem_free(&text.ptr);
	}
	buf_free(&b);
}

static void
test_limits(void)
{
	struct buf b = { 0 };
	struct buf out = { 0 };
	struct task_problem p;

	repeat(&b, "[", 64);
	repeat(&b, "]", 64);
	ok(task_json_valid(buf_span(&b)), "64 levels of arrays");
	buf_reset(&b);
	repeat(&b, "[", 65);
	repeat(&b, "]", 65);
	ok(!task_json_canonical(buf_span(&b), &out, &p), "not 65");
	is_str(p.code, "too_deep", "too deep");
	is_int(p.offset, 64, "at the bracket that is too much");
	buf_reset(&b);
	repeat(&b, "{\"a\":", 64);
	repeat(&b, "0", 1);
	repeat(&b, "}", 64);
	ok(task_json_canonical(buf_span(&b), &out, &p) && span_eq(buf_span(&b), buf_span(&out)),
	    "64 levels of objects");
	buf_reset(&b);
	repeat(&b, "[", 1000000);
	ok(!task_json_canonical(buf_span(&b), &out, &p) && strcmp(p.code, "too_deep") == 0, "a million open brackets");

	buf_reset(&b);
	repeat(&b, "[0", 1);
	repeat(&b, ",0", TASK_JSON_TOKENS - 2);
	buf_putc(&b, ']');
	ok(task_json_valid(buf_span(&b)), "as many values as are allowed");
	b.len--;
	repeat(&b, ",0]", 1);
	ok(!task_json_canonical(buf_span(&b), &out, &p), "not one more");
	is_str(p.code, "too_many_values", "too many values");
	is_str(p.pointer, "/99999", "at the last one");

	buf_reset(&b);
	repeat(&b, "{\"", 1);
	repeat(&b, "/", 1000);
	repeat(&b, "\":x}", 1);
	ok(!task_json_canonical(buf_span(&b), &out, &p), "a long name before a mistake");
	is_int(strlen(p.pointer), sizeof(p.pointer) - 1, "fills the pointer");
	buf_free(&b);
	buf_free(&out);
}

/* Names by the thousand, in an order that hurts simple sorting; whoever hashes would meet one bucket only by chance,
 * whoever compares each with each needs minutes. */
static void
test_wide(void)
{
	enum { N = TASK_JSON_TOKENS - 1 };
	struct buf b = { 0 };
	struct buf out = { 0 };
	struct task_problem p;
	clock_t begin;
	double seconds;

	for (int order = 0; order < 3; order++) {
		buf_reset(&b);
		for (int i = 0; i < N; i++) {
			int n = order == 0 ? i : order == 1 ? N - 1 - i : (int)((int64_t)i * 61 % N);

			buf_printf(&b, "%c\"%s%06d\":0", i == 0 ? '{' : ',', i % 2 == 0 ? "key" : "\\u006bey", n);
		}
		buf_putc(&b, '}');
		buf_reset(&out);
		begin = clock();
		ok(task_json_canonical(buf_span(&b), &out, &p), "%d names, order %d", N, order);
		seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
		ok(seconds < 5, "take %.3f s of CPU", seconds);
		ok(strncmp(buf_cstr(&out), "{\"key000000\":0,\"key000001\":0,", 29) == 0, "and are sorted");
		is_int(out.len, (size_t)N * 14 + 1, "all of them");
	}
	buf_reset(&b);
	for (int i = 0; i < N; i++)
		buf_printf(&b, "%c\"%06d\":0", i == 0 ? '{' : ',', i == N - 1 ? 77 : i);
	buf_putc(&b, '}');
	ok(!task_json_canonical(buf_span(&b), &out, &p) && strcmp(p.code, "duplicate_name") == 0,
	    "one name twice is found");
	is_str(p.pointer, "/000077", "and named");
	buf_free(&b);
	buf_free(&out);
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_limits();
	test_wide();
	return done();
}
