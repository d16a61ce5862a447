/* task_idem_test.c - idempotency keys: form, digest, bucket. */
#include "t/unit/tap.h"
#include "task/task.h"

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X255 X50 X50 X50 X50 X50 "xxxxx"

static void
test_parse(void)
{
	static const struct {
		const char *header;
		const char *key; /* null: refused */
	} rows[] = {
		{ "abc-1", "abc-1" },
		{ "\"abc-1\"", "abc-1" },
		{ "\"a\\\"b\\\\c\"", "a\"b\\c" },
		{ "\"abc\";v=1", "abc" },
		{ "\"abc\";v=\"x;y\"; w", "abc" },
		{ "a b", "a b" },
		{ "\" a \"", " a " },
		{ "a\"b\"", "a\"b\"" },
		{ "a;v=1", "a;v=1" },
		{ "~!", "~!" },
		{ X255, X255 },
		{ "\"" X255 "\"", X255 },
		{ "\"" X50 X50 X50 X50 X50 "\\\"\\\"\\\"\\\"\\\"\"", X50 X50 X50 X50 X50 "\"\"\"\"\"" },
		{ "", NULL },
		{ "\"\"", NULL },
		{ " a", NULL },
		{ "a ", NULL },
		{ "a\tb", NULL },
		{ "a\x7f", NULL },
		{ "k\xc3\xa9y", NULL },
		{ "\"k\xc3\xa9y\"", NULL },
		{ "\"a\tb\"", NULL },
		{ "\"abc", NULL },
		{ "\"", NULL },
		{ "\"abc\\", NULL },
		{ "\"abc\\\"", NULL },
		{ "\"a\\bc\"", NULL },
		{ "\"abc\"x", NULL },
		{ "\"abc\" ;v", NULL },
		{ "\"abc\", \"def\"", NULL },
		{ "\"abc\";v=\xff", NULL },
		{ X255 "x", NULL },
		{ "\"" X255 "x\"", NULL },
	};
	char key[TASK_KEY_MAX + 1];
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *wrong = task_key_parse(span_of(rows[i].header), key, &len);

		if (rows[i].key == NULL)
			ok(wrong != NULL && len == 0, "refused: %.30s (%s)", rows[i].header,
			    wrong != NULL ? wrong : "");
		else
			ok(wrong == NULL && len == strlen(rows[i].key) && strcmp(key, rows[i].key) == 0, "taken: %.30s",
			    rows[i].header);
	}
	ok(task_key_parse((struct span){ "a\0b", 3 }, key, &len) != NULL, "refused: a NUL");
}

static void
test_digest(void)
{
	char text[ID_TEXT];
	char longest[2000];
	struct id id, other;

	/* The first 16 bytes of SHA-256("tenant-a\0order:1"). */
	id = task_key_digest(SPAN("tenant-a"), SPAN("order:1"));
	id_format(&id, text);
	is_str(text, "1f3590dd-2bf1-3148-0967-103cac7dba9a", "digest of a key");
	other = task_key_digest(SPAN("tenant-"), SPAN("aorder:1"));
	ok(!id_eq(&id, &other), "tenant and key do not run together");
	memset(longest, 'k', sizeof(longest));
	id = task_key_digest(SPAN(""), (struct span){ longest, sizeof(longest) });
	id_format(&id, text);
	is_str(text, "950720cd-7d36-b22d-6dda-3c6d53830213", "digest of a key that no header could carry");
	is_int(task_key_bucket(SPAN(""), (struct span){ longest, sizeof(longest) }), 803, "and its bucket");
}

/* Frozen: rows in every database depend on them. */
static void
test_bucket(void)
{
	static const struct {
		const char *tenant;
		const char *key;
		uint64_t hash;
		int bucket;
	} rows[] = {
		{ "", "", UINT64_C(0xb9034ad37056f5fb), 507 },
		{ "a", "b", UINT64_C(0xab78f5eca36d0e2b), 555 },
		{ "tenant-a", "order:1", UINT64_C(0x3e227d53f12c585d), 93 },
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int len = snprintf(text, sizeof(text), "%s%c%s", rows[i].tenant, 0, rows[i].key);

		ok(digest_fnv64(text, (size_t)len) == rows[i].hash, "hash of (\"%s\", \"%s\")", rows[i].tenant,
		    rows[i].key);
		is_int(
		    task_key_bucket(span_of(rows[i].tenant), span_of(rows[i].key)), rows[i].bucket, "and its bucket");
	}
}

int
main(void)
{
	test_parse();
	test_digest();
	test_bucket();
	return done();
}
