/* base.c - panic, and spans of borrowed bytes.
 *
 * base_panic() writes one line to stderr with write(2), tells the hook once, and aborts.  It allocates nothing, so it also
 * works when memory is what failed.  A panic inside the hook aborts at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/base.h"

static void (*panic_hook)(const char *text);

void
base_on_panic(void (*hook)(const char *text))
{
	panic_hook = hook;
}

void
base_panic(const char *file, int line, const char *what)
{
	void (*hook)(const char *) = panic_hook;
	char text[512];
	int n = snprintf(text, sizeof(text) - 1, "panic at %s:%d: %s", file, line, what);

	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	panic_hook = NULL;
	if (hook != NULL)
		hook(text);
	text[n] = '\n';
	if (write(STDERR_FILENO, text, (size_t)n + 1) < 0)
		abort();
	abort();
}

struct span
span_of(const char *text)
{
	return (struct span){ text, text != NULL ? strlen(text) : 0 };
}

bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
span_is(struct span a, const char *text)
{
	return span_eq(a, span_of(text));
}

bool
span_ieq(struct span a, const char *text)
{
	struct span b = span_of(text);

	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

int
base_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
