/* task_fingerprint_test.c - which failures are alike. */
#include <string.h>

#include "t/unit/tap.h"
#include "task/task.h"

/* What a message becomes; written down, because fingerprints are stored. */
static const struct {
	const char *message, *want;
} rows[] = {
	{ "connection refused", "connection refused" },
	{ "", "" },
	{ "  a \t\n b\x01 c  ", "a b c" },
	{ "timed out after 30 s", "timed out after # s" },
	{ "timed out after 30.5s, -7 tries", "timed out after #s, # tries" },
	{ "order 12345 has no customer 6", "order # has no customer #" },
	{ "user 01a2034b-17b1-7255-8000-000300000000 is gone", "user * is gone" },
	{ "commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit *" },
	{ "at 0x7ffe12ab34cd", "at *" },
	{ "token k3j9xz7 expired", "token * expired" },
	{ "2026-11-22T10:00:00.123Z down", "# down" },
	{ "2026-11-22T10:00:00Z down", "# down" },
	{ "2026-11-22 10:00:00 down", "# # down" },
	{ "no such column \"na\\\"me\" here", "no such column \"*\" here" },
	{ "no such column 'name' here", "no such column \"*\" here" },
	{ "can't open, won't try", "can't open, won't try" },
	{ "could not open `a b'", "could not open \"*\"" },
	{ "an open \" quote 7", "an open \" quote #" },
	{ "/var/spool/42/job-17.dat: no space", "/var/spool/*/*: no space" },
	{ "/etc/passwd: denied", "/etc/passwd: denied" },
	{ "GET https://api.example.com/v2/users/17 failed", "GET https://api.example.com/*/users/* failed" },
	{ "10.0.0.1:5432 refused", "# refused" },
	{ "host fe80::1:2 refused", "host * refused" },
	{ "no mailbox anna.b+c@example.org.", "no mailbox *." },
	{ "bad signature aGVsbG8gd29ybGQhIDEyMzQ1Njc4OTA=", "bad signature *" },
	{ "KeyError: deadbeef", "KeyError: deadbeef" },
	{ "exited with status 3", "exited with status #" },
	{ "id=17&name=anna", "id=#&name=anna" },
	{ "Stra\xc3\x9f"
	  "e 5",
	    "Stra\xc3\x9f"
	    "e #" },
};

static void
test_messages(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		task_message_normalise(&b, span_of(rows[i].message));
		is_str(buf_cstr(&b), rows[i].want, "%s", rows[i].want);
	}
	buf_free(&b);
}

static void
test_length(void)
{
	char long_one[5000];
	struct buf b = { 0 };

	memset(long_one, 'x', sizeof(long_one));
	task_message_normalise(&b, (struct span){ long_one, sizeof(long_one) });
	is_int((int)b.len, 300, "a long message is cut");
	buf_free(&b);
}

static bool
alike(enum task_class c1, const char *code1, const char *m1, enum task_class c2, const char *code2, const char *m2)
{
	struct id a = task_fingerprint(c1, span_of(code1), span_of(m1)),
		  b = task_fingerprint(c2, span_of(code2), span_of(m2));

	return id_eq(&a, &b);
}

static void
test_fingerprints(void)
{
	struct id id = task_fingerprint(TASK_TRANSIENT, SPAN("HANDLER_FAILED"), SPAN("timed out after 30 s"));
	char text[ID_TEXT];

	id_format(&id, text);
	is_str(text, "49938f4f-def3-1636-8a59-347cb9aa1a55", "as it was stored by the first release that had it");
	ok(alike(TASK_TRANSIENT, "X", "row 1", TASK_TRANSIENT, "X", "row 22"), "alike but for a number");
	ok(!alike(TASK_TRANSIENT, "X", "row 1", TASK_CRASH, "X", "row 1"), "the class counts");
	ok(!alike(TASK_TRANSIENT, "X", "row 1", TASK_TRANSIENT, "Y", "row 1"), "the code counts");
	ok(!alike(TASK_TRANSIENT, "X", "row", TASK_TRANSIENT, "X", "column"), "the words count");
	ok(!alike(TASK_CLASS_NONE, "", "", TASK_TRANSIENT, "", ""), "none is none");
}

int
main(void)
{
	test_messages();
	test_length();
	test_fingerprints();
	return done();
}
