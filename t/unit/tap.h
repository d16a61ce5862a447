/* tap.h - the test protocol in four words: ok, is_int, is_str, done.
 *
 *	int main(void) { is_int(add(2, 2), 4, "adds"); return done(); }
 *
 * Each prints one TAP line; a failure says what came and what was expected.  done() prints the plan and gives the exit status.
 */
#ifndef T_UNIT_TAP_H
#define T_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tap_count, tap_failed;

#define TAP_FN static __attribute__((unused))

TAP_FN __attribute__((format(printf, 4, 0))) bool
tap_line(bool pass, const char *file, int line, const char *fmt, va_list ap)
{
	printf("%s %d - ", pass ? "ok" : "not ok", ++tap_count);
	vprintf(fmt, ap);
	putchar('\n');
	if (!pass) {
		tap_failed++;
		printf("#   at %s:%d\n", file, line);
	}
	fflush(stdout);
	return pass;
}

TAP_FN __attribute__((format(printf, 4, 5))) bool
tap_ok(bool cond, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	bool pass;

	va_start(ap, fmt);
	pass = tap_line(cond, file, line, fmt, ap);
	va_end(ap);
	return pass;
}

TAP_FN __attribute__((format(printf, 5, 6))) bool
tap_int(intmax_t got, intmax_t want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	bool pass;

	va_start(ap, fmt);
	pass = tap_line(got == want, file, line, fmt, ap);
	va_end(ap);
	if (!pass)
		printf("#   got %jd, expected %jd\n", got, want);
	return pass;
}

TAP_FN __attribute__((format(printf, 5, 6))) bool
tap_str(const char *got, const char *want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	bool pass = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);

	va_start(ap, fmt);
	pass = tap_line(pass, file, line, fmt, ap);
	va_end(ap);
	if (!pass)
		printf("#   got \"%s\"\n#   expected \"%s\"\n", got != NULL ? got : "(null)",
		    want != NULL ? want : "(null)");
	return pass;
}

#define ok(cond, ...) tap_ok((cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) tap_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) tap_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)

TAP_FN void
diag(const char *text)
{
	printf("# %s\n", text);
	fflush(stdout);
}

/* Everything is skipped, with the reason. */
TAP_FN __attribute__((noreturn)) void
skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

TAP_FN int
done(void)
{
	printf("1..%d\n", tap_count);
	fflush(stdout);
	return tap_failed != 0;
}

#endif
