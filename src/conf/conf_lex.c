/* conf_lex.c - the words of a configuration file.
 *
 * Takes what libConfuse's scanner takes, and refuses what that one would swallow in silence: strings and comments that never
 * end, odd characters, variables that are not set.
 *
 *	comments   # to the end of the line, also //, and slash-star ... star-slash
 *	"text"     escapes \n \t \" \\ \x41 \101 ..., ${NAME} and ${NAME:-default} from the environment
 *	'text'     as it stands; only \' and \\ are escapes
 *	word       anything without blanks, quotes and { } ( ) = + , * #
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_int.h"

static struct conf_token
token(const struct conf_lex *l, enum conf_token_kind kind, const char *start, int line)
{
	return (struct conf_token){ kind, { start, (size_t)(l->at - start) }, line };
}

static struct conf_token
bad(struct conf_lex *l)
{
	l->at = l->end;
	return token(l, CONF_TOKEN_BAD, l->at, l->line);
}

static bool
looking_at(const struct conf_lex *l, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(l->end - l->at) >= n && memcmp(l->at, text, n) == 0;
}

static bool
skip_comment(struct conf_lex *l)
{
	int line = l->line;

	for (l->at += 2; l->at < l->end; l->at++) {
		if (looking_at(l, "*/")) {
			l->at += 2;
			return true;
		}
		l->line += *l->at == '\n';
	}
	conf_problem(l->problems, l->source, line, "the comment that begins here is not closed, expected \"*/\"");
	return false;
}

/* Blanks and comments.  False: a comment never ends. */
static bool
skip_blanks(struct conf_lex *l)
{
	while (l->at < l->end) {
		if (*l->at == '#' || looking_at(l, "//")) {
			while (l->at < l->end && *l->at != '\n')
				l->at++;
		} else if (looking_at(l, "/*")) {
			if (!skip_comment(l))
				return false;
		} else if (strchr(" \t\r\n", *l->at) != NULL) {
			l->line += *l->at++ == '\n';
		} else {
			break;
		}
	}
	return true;
}

/* At "${": checks the variable and steps behind its brace. */
static bool
take_variable(struct conf_lex *l)
{
	size_t n = strcspn(l->at, "}\"\n");
	struct span name = { l->at + 2, n - 2 };
	const char *colon;
	char *text;

	if (l->at[n] != '}') {
		conf_problem(
		    l->problems, l->source, l->line, "\"${\" is not closed, expected ${NAME} or ${NAME:-default}");
		return false;
	}
	l->at += n + 1;
	colon = memchr(name.ptr, ':', name.len);
	if (colon != NULL && colon[1] == '-')
		return true;
	text = mem_spandup(name);
	if (getenv(text) == NULL)
		conf_problem(l->problems, l->source, l->line,
		    "environment variable \"%s\" is not set, expected a set one, ${%s:-default} or text in single "
		    "quotes",
		    text, text);
	mem_free(&text);
	return true;
}

/* The character that an escape stands for, 1 when it is not one of numbers; its length behind the backslash in *len_r. */
static long
escape_code(const char *at, size_t *len_r)
{
	char digits[3] = "";

	*len_r = strspn(at, "0123456789");
	if (*len_r > 0)
		return *len_r <= 3 && strspn(at, "01234567") == *len_r ? strtol(at, NULL, 8) : 256;
	*len_r = 1;
	if (at[0] != 'x')
		return 1;
	for (size_t n = 0; n < 2 && at[*len_r] != '\0' && strchr("0123456789abcdefABCDEF", at[*len_r]) != NULL; n++)
		digits[n] = at[(*len_r)++];
	return digits[0] == '\0' ? 1 : strtol(digits, NULL, 16);
}

/* At a backslash in a double-quoted string: steps over the escape. */
static bool
take_escape(struct conf_lex *l)
{
	size_t len;
	long code = escape_code(l->at + 1, &len);

	if (code == 0 || code > 255) {
		conf_problem(l->problems, l->source, l->line,
		    "\"%.*s\" stands for no character, expected \"\\001\" to \"\\377\"", (int)len + 1, l->at);
		return false;
	}
	l->line += l->at[1] == '\n';
	l->at += 1 + len;
	return true;
}

static struct conf_token
take_string(struct conf_lex *l)
{
	const char *start = l->at;
	char quote = *l->at++;
	int line = l->line;

	while (l->at < l->end && *l->at != quote) {
		if (*l->at == '\\' && quote == '"' && l->at + 1 < l->end) {
			if (!take_escape(l))
				return bad(l);
		} else if (*l->at == '\\' && l->at + 1 < l->end) {
			l->line += l->at[1] == '\n';
			l->at += 2;
		} else if (quote == '"' && looking_at(l, "${")) {
			if (!take_variable(l))
				return bad(l);
		} else {
			l->line += *l->at++ == '\n';
		}
	}
	if (l->at >= l->end) {
		conf_problem(
		    l->problems, l->source, line, "the text that begins here is not closed, expected %c", quote);
		return bad(l);
	}
	l->at++;
	return token(l, CONF_TOKEN_STRING, start, line);
}

static struct conf_token
take_word(struct conf_lex *l)
{
	const char *start = l->at;
	size_t n = strcspn(l->at, " #\"'\t\r\n={}()+,*");

	if (n == 0) {
		conf_problem(l->problems, l->source, l->line,
		    "unexpected \"%c\", expected quotes around a text that contains it", *l->at);
		return bad(l);
	}
	l->at += n;
	return token(l, CONF_TOKEN_WORD, start, l->line);
}

struct conf_token
conf_lex_next(struct conf_lex *l)
{
	const char *start;

	if (!skip_blanks(l))
		return bad(l);
	start = l->at;
	if (l->at >= l->end)
		return token(l, CONF_TOKEN_END, start, l->line);
	if (strchr("{}()=,", *l->at) != NULL) {
		l->at++;
		return token(l, CONF_TOKEN_MARK, start, l->line);
	}
	if (looking_at(l, "+=")) {
		l->at += 2;
		return token(l, CONF_TOKEN_MARK, start, l->line);
	}
	if (*l->at == '"' || *l->at == '\'')
		return take_string(l);
	if (looking_at(l, "${"))
		return take_variable(l) ? token(l, CONF_TOKEN_WORD, start, l->line) : bad(l);
	return take_word(l);
}
