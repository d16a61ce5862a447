/* cache_value_test.c - what was packed comes back; every other byte, key, epoch and signer is nothing. */
#include "cache/cache_int.h"
#include "task/task.h"

#include "tap.h"

static const struct cache_epoch epoch = { 7012345678901234567, 3, "0123456789abcdef0123456789abcde" };
static const struct id digest = { "fedcba987654321" };
static const char body[] = "{\"id\":\"x\",\"payload\":{\"a\":[1,2,3]}}";

static struct cache_answer
sample(void)
{
	struct cache_answer a = { .created_at = 1790000000000000,
		.expires_at = 1790086400000000,
		.surface = TASK_SURFACE_COMPAT,
		.version = 1,
		.body = SPAN(body) };

	memset(a.fingerprint, 0x5a, sizeof(a.fingerprint));
	memset(a.id.b, 0xc3, sizeof(a.id.b));
	return a;
}

static void
round_trip(const struct buf *value)
{
	struct cache_answer in = sample(), out = { 0 };

	ok(cache_value_unpack(buf_span(value), &epoch, &digest, &out), "what was packed is unpacked");
	ok(memcmp(out.fingerprint, in.fingerprint, sizeof(in.fingerprint)) == 0, "fingerprint");
	ok(id_eq(&out.id, &in.id), "id");
	is_int(out.created_at, in.created_at, "created_at");
	is_int(out.expires_at, in.expires_at, "expires_at");
	is_int(out.surface, in.surface, "surface");
	is_int(out.version, in.version, "version");
	ok(span_eq(out.body, in.body), "body");
}

static bool
is_believed(const char *bytes, size_t len)
{
	struct cache_answer a;
	char *own = mem_alloc(len + 1); /* so that a sanitizer sees a step too far */
	bool good;

	memcpy(own, bytes, len);
	good = cache_value_unpack((struct span){ own, len }, &epoch, &digest, &a);
	mem_free(&own);
	return good;
}

static void
no_other_bytes(const struct buf *value)
{
	struct buf b = { 0 };
	int believed = 0;

	for (size_t i = 0; i < value->len; i++) {
		for (int change = 1; change < 256; change++) {
			buf_reset(&b);
			buf_put(&b, value->data, value->len);
			b.data[i] ^= (char)change;
			believed += is_believed(b.data, b.len);
		}
	}
	is_int(believed, 0, "no change of any byte is believed (%zu bytes)", value->len);
	for (size_t len = 0; len < value->len; len++)
		believed += is_believed(value->data, len) + is_believed(value->data + value->len - len, len);
	is_int(believed, 0, "no piece is believed");
	buf_reset(&b);
	buf_put(&b, value->data, value->len);
	buf_putc(&b, '\0');
	ok(!is_believed(b.data, b.len), "nor is more");
	buf_free(&b);
}

static void
no_other_place(const struct buf *value)
{
	struct cache_answer a;
	struct cache_epoch e = epoch;
	struct id other = digest;

	other.b[15] ^= 1;
	ok(!cache_value_unpack(buf_span(value), &epoch, &other, &a), "not for another key");
	e.timeline++;
	ok(!cache_value_unpack(buf_span(value), &e, &digest, &a), "not on another timeline");
	e = epoch;
	e.system++;
	ok(!cache_value_unpack(buf_span(value), &e, &digest, &a), "not in another cluster");
	e = epoch;
	e.key[0] ^= 1;
	ok(!cache_value_unpack(buf_span(value), &e, &digest, &a), "not for another signer");
}

/* Signed by us, and yet not an answer: a form that is not known, a surface that is none. */
static void
no_other_form(void)
{
	struct cache_answer in = sample(), out;
	struct buf value = { 0 };

	in.surface = 3;
	cache_value_pack(&value, &epoch, &digest, &in);
	ok(!cache_value_unpack(buf_span(&value), &epoch, &digest, &out), "no such surface");
	buf_reset(&value);
	in = sample();
	in.expires_at = -1;
	cache_value_pack(&value, &epoch, &digest, &in);
	ok(!cache_value_unpack(buf_span(&value), &epoch, &digest, &out), "no time before 1970");
	buf_free(&value);
}

static void
names(void)
{
	char a[CACHE_PREFIX_MAX], b[CACHE_PREFIX_MAX], name[CACHE_NAME_MAX];
	struct cache_epoch e = epoch;
	struct span s;

	cache_value_prefix(a, &epoch);
	ok(strncmp(a, "taskq:7012345678901234567-3-", 28) == 0, "system and timeline are in the name");
	s = cache_value_name(name, a, &digest);
	is_int(s.len, strlen(a) + 32, "length");
	ok(memcmp(s.ptr + strlen(a), "66656463626139383736353433323100", 32) == 0, "the digest is in it");
	e.key[5] ^= 1;
	cache_value_prefix(b, &e);
	ok(strcmp(a, b) != 0, "installations in one cluster have names of their own");
	e = (struct cache_epoch){ -1, INT64_MAX, { 0 } };
	cache_value_prefix(b, &e);
	is_int(cache_value_name(name, b, &digest).len, strlen(b) + 32, "the longest fits");
}

int
main(void)
{
	struct cache_answer a = sample();
	struct buf value = { 0 };

	cache_value_pack(&value, &epoch, &digest, &a);
	round_trip(&value);
	no_other_bytes(&value);
	no_other_place(&value);
	no_other_form();
	names();
	buf_free(&value);
	return done();
}
