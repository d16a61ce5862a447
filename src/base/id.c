/* id.c - 128-bit identifiers and their text. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/id.h"

/* True for the byte numbers that a hyphen precedes: 8-4-4-4-12 digits are 4-2-2-2-6 bytes. */
static bool
hyphen_before(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

/* Two digits of each of `n` bytes, and the character that follows; where to go on. */
static char *
hex_digits(char *to, const uint8_t *from, size_t n, char after)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++, to += 2) {
		to[0] = hex[from[i] >> 4];
		to[1] = hex[from[i] & 15];
	}
	*to = after;
	return to + 1;
}

void
id_format(const struct id *id, char text[ID_TEXT])
{
	text = hex_digits(text, id->b, 4, '-');
	text = hex_digits(text, id->b + 4, 2, '-');
	text = hex_digits(text, id->b + 6, 2, '-');
	text = hex_digits(text, id->b + 8, 2, '-');
	(void)hex_digits(text, id->b + 10, 6, '\0');
}

bool
id_parse(struct span text, struct id *id_r)
{
	const char *p = text.ptr;
	struct id id;
	size_t i;

	if (text.len != ID_TEXT - 1)
		return false;
	for (i = 0; i < sizeof(id.b); i++, p += 2) {
		if (hyphen_before(i) && *p++ != '-')
			return false;
		if (base_hex(p[0]) < 0 || base_hex(p[1]) < 0)
			return false;
		id.b[i] = (uint8_t)(base_hex(p[0]) << 4 | base_hex(p[1]));
	}
	*id_r = id;
	return true;
}

int
id_cmp(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool
id_eq(const struct id *a, const struct id *b)
{
	return id_cmp(a, b) == 0;
}

bool
id_is_zero(const struct id *id)
{
	static const struct id zero;

	return id_eq(id, &zero);
}

/* Random bytes come from the kernel sixteen ids at a time: a call for each id would be one more for every request.  A child begins with none,
 * so that it never makes an id that its parent makes too. */
static struct {
	uint8_t bytes[256];
	size_t left;
	bool guarded;
} pool;

static void
pool_forget(void)
{
	pool.left = 0;
}

static void
pool_fill(void)
{
	ssize_t n;

	if (!pool.guarded)
		MUST(pthread_atfork(NULL, NULL, pool_forget) == 0);
	pool.guarded = true;
	do
		n = getrandom(pool.bytes, sizeof(pool.bytes), 0);
	while (n < 0 && errno == EINTR);
	ASSERT(n == (ssize_t)sizeof(pool.bytes)); /* up to 256 bytes never fall short */
	pool.left = sizeof(pool.bytes);
}

struct id
id_random(void)
{
	struct id id;

	if (pool.left < sizeof(id.b))
		pool_fill();
	pool.left -= sizeof(id.b);
	memcpy(id.b, pool.bytes + pool.left, sizeof(id.b));
	id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
	id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
	return id;
}
