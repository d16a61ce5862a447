/* api_prefer.c - the header Prefer (RFC 7240), of which we know one word: wait=N, seconds.
 *
 * Pure.  What is not understood is passed over, as the standard wants it; of a preference given twice the first counts, even when it is
 * wrong.  Next: api_wait.c.
 */
#include "http/api_int.h"

#define DIGITS_MAX 9 /* more are as good as for ever */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct span
trim(struct span s)
{
	while (s.len > 0 && is_space(s.ptr[0]))
		s = (struct span){ s.ptr + 1, s.len - 1 };
	while (s.len > 0 && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* Takes off what stands before the next `stop` that is not in a quoted string. */
static struct span
take_piece(struct span *rest, char stop)
{
	struct span piece = *rest;
	bool quoted = false;
	size_t i;

	for (i = 0; i < rest->len; i++) {
		if (quoted && rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
		else if (rest->ptr[i] == '"')
			quoted = !quoted;
		else if (rest->ptr[i] == stop && !quoted)
			break;
	}
	piece.len = i;
	if (i < rest->len)
		i++;
	*rest = (struct span){ rest->ptr + i, rest->len - i };
	return trim(piece);
}

/* 5 and "5" are the same. */
static bool
read_seconds(struct span value, int *seconds_r)
{
	size_t i;

	if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
		value = (struct span){ value.ptr + 1, value.len - 2 };
	if (api_number(value, 0, INT32_MAX, seconds_r))
		return true;
	if (value.len <= DIGITS_MAX)
		return false;
	for (i = 0; i < value.len; i++)
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
	*seconds_r = INT32_MAX;
	return true;
}

bool
api_prefer_wait(struct span line, bool *seen, int *seconds_r)
{
	while (line.len > 0 && !*seen) {
		struct span item = take_piece(&line, ',');
		struct span value = take_piece(&item, ';'); /* parameters say nothing to us */
		struct span name = take_piece(&value, '=');

		if (!span_ieq(name, "wait"))
			continue;
		*seen = true;
		return read_seconds(trim(value), seconds_r);
	}
	return false;
}
