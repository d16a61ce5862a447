/* task_rules.c - rules read from text, and the judgement of a failure by them.  The grammar is in task_rules.h.
 *
 * What is read is checked to the end: a rule that could never fit (exit 0, status 200, a code in lower case) is refused where somebody
 * reads the message, not passed over in silence when it matters.
 */
#include "task/task_rules.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CODE_SIZE sizeof(((struct task_failure *)0)->code)
#define EXPECTED_RULE "expected a rule such as \"exit 3 = PERSISTENT\" or \"code DB_DOWN = NON_RETRYABLE\""

enum match { BY_EXIT, BY_SIGNAL, BY_STATUS, BY_CODE, BY_CLASS };

struct rule {
	enum match by;
	int lo, hi;           /* EXIT, SIGNAL, STATUS */
	char word[CODE_SIZE]; /* CODE, CLASS */
	enum task_class class;
	char code[CODE_SIZE]; /* empty: as it is */
};

struct task_rules {
	int n;
	struct rule all[];
};

/* --- reading ---------------------------------------------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next word, empty at the end. */
static struct span
word_take(struct span *text)
{
	struct span word;

	while (text->len > 0 && is_blank(*text->ptr)) {
		text->ptr++;
		text->len--;
	}
	word = (struct span){ text->ptr, 0 };
	while (word.len < text->len && !is_blank(word.ptr[word.len]))
		word.len++;
	text->ptr += word.len;
	text->len -= word.len;
	return word;
}

static bool
copy_word(char *to, struct span word, bool code)
{
	if (word.len == 0 || word.len >= CODE_SIZE)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		char c = word.ptr[i];

		if (code && !((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	memcpy(to, word.ptr, word.len);
	to[word.len] = '\0';
	return true;
}

/* Up to four digits and nothing else. */
static bool
number_read(struct span s, int *n_r)
{
	*n_r = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		*n_r = *n_r * 10 + s.ptr[i] - '0';
	}
	return s.len > 0 && s.len <= 4;
}

static bool
range_read(struct span s, int least, int most, struct rule *r)
{
	const char *dash = s.len > 0 ? memchr(s.ptr, '-', s.len) : NULL;
	size_t at = dash != NULL ? (size_t)(dash - s.ptr) : s.len;

	if (!number_read((struct span){ s.ptr, at }, &r->lo))
		return false;
	r->hi = r->lo;
	if (dash != NULL && !number_read((struct span){ dash + 1, s.len - at - 1 }, &r->hi))
		return false;
	return r->lo >= least && r->lo <= r->hi && r->hi <= most;
}

static bool
read_exit(struct span value, struct rule *r)
{
	return range_read(value, 1, 255, r);
}

static bool
read_status(struct span value, struct rule *r)
{
	if (value.len == 3 && memcmp(value.ptr + 1, "xx", 2) == 0 && value.ptr[0] >= '3' && value.ptr[0] <= '5') {
		r->lo = (value.ptr[0] - '0') * 100;
		r->hi = r->lo + 99;
		return true;
	}
	return range_read(value, 300, 599, r);
}

static bool
read_signal(struct span value, struct rule *r)
{
	if (value.len > 3 && memcmp(value.ptr, "SIG", 3) == 0)
		value = (struct span){ value.ptr + 3, value.len - 3 };
	for (int sig = 1; sig < NSIG; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name != NULL && span_is(value, name)) {
			r->lo = r->hi = sig;
			return true;
		}
	}
	return range_read(value, 1, NSIG - 1, r);
}

static bool
read_code(struct span value, struct rule *r)
{
	return copy_word(r->word, value, true);
}

static bool
read_class(struct span value, struct rule *r)
{
	return copy_word(r->word, value, false);
}

static const struct {
	const char *word;
	bool (*read)(struct span value, struct rule *r);
	const char *expected;
} matches[] = {
	[BY_EXIT] = { "exit", read_exit, "an exit status from 1 to 255, or two as in 10-19" },
	[BY_SIGNAL] = { "signal", read_signal, "the name of a signal such as KILL" },
	[BY_STATUS] = { "status", read_status, "an HTTP status from 300 to 599, two as in 500-503, or 3xx, 4xx, 5xx" },
	[BY_CODE] = { "code", read_code, "a code of at most 63 upper-case letters, digits and _" },
	[BY_CLASS] = { "class", read_class, "a word of at most 63 bytes" },
};

static bool
match_read(struct span left, struct rule *r, struct buf *why)
{
	struct span by = word_take(&left), value = word_take(&left), rest = word_take(&left);

	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		if (!span_is(by, matches[i].word))
			continue;
		r->by = (enum match)i;
		if (rest.len == 0 && matches[i].read(value, r))
			return true;
		buf_printf(why, "\"%.*s\" after %s, expected %s", (int)(rest.len > 0 ? rest.len : value.len),
		    rest.len > 0 ? rest.ptr : value.ptr, matches[i].word, matches[i].expected);
		return false;
	}
	buf_printf(why, "begins with \"%.*s\", expected exit, signal, status, code or class", (int)by.len, by.ptr);
	return false;
}

static bool
result_read(struct span right, struct rule *r, struct buf *why)
{
	struct span class = word_take(&right), code = word_take(&right), rest = word_take(&right);

	if (!task_class_parse(class, &r->class)) {
		buf_printf(why, "\"%.*s\" is not a class, expected", (int)class.len, class.ptr);
		for (int c = TASK_CLASS_NONE + 1; c < TASK_CLASSES; c++)
			buf_printf(why, "%s %s",
			    c == TASK_CLASS_NONE + 1 ? ""
			    : c + 1 == TASK_CLASSES  ? " or"
						     : ",",
			    task_class_name((enum task_class)c));
		return false;
	}
	if (rest.len == 0 && (code.len == 0 || copy_word(r->code, code, true)))
		return true;
	code = rest.len > 0 ? rest : code;
	buf_printf(why, "\"%.*s\" after the class, expected nothing or %s", (int)code.len, code.ptr,
	    matches[BY_CODE].expected);
	return false;
}

static bool
rule_read(const char *text, struct rule *r, struct buf *why)
{
	const char *equal = strchr(text, '=');
	struct buf reason = { 0 };
	bool good = false;

	memset(r, 0, sizeof(*r));
	if (equal == NULL)
		buf_puts(&reason, "has no =, " EXPECTED_RULE);
	else
		good = match_read((struct span){ text, (size_t)(equal - text) }, r, &reason) &&
		       result_read(span_of(equal + 1), r, &reason);
	if (!good)
		buf_printf(why, "rule \"%s\": %s", text, buf_cstr(&reason));
	buf_free(&reason);
	return good;
}

struct task_rules *
task_rules_new(const char *const *texts, int n, struct buf *why)
{
	struct task_rules *r = mem_zalloc(sizeof(*r) + (size_t)n * sizeof(r->all[0]));

	for (r->n = 0; r->n < n; r->n++)
		if (!rule_read(texts[r->n], &r->all[r->n], why)) {
			task_rules_free(&r);
			return NULL;
		}
	return r;
}

void
task_rules_free(struct task_rules **r)
{
	mem_free(r);
}

/* --- judging ---------------------------------------------------------------------------------------------------------------------- */

static bool
within(const struct rule *r, int n)
{
	return n >= r->lo && n <= r->hi;
}

static bool
rule_fits(const struct rule *r, const struct task_said *said, const struct task_failure *f)
{
	bool process = f->exit >= 0 && f->exit < TASK_EXIT_HTTP;

	switch (r->by) {
	case BY_EXIT:
		return process && WIFEXITED(f->exit) && within(r, WEXITSTATUS(f->exit));
	case BY_SIGNAL:
		return process && WIFSIGNALED(f->exit) && within(r, WTERMSIG(f->exit));
	case BY_STATUS:
		return f->exit >= TASK_EXIT_HTTP && within(r, f->exit - TASK_EXIT_HTTP);
	case BY_CODE:
		return strcmp(r->word, f->code) == 0;
	case BY_CLASS:
		return span_is(said->class, r->word);
	}
	UNREACHABLE("no such match");
}

/* At most so many bytes of valid UTF-8, which ends valid. */
static int
cut(struct span text, size_t most)
{
	size_t len = text.len;

	if (len > most)
		for (len = most; len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80;)
			len--;
	return (int)len;
}

#define WORD_SHOWN 64

/* The message of what is unknown begins with the word, so that its reader knows what to write a rule for. */
static void
tell_unknown(struct task_failure *f, const char *what, struct span word)
{
	char message[sizeof(f->message)];

	f->class = TASK_NON_RETRYABLE;
	snprintf(message, sizeof(message), "no rule knows the %s \"%.*s\": %.*s", what, cut(word, WORD_SHOWN), word.ptr,
	    cut(span_of(f->message), sizeof(message) - WORD_SHOWN - 64), f->message);
	memcpy(f->message, message, sizeof(message));
}

static enum task_judgement
judge_by_word(const struct task_said *said, struct task_failure *f)
{
	enum task_class class;

	if (said->class.len > 0) {
		if (task_class_parse(said->class, &class) && class != TASK_CRASH) {
			f->class = class;
			return TASK_JUDGED;
		}
		tell_unknown(f, "error_class", said->class);
		return TASK_UNKNOWN_CLASS;
	}
	if (said->code && !task_class_exit_is_special(f->exit)) {
		tell_unknown(f, "error_code", span_of(f->code));
		return TASK_UNKNOWN_CODE;
	}
	return TASK_JUDGED;
}

enum task_judgement
task_rules_judge(const struct task_rules *rules, const struct task_said *said, struct task_failure *f)
{
	for (int i = 0; rules != NULL && i < rules->n; i++) {
		const struct rule *r = &rules->all[i];

		if (!rule_fits(r, said, f))
			continue;
		f->class = r->class;
		if (r->code[0] != '\0')
			memcpy(f->code, r->code, sizeof(f->code));
		return TASK_JUDGED;
	}
	return judge_by_word(said, f);
}
