/* task_rules_test.c - rules of failures: what is read, what is refused in which words, which rule wins, what holds without one. */
#include <signal.h>

#include "t/unit/tap.h"
#include "task/task_rules.h"

#define EXIT(n) ((n) << 8)

static struct task_rules *
rules(const char *const *texts, int n)
{
	struct buf why = { 0 };
	struct task_rules *r = task_rules_new(texts, n, &why);

	ok(r != NULL, "%d rules are read%s%s", n, why.len > 0 ? ": " : "", buf_cstr(&why));
	buf_free(&why);
	return r;
}

static void
test_refused(void)
{
	static const struct {
		const char *rule, *says;
	} rows[] = {
		{ "exit 3", "has no =, expected a rule such as \"exit 3 = PERSISTENT\"" },
		{ "", "has no =" },
		{ "exot 3 = AUTH", "begins with \"exot\", expected exit, signal, status, code or class" },
		{ "exit 0 = AUTH", "\"0\" after exit, expected an exit status from 1 to 255" },
		{ "exit 256 = AUTH", "\"256\" after exit" },
		{ "exit 19-10 = AUTH", "\"19-10\" after exit" },
		{ "exit 1- = AUTH", "\"1-\" after exit" },
		{ "exit = AUTH", "\"\" after exit" },
		{ "exit 3 4 = AUTH", "\"4\" after exit" },
		{ "exit 99999999999 = AUTH", "after exit" },
		{ "status 200 = AUTH", "\"200\" after status, expected an HTTP status from 300 to 599" },
		{ "status 2xx = AUTH", "\"2xx\" after status" },
		{ "signal NOPE = AUTH", "\"NOPE\" after signal, expected the name of a signal such as KILL" },
		{ "code db_down = AUTH", "expected a code of at most 63 upper-case letters, digits and _" },
		{ "exit 3 = PERMANENT", "\"PERMANENT\" is not a class, expected TRANSIENT, PERSISTENT, NON_RETRYABLE, "
					"AUTH, RATE_LIMITED or CRASH" },
		{ "exit 3 =", "\"\" is not a class" },
		{ "exit 3 = AUTH lower", "\"lower\" after the class, expected nothing or a code" },
		{ "exit 3 = AUTH A B", "\"B\" after the class" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf why = { 0 };
		struct task_rules *r = task_rules_new(&rows[i].rule, 1, &why);

		ok(r == NULL, "\"%s\" is refused", rows[i].rule);
		ok(strstr(buf_cstr(&why), rows[i].says) != NULL, "saying %s: %s", rows[i].says, buf_cstr(&why));
		task_rules_free(&r);
		buf_free(&why);
	}
}

struct row {
	int exit;
	enum task_class class; /* before */
	const char *code;
	const char *said; /* class word; null: none */
	bool said_code;
	enum task_judgement judgement;
	enum task_class want;
	const char *want_code;
};

static void
test_rows(const struct task_rules *r, const char *what, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *w = &rows[i];
		struct task_failure f = { .class = w->class, .exit = w->exit };
		struct task_said said = { span_of(w->said), w->said_code };

		snprintf(f.code, sizeof(f.code), "%s", w->code);
		is_int(task_rules_judge(r, &said, &f), w->judgement, "%s, row %zu: judgement", what, i);
		is_int(f.class, w->want, "class");
		is_str(f.code, w->want_code, "code");
	}
}

static void
test_defaults(void)
{
	static const struct row rows[] = {
		{ EXIT(1), TASK_TRANSIENT, "HANDLER_FAILED", NULL, false, TASK_JUDGED, TASK_TRANSIENT,
		    "HANDLER_FAILED" },
		{ EXIT(1), TASK_TRANSIENT, "X", "AUTH", true, TASK_JUDGED, TASK_AUTH, "X" },
		{ EXIT(1), TASK_TRANSIENT, "X", "ODD", true, TASK_UNKNOWN_CLASS, TASK_NON_RETRYABLE, "X" },
		{ EXIT(1), TASK_TRANSIENT, "X", "CRASH", true, TASK_UNKNOWN_CLASS, TASK_NON_RETRYABLE, "X" },
		{ EXIT(1), TASK_TRANSIENT, "X", NULL, true, TASK_UNKNOWN_CODE, TASK_NON_RETRYABLE, "X" },
		{ EXIT(77), TASK_AUTH, "X", NULL, true, TASK_JUDGED, TASK_AUTH, "X" },
		{ -1, TASK_TRANSIENT, "X", NULL, true, TASK_UNKNOWN_CODE, TASK_NON_RETRYABLE, "X" },
		{ TASK_EXIT_HTTP + 500, TASK_TRANSIENT, "X", NULL, true, TASK_UNKNOWN_CODE, TASK_NON_RETRYABLE, "X" },
		{ TASK_EXIT_HTTP + 503, TASK_TRANSIENT, "X", NULL, true, TASK_JUDGED, TASK_TRANSIENT, "X" },
		{ SIGKILL, TASK_CRASH, "SIGKILL", NULL, false, TASK_JUDGED, TASK_CRASH, "SIGKILL" },
		{ -1, TASK_TRANSIENT, "TIMEOUT", NULL, false, TASK_JUDGED, TASK_TRANSIENT, "TIMEOUT" },
	};

	test_rows(NULL, "no rules", rows, ARRAY_LEN(rows));
}

static void
test_rules(void)
{
	static const char *const texts[] = {
		"code GONE = NON_RETRYABLE",
		"exit 3=PERSISTENT",
		"  exit 10-19 =  NON_RETRYABLE   BAD_INPUT ",
		"exit 12 = AUTH",
		"status 409 = RATE_LIMITED",
		"status 5xx = PERSISTENT DOWN",
		"class FLAKY = TRANSIENT",
		"class AUTH = PERSISTENT",
		"signal KILL = TRANSIENT KILLED",
		"signal SIGSEGV = NON_RETRYABLE",
		"code TIMEOUT = PERSISTENT",
		"exit 137 = CRASH",
	};
	static const struct row rows[] = {
		{ EXIT(3), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_PERSISTENT, "F" },
		{ EXIT(3), TASK_TRANSIENT, "GONE", NULL, true, TASK_JUDGED, TASK_NON_RETRYABLE, "GONE" },
		{ EXIT(3), TASK_TRANSIENT, "X", "ODD", true, TASK_JUDGED, TASK_PERSISTENT, "X" },
		{ EXIT(9), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_TRANSIENT, "F" },
		{ EXIT(10), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_NON_RETRYABLE, "BAD_INPUT" },
		{ EXIT(12), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_NON_RETRYABLE, "BAD_INPUT" },
		{ EXIT(19), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_NON_RETRYABLE, "BAD_INPUT" },
		{ EXIT(20), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_TRANSIENT, "F" },
		{ EXIT(137), TASK_TRANSIENT, "F", NULL, false, TASK_JUDGED, TASK_CRASH, "F" },
		{ EXIT(1), TASK_TRANSIENT, "F", "FLAKY", false, TASK_JUDGED, TASK_TRANSIENT, "F" },
		{ EXIT(1), TASK_TRANSIENT, "F", "AUTH", false, TASK_JUDGED, TASK_PERSISTENT, "F" },
		{ TASK_EXIT_HTTP + 409, TASK_TRANSIENT, "HTTP_409", NULL, false, TASK_JUDGED, TASK_RATE_LIMITED,
		    "HTTP_409" },
		{ TASK_EXIT_HTTP + 599, TASK_TRANSIENT, "X", NULL, true, TASK_JUDGED, TASK_PERSISTENT, "DOWN" },
		{ SIGKILL, TASK_CRASH, "SIGKILL", NULL, false, TASK_JUDGED, TASK_TRANSIENT, "KILLED" },
		{ SIGSEGV | 0x80, TASK_CRASH, "SIGSEGV", NULL, false, TASK_JUDGED, TASK_NON_RETRYABLE, "SIGSEGV" },
		{ SIGBUS, TASK_CRASH, "SIGBUS", NULL, false, TASK_JUDGED, TASK_CRASH, "SIGBUS" },
		{ -1, TASK_TRANSIENT, "TIMEOUT", NULL, false, TASK_JUDGED, TASK_PERSISTENT, "TIMEOUT" },
	};
	struct task_rules *r = rules(texts, (int)ARRAY_LEN(texts));

	test_rows(r, "rules", rows, ARRAY_LEN(rows));
	task_rules_free(&r);
	ok(r == NULL, "freed");
}

static void
test_unknown_message(void)
{
	struct task_failure f = { .class = TASK_TRANSIENT, .exit = EXIT(1), .message = "as it said" };
	struct task_said said = { SPAN("ODD"), false };
	char word[3 * 40 + 1];

	is_int(task_rules_judge(NULL, &said, &f), TASK_UNKNOWN_CLASS, "an odd class");
	is_str(f.message, "no rule knows the error_class \"ODD\": as it said", "is named before the message");
	for (size_t i = 0; i < sizeof(word) - 1; i += 3)
		memcpy(word + i, "\xe2\x82\xac", 3);
	said.class = (struct span){ word, sizeof(word) - 1 };
	for (size_t i = 0; i + 1 < sizeof(f.message); i += 2)
		memcpy(f.message + i, "\xc3\xbc", 2);
	f.message[sizeof(f.message) - 1] = '\0';
	is_int(task_rules_judge(NULL, &said, &f), TASK_UNKNOWN_CLASS, "a long one");
	ok(strlen(f.message) < sizeof(f.message) && strstr(f.message, "\xe2\x82\xac\": \xc3\xbc") != NULL,
	    "is cut between characters");
	is_int((unsigned char)f.message[strlen(f.message) - 1], 0xbc, "and so is the message");
}

static void
test_statuses(void)
{
	static const struct {
		int status;
		enum task_class class;
	} rows[] = { { 302, TASK_NON_RETRYABLE }, { 400, TASK_NON_RETRYABLE }, { 401, TASK_AUTH }, { 403, TASK_AUTH },
		{ 404, TASK_NON_RETRYABLE }, { 408, TASK_TRANSIENT }, { 409, TASK_TRANSIENT },
		{ 410, TASK_NON_RETRYABLE }, { 423, TASK_TRANSIENT }, { 425, TASK_TRANSIENT },
		{ 429, TASK_RATE_LIMITED }, { 500, TASK_TRANSIENT }, { 503, TASK_TRANSIENT }, { 599, TASK_TRANSIENT } };
	struct task_failure f;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		task_class_of_status(rows[i].status, &f);
		is_int(f.class, rows[i].class, "status %d", rows[i].status);
		is_int(f.exit, TASK_EXIT_HTTP + rows[i].status, "is kept");
	}
	is_str(f.code, "HTTP_599", "as its code");
}

int
main(void)
{
	test_refused();
	test_defaults();
	test_rules();
	test_unknown_message();
	test_statuses();
	return done();
}
