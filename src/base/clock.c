/* clock.c - time, settable in tests, and its text (RFC 3339).
 *
 * Dates are computed, not asked of libc: timegm and gmtime read the environment's time zone tables under a lock.
 */
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define DAY_SECONDS 86400

static struct {
	bool frozen;
	int64_t mono;
	int64_t wall;
} test_time;

static int64_t
read_clock(clockid_t which)
{
	struct timespec ts;

	MUST(clock_gettime(which, &ts) == 0);
	return (int64_t)ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return test_time.frozen ? test_time.mono : read_clock(CLOCK_MONOTONIC);
}

int64_t
clock_wall(void)
{
	return test_time.frozen ? test_time.wall : read_clock(CLOCK_REALTIME);
}

void
clock_set(int64_t mono, int64_t wall)
{
	test_time.frozen = true;
	test_time.mono = mono;
	test_time.wall = wall;
}

void
clock_unset(void)
{
	test_time.frozen = false;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar.  Years are counted from March, so that the leap day is last. */
static int64_t
days_of_date(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t month_from_march = (month + 9) % 12;

	return y * 365 + y / 4 - y / 100 + y / 400 + (month_from_march * 306 + 5) / 10 + day - 1 - 719468;
}

static void
date_of_days(int64_t days, int *year_r, int *month_r, int *day_r)
{
	int year = (int)(1970 + days * 400 / 146097) - 1; /* at most two too early, never too late */
	int month = 12;

	while (days_of_date(year + 1, 1, 1) <= days)
		year++;
	while (days_of_date(year, month, 1) > days)
		month--;
	*year_r = year;
	*month_r = month;
	*day_r = (int)(days - days_of_date(year, month, 1)) + 1;
}

/* `n` in so many digits, and the character that follows; where to go on. */
static char *
digits(char *to, int width, unsigned n, char after)
{
	for (int i = width - 1; i >= 0; i--, n /= 10)
		to[i] = (char)('0' + n % 10);
	to[width] = after;
	return to + width + 1;
}

/* "2026-11-22T" in front of the time of day.  Answers tell of few days again and again: these are kept. */
static char *
date_text(char *to, int64_t days)
{
	static struct {
		int64_t days; /* and one: 0 is none */
		char text[11];
	} kept[8];
	int year, month, day;
	size_t i = (size_t)days % ARRAY_LEN(kept);
	char text[12], *end = text;

	if (kept[i].days != days + 1) {
		date_of_days(days, &year, &month, &day);
		end = digits(end, 4, (unsigned)year, '-');
		end = digits(end, 2, (unsigned)month, '-');
		(void)digits(end, 2, (unsigned)day, 'T');
		memcpy(kept[i].text, text, sizeof(kept[i].text));
		kept[i].days = days + 1;
	}
	memcpy(to, kept[i].text, sizeof(kept[i].text));
	return to + sizeof(kept[i].text);
}

/* By hand, for each answer to a submission has three or four of them. */
void
clock_format(int64_t wall, char text[CLOCK_TEXT])
{
	int64_t seconds;
	unsigned of_day;

	/* What cannot be written in the form is written as its nearest neighbour: 1970 or the end of 9999. */
	if (wall < 0)
		wall = 0;
	if (wall >= INT64_C(253402300800) * CLOCK_SECOND)
		wall = INT64_C(253402300800) * CLOCK_SECOND - 1;
	seconds = wall / CLOCK_SECOND;
	of_day = (unsigned)(seconds % DAY_SECONDS);
	text = date_text(text, seconds / DAY_SECONDS);
	text = digits(text, 2, of_day / 3600, ':');
	text = digits(text, 2, of_day / 60 % 60, ':');
	text = digits(text, 2, of_day % 60, '.');
	*digits(text, 6, (unsigned)(wall % CLOCK_SECOND), 'Z') = '\0';
}

/* A reader over the text; `ok` turns false at the first surprise and everything after it is zero. */
struct reader {
	struct span s;
	size_t at;
	bool ok;
};

static char
peek(const struct reader *r)
{
	return r->at < r->s.len ? r->s.ptr[r->at] : '\0';
}

static int
take_digits(struct reader *r, int n, int low, int high)
{
	int value = 0;

	while (n-- > 0) {
		char c = peek(r);

		if (c < '0' || c > '9')
			r->ok = false;
		value = r->ok ? value * 10 + (c - '0') : 0;
		r->at++;
	}
	if (value < low || value > high)
		r->ok = false;
	return value;
}

static void
take_char(struct reader *r, char upper, char other)
{
	char c = peek(r);

	if (c == '\0' || (c != upper && c != other))
		r->ok = false;
	r->at++;
}

/* Zero to nine decimals after a point; what is finer than a microsecond is cut off. */
static int64_t
take_fraction(struct reader *r)
{
	int64_t value = 0;
	int n = 0;

	if (peek(r) != '.')
		return 0;
	for (r->at++; peek(r) >= '0' && peek(r) <= '9'; r->at++, n++)
		if (n < 6)
			value = value * 10 + (peek(r) - '0');
	if (n < 1 || n > 9)
		r->ok = false;
	for (; n < 6; n++)
		value *= 10;
	return value;
}

static int64_t
take_offset_seconds(struct reader *r)
{
	char sign = peek(r);
	int hours, minutes;

	if (sign != '+' && sign != '-') {
		take_char(r, 'Z', 'z');
		return 0;
	}
	r->at++;
	hours = take_digits(r, 2, 0, 23);
	take_char(r, ':', ':');
	minutes = take_digits(r, 2, 0, 59);
	return (sign == '-' ? -1 : 1) * (int64_t)(hours * 3600 + minutes * 60);
}

static int
month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

bool
clock_parse(struct span text, int64_t *wall_r)
{
	struct reader r = { text, 0, true };
	int year, month, day, hour, minute, second;
	int64_t fraction, offset, seconds;

	year = take_digits(&r, 4, 1970, 9999);
	take_char(&r, '-', '-');
	month = take_digits(&r, 2, 1, 12);
	take_char(&r, '-', '-');
	day = take_digits(&r, 2, 1, r.ok ? month_days(year, month) : 31);
	take_char(&r, 'T', 't');
	hour = take_digits(&r, 2, 0, 23);
	take_char(&r, ':', ':');
	minute = take_digits(&r, 2, 0, 59);
	take_char(&r, ':', ':');
	second = take_digits(&r, 2, 0, 60); /* a leap second counts as the first of the next minute */
	fraction = take_fraction(&r);
	offset = take_offset_seconds(&r);
	if (!r.ok || r.at != text.len)
		return false;
	seconds = days_of_date(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
	if (seconds < 0 || seconds >= INT64_C(253402300800))
		return false;
	*wall_r = seconds * CLOCK_SECOND + fraction;
	return true;
}
