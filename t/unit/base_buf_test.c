/* base_buf_test.c - growing bytes, the JSON string writer, members of objects, arenas, spans. */
#include "base/arena.h"
#include "base/member.h"
#include "t/unit/tap.h"

static void
test_buf(void)
{
	struct buf b = { 0 };
	size_t len, i;
	char *p;

	is_str(buf_cstr(&b), "", "an empty buf is an empty string");
	buf_puts(&b, "abc");
	buf_putc(&b, '-');
	buf_putu64(&b, UINT64_MAX);
	buf_printf(&b, "/%d/%s", -7, "x");
	is_str(buf_cstr(&b), "abc-18446744073709551615/-7/x", "pieces follow each other");
	buf_consume(&b, 4);
	is_str(buf_cstr(&b), "18446744073709551615/-7/x", "consume drops from the front");
	p = buf_take(&b, &len);
	is_int(len, 25, "take tells the length");
	is_int(b.len + b.cap, 0, "take leaves an empty buf");
	mem_free(&p);
	ok(p == NULL, "mem_free leaves null");
	for (i = 0; i < 1000; i++)
		buf_printf(&b, "%0100d", (int)i);
	is_int(b.len, 100000, "printf grows");
	buf_reset(&b);
	buf_putu64(&b, 0);
	is_str(buf_cstr(&b), "0", "zero is a digit");
	buf_free(&b);
	ok(b.data == NULL, "free leaves nothing");
}

static void
test_json(void)
{
	static const struct {
		struct span in;
		const char *out;
	} cases[] = {
		{ SPAN(""), "\"\"" },
		{ SPAN("plain"), "\"plain\"" },
		{ SPAN("a\"b\\c/\b\f\n\r\t"), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\"" },
		{ SPAN("\0\x1f\x7f"), "\"\\u0000\\u001f\x7f\"" },
		{ SPAN("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ SPAN("\xff!"), "\"\xef\xbf\xbd!\"" },
		{ SPAN("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* overlong */
		{ SPAN("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* surrogate */
		{ SPAN("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* cut off */
		{ SPAN("\xf4\x90\x80\x80z"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"" },
	};
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&b);
		buf_json_string(&b, cases[i].in);
		is_str(buf_cstr(&b), cases[i].out, "json string, case %zu", i);
	}
	buf_free(&b);
}

static void
test_members(void)
{
	struct buf b = { 0 };
	struct id id;

	ok(id_parse(SPAN("0190163d-8694-739b-aea5-966c26f8ad91"), &id), "an id");
	member_id(&b, "{\"id\":", &id);
	member_id(&b, ",\"of\":", NULL);
	member_text(&b, ",\"queue\":", SPAN("a\"b"));
	member_text(&b, ",\"group\":", SPAN(""));
	member_time(&b, ",\"at\":", 1);
	member_time(&b, ",\"due_at\":", 0);
	member_json(&b, ",\"payload\":", SPAN("[1]"));
	member_json(&b, ",\"result\":", SPAN(""));
	member_int(&b, ",\"least\":", INT64_MIN);
	member_int(&b, ",\"n\":", 0);
	is_str(buf_cstr(&b),
	    "{\"id\":\"0190163d-8694-739b-aea5-966c26f8ad91\",\"of\":null,\"queue\":\"a\\\"b\",\"group\":null,"
	    "\"at\":\"1970-01-01T00:00:00.000001Z\",\"due_at\":null,\"payload\":[1],\"result\":null,"
	    "\"least\":-9223372036854775808,\"n\":0",
	    "a member of each kind, and what is not there as null");
	buf_free(&b);
}

static void
test_arena(void)
{
	struct arena *a = arena_new(0);
	bool aligned = true, zero = true;
	int round, i;

	for (round = 0; round < 2; round++) {
		for (i = 1; i < 2000; i++) {
			unsigned char *p = arena_alloc(a, (size_t)i);

			aligned = aligned && (uintptr_t)p % 16 == 0;
			zero = zero && p[0] == 0 && p[i - 1] == 0;
			memset(p, 0xaa, (size_t)i);
		}
		arena_reset(a);
	}
	ok(aligned, "every piece is aligned");
	ok(zero, "every piece is zero, also after a reset");
	is_str(arena_printf(a, "%s-%d", "x", 5), "x-5", "arena_printf");
	is_str(arena_spandup(a, (struct span){ "abcdef", 3 }), "abc", "a span becomes a string");
	ok(arena_strdup(a, NULL) == NULL, "null stays null");
	arena_free(&a);
	ok(a == NULL, "free leaves null");
	arena_free(&a);
}

static void
test_span(void)
{
	ok(span_is(SPAN("ab"), "ab") && !span_is(SPAN("ab"), "abc"), "span_is compares whole spans");
	ok(span_ieq(SPAN("Content-Length"), "content-length"), "span_ieq ignores case");
	ok(span_eq(span_of(NULL), SPAN("")), "null is the empty span");
}

int
main(void)
{
	test_buf();
	test_json();
	test_members();
	test_arena();
	test_span();
	return done();
}
