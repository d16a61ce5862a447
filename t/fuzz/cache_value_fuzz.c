/* cache_value_fuzz.c - any bytes as an answer that is cached; then as a change of the cached value, and as a value of their own.
 *
 * Beyond "does not crash": what was packed comes back as it was, its body inside of the value; a value with another byte, or a
 * shorter or longer one, or bytes that were never signed, are nothing.  scripts/fuzz cache_value 60 runs it for a minute.
 */
#include <string.h>

#include "cache/cache_int.h"
#include "task/task.h"

#include "t/fuzz/fuzz.h"

static const struct cache_epoch epoch = { 7012345678901234567, 3, "0123456789abcdef0123456789abcde" };
static const struct id digest = { "fedcba987654321" };

static void
take(const uint8_t **data, size_t *size, void *to, size_t len)
{
	size_t n = *size < len ? *size : len;

	memset(to, 0, len);
	memcpy(to, *data, n);
	*data += n;
	*size -= n;
}

static void
take_answer(const uint8_t *data, size_t size, struct cache_answer *a)
{
	uint32_t version;

	take(&data, &size, a->fingerprint, sizeof(a->fingerprint));
	take(&data, &size, a->id.b, sizeof(a->id.b));
	take(&data, &size, &a->created_at, sizeof(a->created_at));
	take(&data, &size, &a->expires_at, sizeof(a->expires_at));
	take(&data, &size, &version, sizeof(version));
	a->created_at &= INT64_MAX;
	a->expires_at &= INT64_MAX;
	a->version = (int)(version & INT32_MAX);
	a->surface = version >> 31 ? TASK_SURFACE_COMPAT : TASK_SURFACE_V1;
	a->body = (struct span){ (const char *)data, size };
}

static void
check_same(struct span value, const struct cache_answer *in)
{
	struct cache_answer out;

	ASSERT(cache_value_unpack(value, &epoch, &digest, &out));
	ASSERT(memcmp(out.fingerprint, in->fingerprint, sizeof(in->fingerprint)) == 0 && id_eq(&out.id, &in->id));
	ASSERT(out.created_at == in->created_at && out.expires_at == in->expires_at);
	ASSERT(out.surface == in->surface && out.version == in->version && span_eq(out.body, in->body));
	ASSERT(out.body.len == 0 || (out.body.ptr > value.ptr && out.body.ptr + out.body.len < value.ptr + value.len));
}

static void
check_nothing(struct span value)
{
	struct cache_answer out;

	ASSERT(!cache_value_unpack(value, &epoch, &digest, &out));
}

/* The last bytes say where and how the value changes. */
static void
check_changed(struct buf *value, const uint8_t *data, size_t size)
{
	uint32_t at = 0;

	memcpy(&at, data, size < sizeof(at) ? size : sizeof(at));
	check_nothing((struct span){ value->data, at % value->len });
	value->data[at % value->len] ^= (char)(size > 4 && data[4] != 0 ? data[4] : 1);
	check_nothing(buf_span(value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf value = { 0 };
	struct cache_answer a;

	take_answer(data, size, &a);
	cache_value_pack(&value, &epoch, &digest, &a);
	check_same(buf_span(&value), &a);
	check_changed(&value, data, size);
	check_nothing((struct span){ (const char *)data, size });
	buf_free(&value);
	return 0;
}
