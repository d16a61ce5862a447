/* task_json_value.c - values of checked JSON texts as what they mean: exact numbers, one order of all values.
 *
 * A number is read as its digits and the place of the first and the last that is not 0, never as a double, so
 * 9007199254740993 is greater than 9007199254740992, and 1, 1.0 and 10e-1 are the same.  Exponents are cut at
 * EXPONENT_END: whoever compares keeps one side far below it, then the answer is exact all the same.
 */
#include <string.h>

#include "task/task_int.h"

#define EXPONENT_END INT64_C(1000000000000000)

/* --- numbers ------------------------------------------------------------------------------------------------------- */

static int64_t
exponent_of(const char *p, const char *end)
{
	bool negative;
	int64_t n = 0;

	if (p == end)
		return 0;
	p++; /* the e */
	negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	for (; p < end; p++)
		if (n < EXPONENT_END)
			n = 10 * n + (*p - '0');
	return negative ? -n : n;
}

struct json_decimal
json_decimal(struct span number)
{
	struct json_decimal d = { 0 };
	const char *p = number.ptr, *end = p + number.len, *point = NULL, *e;
	int64_t exponent;

	d.negative = *p == '-';
	for (e = p; e < end && *e != 'e' && *e != 'E'; e++) {
		if (*e == '.')
			point = e;
		if (*e < '1' || *e > '9')
			continue;
		if (d.first == NULL)
			d.first = e;
		d.last = e;
	}
	if (d.first == NULL) {
		d.negative = false; /* -0 is 0 */
		return d;
	}
	exponent = exponent_of(e, end);
	if (point == NULL)
		point = e;
	d.high = exponent + (point - d.first) - (d.first < point);
	d.low = exponent + (point - d.last) - (d.last < point);
	return d;
}

/* The next digit, 0 behind the last. */
static int
take_digit(const char **at, const char *last)
{
	if (*at <= last && **at == '.')
		(*at)++;
	return *at <= last ? *(*at)++ - '0' : 0;
}

static int
cmp_magnitude(const struct json_decimal *a, const struct json_decimal *b)
{
	const char *pa = a->first, *pb = b->first;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	while (pa <= a->last || pb <= b->last) {
		int da = take_digit(&pa, a->last), db = take_digit(&pb, b->last);

		if (da != db)
			return da < db ? -1 : 1;
	}
	return 0;
}

int
json_decimal_cmp(const struct json_decimal *a, const struct json_decimal *b)
{
	int sa = a->first == NULL ? 0 : a->negative ? -1 : 1;
	int sb = b->first == NULL ? 0 : b->negative ? -1 : 1;

	if (sa != sb || sa == 0)
		return (sa > sb) - (sa < sb);
	return sa * cmp_magnitude(a, b);
}

bool
json_decimal_is_integer(const struct json_decimal *d)
{
	return d->first == NULL || d->low >= 0;
}

/* Digits modulo the divisor's; what is left of the powers of ten divides it after 64 of them or never. */
bool
json_decimal_is_multiple(const struct json_decimal *d, const struct json_decimal *of)
{
	uint64_t divisor = 0, rest = 0;
	const char *p;
	int64_t tens = d->low - of->low;

	if (d->first == NULL)
		return true;
	if (tens < 0)
		return false; /* neither ends with a 0 */
	for (p = of->first; p <= of->last;)
		divisor = 10 * divisor + (uint64_t)take_digit(&p, of->last);
	for (p = d->first; p <= d->last;)
		rest = (10 * rest + (uint64_t)take_digit(&p, d->last)) % divisor;
	for (int i = 0; i < 64 && i < tens; i++)
		rest = 10 * rest % divisor;
	return rest == 0;
}

int
json_decimal_digits(const struct json_decimal *d)
{
	return d->first == NULL ? 0 : (int)(d->high - d->low + 1);
}

/* --- the order of all values --------------------------------------------------------------------------------------- */

static int
cmp_number(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b)
{
	struct json_decimal da = json_decimal(json_raw(sa, a)), db = json_decimal(json_raw(sb, b));

	return json_decimal_cmp(&da, &db);
}

static int
cmp_array(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b)
{
	uint32_t ea = sa->tokens[a].next, eb = sb->tokens[b].next, ia = a + 1, ib = b + 1;

	for (; ia < ea && ib < eb; ia = sa->tokens[ia].next, ib = sb->tokens[ib].next) {
		int order = json_value_cmp(sa, ia, sb, ib);

		if (order != 0)
			return order;
	}
	return (ia < ea) - (ib < eb);
}

/* By their sorted names, each with its value. */
static int
cmp_object(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b)
{
	uint32_t ia = sa->tokens[a].link, ib = sb->tokens[b].link;

	for (; ia != 0 && ib != 0; ia = sa->tokens[ia].link, ib = sb->tokens[ib].link) {
		int order = json_texts_cmp(sa, ia, sb, ib);

		if (order == 0)
			order = json_value_cmp(sa, ia + 1, sb, ib + 1);
		if (order != 0)
			return order;
	}
	return (ia != 0) - (ib != 0);
}

/* Calls itself at most TASK_DEPTH_MAX deep. */
int
json_value_cmp(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b)
{
	int ta = sa->tokens[a].type, tb = sb->tokens[b].type;

	if (ta != tb)
		return ta < tb ? -1 : 1;
	switch ((enum json_type)ta) {
	case JSON_NUMBER:
		return cmp_number(sa, a, sb, b);
	case JSON_STRING:
		return json_texts_cmp(sa, a, sb, b);
	case JSON_ARRAY:
		return cmp_array(sa, a, sb, b);
	case JSON_OBJECT:
		return cmp_object(sa, a, sb, b);
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		break;
	}
	return 0;
}
