/* task_fingerprint.c - failures that are alike: the class, the code, and the message without what differs from task to task.
 *
 * The message is read word by word.  What is in quotes, numbers with what is between their digits (times, addresses, versions), long
 * hexadecimal, ids of letters and digits, long base64, e-mail addresses and those parts of paths that have digits become marks; white space
 * becomes one blank; what stays is cut at a length.  A word is at most as much as can be, so the same text always gives the same words.
 * Fingerprints are stored and asked for: what is here is never changed; a better way would be a new VERSION beside this one.
 */
#include <string.h>

#include "task/task.h"

#define VERSION "1"
#define KEPT_MAX 300  /* bytes of the message without what differs */
#define HEX_MIN 8     /* digits that are no number and no word */
#define BASE64_MIN 24 /* letters and digits in one piece */
#define TURNS_MIN 3   /* from letters to digits and back: nobody's word */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_space(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

/* What a word is made of: also bytes beyond ASCII. */
static bool
is_word(char c)
{
	return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("._/@:%+-~\\", c) != NULL);
}

/* What may stand between the digits of one number, time, address or version. */
static bool
is_joint(char c)
{
	return c != '\0' && strchr(".,:-/TZ+", c) != NULL;
}

/* --- words ---------------------------------------------------------------------------------------------------------------- */

struct shape {
	int digits, letters, hex, turns;
	int joints; /* of numbers */
	int colons;
	int others;
};

static struct shape
shape_of(struct span w)
{
	struct shape s = { 0 };

	for (size_t i = 0; i < w.len; i++) {
		char c = w.ptr[i];

		s.digits += is_digit(c);
		s.letters += is_letter(c);
		s.hex += base_hex(c) >= 0;
		s.joints += is_joint(c);
		s.colons += c == ':';
		s.others += !is_digit(c) && !is_letter(c);
		s.turns +=
		    i > 0 && ((is_digit(c) && is_letter(w.ptr[i - 1])) || (is_letter(c) && is_digit(w.ptr[i - 1])));
	}
	return s;
}

static bool
is_email(struct span w)
{
	const char *at = memchr(w.ptr, '@', w.len);

	return at != NULL && at > w.ptr && memchr(at, '.', w.len - (size_t)(at - w.ptr)) != NULL;
}

/* Nobody's word and no plain number: a uuid, a digest, an address, a token. */
static bool
is_id(struct span w)
{
	struct shape s = shape_of(w);
	int len = (int)w.len, dashes = 0;

	for (size_t i = 0; i < w.len; i++)
		dashes += w.ptr[i] == '-';
	if (s.digits == 0)
		return false;
	if (w.len > 2 && w.ptr[0] == '0' && (w.ptr[1] == 'x' || w.ptr[1] == 'X') && s.hex == len - 1)
		return true;
	if (s.hex + dashes == len && s.hex >= HEX_MIN)
		return true;
	if (s.hex + s.colons == len && s.colons >= 2)
		return true;
	return s.turns >= TURNS_MIN || (len >= BASE64_MIN && s.others == 0);
}

/* Each number in it becomes one mark. */
static void
put_numbers(struct buf *b, struct span w)
{
	size_t i = 0;

	while (i < w.len) {
		if (!is_digit(w.ptr[i])) {
			buf_putc(b, w.ptr[i++]);
			continue;
		}
		if (b->len > 0 && i > 0 && w.ptr[i - 1] == '-' && (i == 1 || !is_letter(w.ptr[i - 2])))
			b->len--; /* its sign */
		buf_putc(b, '#');
		while (i < w.len &&
		       (is_digit(w.ptr[i]) || (is_joint(w.ptr[i]) && i + 1 < w.len && is_digit(w.ptr[i + 1]))))
			i++;
	}
}

static void
put_plain(struct buf *b, struct span w)
{
	struct shape s = shape_of(w);

	if (s.digits > 0 && s.digits + s.joints == (int)w.len)
		buf_putc(b, '#'); /* also a time */
	else if (is_id(w))
		buf_putc(b, '*');
	else
		put_numbers(b, w);
}

/* A part that has a digit is of this run; the others say what it is about.  What is behind a question mark is no word any more. */
static void
put_path(struct buf *b, struct span w)
{
	size_t from = 0, i;

	for (i = 0; i <= w.len; i++) {
		if (i < w.len && w.ptr[i] != '/')
			continue;
		struct span part = { w.ptr + from, i - from };

		if (shape_of(part).digits > 0)
			buf_putc(b, '*');
		else
			buf_putspan(b, part);
		if (i < w.len)
			buf_putc(b, '/');
		from = i + 1;
	}
}

static bool
is_base64(struct span w)
{
	struct shape s = shape_of(w);

	return w.len >= BASE64_MIN && w.ptr[0] != '/' && w.ptr[0] != '.' && s.digits > 0 && s.letters > 0 &&
	       memchr(w.ptr, '.', w.len) == NULL && memchr(w.ptr, ':', w.len) == NULL && s.turns >= TURNS_MIN;
}

static void
put_word(struct buf *b, struct span w)
{
	struct span end = { w.ptr + w.len, 0 };
	struct shape s;

	while (w.len > 1 && memchr(".:-", w.ptr[w.len - 1], 3) != NULL) { /* of the sentence */
		w.len--;
		end.ptr--;
		end.len++;
	}
	s = shape_of(w);
	if (is_email(w) || is_base64(w))
		buf_putc(b, '*');
	else if (memchr(w.ptr, '/', w.len) != NULL && s.digits + s.joints < (int)w.len)
		put_path(b, w);
	else
		put_plain(b, w);
	buf_putspan(b, end);
}

/* --- the text -------------------------------------------------------------------------------------------------------------- */

/* Length of what is quoted at the beginning of `text`, quotes included; 0: nothing is.  An apostrophe inside a word is none. */
static size_t
quoted(struct span text, char before)
{
	char q = text.ptr[0];
	size_t i;

	if ((q != '"' && q != '\'' && q != '`') || (q == '\'' && (is_letter(before) || is_digit(before))))
		return 0;
	for (i = 1; i < text.len; i++) {
		if (text.ptr[i] == '\\' && i + 1 < text.len)
			i++;
		else if (text.ptr[i] == q || (q == '`' && text.ptr[i] == '\''))
			if (q != '\'' || i + 1 == text.len ||
			    (!is_letter(text.ptr[i + 1]) && !is_digit(text.ptr[i + 1])))
				return i + 1;
	}
	return 0;
}

static size_t
word_length(struct span text)
{
	size_t n = 0;

	while (n < text.len && is_word(text.ptr[n]))
		n++;
	if (n < text.len && text.ptr[n] == '=' && n >= BASE64_MIN)
		while (n < text.len && text.ptr[n] == '=')
			n++; /* padding */
	return n;
}

void
task_message_normalise(struct buf *b, struct span message)
{
	size_t i = 0, n, begin = b->len;

	while (i < message.len && b->len - begin < KEPT_MAX) {
		struct span rest = { message.ptr + i, message.len - i };

		if (is_space(rest.ptr[0])) {
			if (b->len > begin && b->data[b->len - 1] != ' ')
				buf_putc(b, ' ');
			i++;
		} else if ((n = quoted(rest, i > 0 ? rest.ptr[-1] : ' ')) > 0) {
			buf_puts(b, "\"*\"");
			i += n;
		} else if ((n = word_length(rest)) > 0) {
			put_word(b, (struct span){ rest.ptr, n });
			i += n;
		} else {
			buf_putc(b, rest.ptr[0]);
			i++;
		}
	}
	if (b->len - begin > KEPT_MAX)
		b->len = begin + KEPT_MAX;
	while (b->len > begin && b->data[b->len - 1] == ' ')
		b->len--;
}

struct id
task_fingerprint(enum task_class class, struct span code, struct span message)
{
	const char *name = task_class_name(class);
	uint8_t digest[DIGEST_LEN];
	struct buf b = { 0 };
	struct id id;

	buf_printf(&b, VERSION " %s ", name != NULL ? name : "-");
	buf_putspan(&b, code);
	buf_putc(&b, '\n');
	task_message_normalise(&b, message);
	digest_sha256(b.data, b.len, digest);
	memcpy(id.b, digest, sizeof(id.b));
	buf_free(&b);
	return id;
}
