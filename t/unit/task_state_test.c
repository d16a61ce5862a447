/* task_state_test.c - moves, words, failure classes, back-off. */
#include <signal.h>

#include "t/unit/tap.h"
#include "task/task.h"

/* Written out by hand on purpose: a slip in states.def must not pass because the test reads the same file. */
static const struct {
	enum task_state from;
	enum task_event why;
	enum task_state to;
} moves[] = {
	{ TASK_NEW, TASK_EV_SUBMIT, TASK_READY },
	{ TASK_NEW, TASK_EV_DELAY, TASK_WAITING },
	{ TASK_WAITING, TASK_EV_PROMOTE, TASK_READY },
	{ TASK_WAITING, TASK_EV_CANCEL, TASK_CANCELLED },
	{ TASK_WAITING, TASK_EV_EXPIRE, TASK_DEAD },
	{ TASK_READY, TASK_EV_EXPIRE, TASK_DEAD },
	{ TASK_READY, TASK_EV_CLAIM, TASK_LEASED },
	{ TASK_READY, TASK_EV_CANCEL, TASK_CANCELLED },
	{ TASK_LEASED, TASK_EV_SUCCEED, TASK_SUCCEEDED },
	{ TASK_LEASED, TASK_EV_RETRY, TASK_WAITING },
	{ TASK_LEASED, TASK_EV_RELEASE, TASK_READY },
	{ TASK_LEASED, TASK_EV_REAP, TASK_READY },
	{ TASK_LEASED, TASK_EV_BURY, TASK_DEAD },
	{ TASK_LEASED, TASK_EV_DISCARD, TASK_FAILED },
	{ TASK_LEASED, TASK_EV_CANCEL, TASK_CANCELLED },
	{ TASK_DEAD, TASK_EV_REPLAY, TASK_READY },
	{ TASK_DEAD, TASK_EV_DISCARD, TASK_FAILED },
	{ TASK_FAILED, TASK_EV_HAND_RETRY, TASK_READY },
};

static void
test_moves(void)
{
	for (int from = 0; from < TASK_STATES; from++)
		for (int why = 0; why < TASK_EVENTS; why++) {
			enum task_state want = TASK_STATES;

			for (size_t i = 0; i < ARRAY_LEN(moves); i++)
				if ((int)moves[i].from == from && (int)moves[i].why == why)
					want = moves[i].to;
			is_int(task_state_next((enum task_state)from, (enum task_event)why), want, "%s, %s: %s",
			    task_state_name((enum task_state)from), task_event_name((enum task_event)why),
			    want == TASK_STATES ? "illegal" : task_state_name(want));
		}
}

static void
test_words(void)
{
	static const struct {
		enum task_state state;
		const char *word;
		enum task_state parsed;
	} rows[] = {
		{ TASK_READY, "pending", TASK_READY },
		{ TASK_WAITING, "pending", TASK_READY },
		{ TASK_LEASED, "processing", TASK_LEASED },
		{ TASK_SUCCEEDED, "succeeded", TASK_SUCCEEDED },
		{ TASK_FAILED, "failed", TASK_FAILED },
		{ TASK_CANCELLED, "cancelled", TASK_CANCELLED },
		{ TASK_DEAD, "dead_letter", TASK_DEAD },
	};
	enum task_state s;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(task_status_word(rows[i].state), rows[i].word, "word of %s", task_state_name(rows[i].state));
		s = TASK_STATES;
		ok(task_status_parse(span_of(rows[i].word), &s) && s == rows[i].parsed, "\"%s\" is read back",
		    rows[i].word);
	}
	ok(!task_status_parse(SPAN("leased"), &s), "a word of the inside is no status");
	ok(!task_status_parse(SPAN(""), &s), "no word is no status");
	ok(!task_status_parse(SPAN("pendin"), &s), "half a word is no status");
}

static void
test_classes(void)
{
	static const struct {
		int status;
		enum task_class class;
		const char *code;
		const char *message;
	} rows[] = {
		{ 1 << 8, TASK_TRANSIENT, "HANDLER_FAILED", "exited with status 1" },
		{ 64 << 8, TASK_NON_RETRYABLE, "EX_USAGE", "exited with status 64" },
		{ 65 << 8, TASK_NON_RETRYABLE, "EX_DATAERR", "exited with status 65" },
		{ 66 << 8, TASK_NON_RETRYABLE, "EX_NOINPUT", "exited with status 66" },
		{ 67 << 8, TASK_TRANSIENT, "HANDLER_FAILED", "exited with status 67" },
		{ 75 << 8, TASK_TRANSIENT, "HANDLER_FAILED", "exited with status 75" },
		{ 77 << 8, TASK_AUTH, "EX_NOPERM", "exited with status 77" },
		{ 78 << 8, TASK_NON_RETRYABLE, "EX_CONFIG", "exited with status 78" },
		{ 255 << 8, TASK_TRANSIENT, "HANDLER_FAILED", "exited with status 255" },
		{ SIGKILL, TASK_CRASH, "SIGKILL", "killed by signal 9 (SIGKILL)" },
		{ SIGSEGV | 0x80, TASK_CRASH, "SIGSEGV", "killed by signal 11 (SIGSEGV)" },
		{ 40, TASK_CRASH, "SIGNAL_40", "killed by signal 40 (SIGNAL_40)" },
	};
	enum task_class c;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct task_failure f = { 0 };

		task_class_of_exit(rows[i].status, &f);
		is_int(f.class, rows[i].class, "class of %s", rows[i].message);
		is_str(f.code, rows[i].code, "code of %s", rows[i].message);
		is_str(f.message, rows[i].message, "words of status %d", rows[i].status);
		is_int(f.exit, rows[i].status, "status %d is kept", rows[i].status);
	}
	for (int i = TASK_CLASS_NONE + 1; i < TASK_CLASSES; i++)
		ok(task_class_parse(span_of(task_class_name((enum task_class)i)), &c) && (int)c == i, "%s is read back",
		    task_class_name((enum task_class)i));
	ok(task_class_name(TASK_CLASS_NONE) == NULL, "no class, no name");
	ok(!task_class_parse(SPAN(""), &c), "no word is no class");
	ok(!task_class_parse(SPAN("transient"), &c), "the words are upper case");
}

static void
test_backoff(void)
{
	static const struct task_backoff b = { 2000000, 3, 120000000, 0.10, 0.30, 1, 0 };
	static const struct {
		int attempts;
		double dice;
		int64_t want;
	} rows[] = {
		{ 0, 0, 2200000 },
		{ 1, 0, 2200000 },
		{ 1, 0.5, 2400000 },
		{ 2, 0, 6600000 },
		{ 3, 0, 19800000 },
		{ 4, 0, 59400000 },
		{ 5, 0, 132000000 },
		{ 6, 0.5, 144000000 },
		{ 2000000000, 0, 132000000 },
	};
	struct task_backoff flat = { 1000000, 1, 5000000, 0, 0, 1, 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t d = task_backoff_delay(&b, rows[i].attempts, rows[i].dice);

		ok(d >= rows[i].want - 1 && d <= rows[i].want + 1, "after %d attempts, dice %.1f: %jd",
		    rows[i].attempts, rows[i].dice, (intmax_t)d);
	}
	is_int(task_backoff_delay(&flat, 2000000000, 0.9), 1000000, "factor 1 without jitter stays");
	flat.base = 0;
	is_int(task_backoff_delay(&flat, 3, 0), 0, "base 0 is at once");
	flat = (struct task_backoff){ 9000000, 2, 5000000, 0, 0, 1, 0 };
	is_int(task_backoff_delay(&flat, 1, 0), 5000000, "a base over the cap is capped");
}

int
main(void)
{
	test_moves();
	test_words();
	test_classes();
	test_backoff();
	return done();
}
