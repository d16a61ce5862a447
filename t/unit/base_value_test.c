/* base_value_test.c - time texts, ids, digests. */
#include "base/clock.h"
#include "base/digest.h"
#include "base/id.h"
#include "t/unit/tap.h"

static void
test_clock_text(void)
{
	static const struct {
		const char *in, *out; /* null: refused */
	} cases[] = {
		{ "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z" },
		{ "2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.500000Z" },
		{ "2023-02-29T00:00:00Z", NULL },
		{ "2000-02-29t12:00:00z", "2000-02-29T12:00:00.000000Z" },
		{ "2100-02-29T12:00:00Z", NULL },
		{ "2026-03-01T00:30:00.123456789+01:00", "2026-02-28T23:30:00.123456Z" },
		{ "2026-12-31T23:30:00-00:45", "2027-01-01T00:15:00.000000Z" },
		{ "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z" },
		{ "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z" },
		{ "9999-12-31T23:59:59-01:00", NULL },
		{ "1970-01-01T00:00:00+01:00", NULL },
		{ "1969-12-31T23:59:59Z", NULL },
		{ "2026-01-01T24:00:00Z", NULL },
		{ "2026-13-01T00:00:00Z", NULL },
		{ "2026-00-01T00:00:00Z", NULL },
		{ "2026-01-01T00:00:00", NULL },
		{ "2026-01-01T00:00:00.Z", NULL },
		{ "2026-01-01T00:00:00.1234567890Z", NULL },
		{ "2026-01-01T00:00:00Zx", NULL },
		{ "2026-01-01 00:00:00Z", NULL },
		{ "2026-01-01", NULL },
		{ "", NULL },
	};
	char text[CLOCK_TEXT];
	int64_t t;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		bool good = clock_parse(span_of(cases[i].in), &t);

		if (good)
			clock_format(t, text);
		is_str(good ? text : NULL, cases[i].out, "instant \"%s\"", cases[i].in);
	}
}

static void
test_clock_days(void)
{
	char text[CLOCK_TEXT];
	int64_t day, back;
	int wrong = 0;

	for (day = 0; day < 2932897; day++) {
		int64_t t = (day * 86400 + day % 86400) * CLOCK_SECOND + day;

		clock_format(t, text);
		if (!clock_parse(span_of(text), &back) || back != t)
			wrong++;
	}
	is_int(wrong, 0, "every day from 1970 to 9999 survives text and back");
	is_str(text, "9999-12-31T22:41:38.932896Z", "and the last is the last");
	clock_format(INT64_C(8) * 86400 * CLOCK_SECOND, text);
	is_str(text, "1970-01-09T00:00:00.000000Z", "a day");
	clock_format(0, text);
	is_str(text, "1970-01-01T00:00:00.000000Z", "and the one eight days before it");
}

static void
test_clock_frozen(void)
{
	int64_t before = clock_now();

	clock_set(5, 7);
	ok(clock_now() == 5 && clock_wall() == 7, "frozen");
	clock_unset();
	ok(clock_now() >= before && clock_wall() > INT64_C(1600000000) * CLOCK_SECOND, "running again");
}

static void
test_id(void)
{
	static const char *bad[] = { "", "0189f7a0-0000-7000-8000-00000000000", "0189f7a0-0000-7000-8000-0000000000000",
		"0189f7a0+0000-7000-8000-000000000000", "0189f7a0-0000-7000-8000-00000000000g",
		"0189f7a000-00-7000-8000-000000000000" };
	struct id a, b;
	char text[ID_TEXT];
	size_t i;

	ok(id_parse(SPAN("0189F7A0-abcd-7000-8000-0000000000fF"), &a), "either case is read");
	id_format(&a, text);
	is_str(text, "0189f7a0-abcd-7000-8000-0000000000ff", "lower case is written");
	for (i = 0; i < ARRAY_LEN(bad); i++)
		ok(!id_parse(span_of(bad[i]), &b), "not an id: \"%s\"", bad[i]);
	b = id_random();
	id_format(&b, text);
	ok(text[14] == '4' && strchr("89ab", text[19]) != NULL, "a random id is a version 4");
	ok(!id_is_zero(&b) && !id_eq(&a, &b) && id_cmp(&a, &a) == 0, "comparisons");
}

static void
hex(const uint8_t *d, char text[65])
{
	int i;

	for (i = 0; i < DIGEST_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", d[i]);
}

static void
test_digest(void)
{
	uint8_t d[DIGEST_LEN], e[DIGEST_LEN];
	char text[65];

	digest_sha256("abc", 3, d);
	hex(d, text);
	is_str(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "sha256 of abc (FIPS 180)");
	digest_sha256(NULL, 0, d);
	hex(d, text);
	is_str(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha256 of nothing");
	digest_hmac(SPAN("Jefe"), "what do ya want for nothing?", 28, e);
	hex(e, text);
	is_str(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "hmac (RFC 4231, case 2)");
	ok(digest_eq(e, e, DIGEST_LEN) && !digest_eq(d, e, DIGEST_LEN), "digest_eq");
	/* frozen values: ids and buckets depend on them */
	ok(digest_fnv64("", 0) == UINT64_C(0xefd01f60ba992926), "fnv64 of nothing");
	ok(digest_fnv64("taskq", 5) != digest_fnv64("tasks", 5), "fnv64 tells names apart");
}

/* Each length of zeros, and each text with one bit changed, has a number of its own. */
static void
test_quick(void)
{
	uint64_t seen[41 + 40 * 8], sum;
	char bytes[40] = { 0 };
	size_t n = 0, i, k, twice = 0;

	for (i = 0; i <= sizeof(bytes); i++)
		seen[n++] = digest_quick64(bytes, i);
	for (i = 0; i < 8 * sizeof(bytes); i++) {
		bytes[i / 8] = (char)(1 << i % 8);
		seen[n++] = digest_quick64(bytes, sizeof(bytes));
		bytes[i / 8] = 0;
	}
	for (i = 0; i < n; i++)
		for (k = 0; k < i; k++)
			twice += seen[i] == seen[k];
	is_int((int)twice, 0, "quick64 tells %zu lengths and single bits apart", n);
	sum = digest_quick64("\1\2\3\4\5\6\7\10\11", 9);
	memcpy(bytes + 1, "\1\2\3\4\5\6\7\10\11", 9);
	ok(digest_quick64(bytes + 1, 9) == sum, "wherever the bytes lie");
}

int
main(void)
{
	test_clock_text();
	test_clock_days();
	test_clock_frozen();
	test_id();
	test_digest();
	test_quick();
	return done();
}
