/* cache_value.c - the form of a cached answer: msgpack, then a signature.
 *
 * A msgpack array: version 1, fingerprint, id, created_at, expires_at, surface, version of the renderer, body; then 32 bytes of
 * HMAC-SHA-256 over the epoch (system and timeline, 8 bytes each, big-endian), the digest of tenant and key, and the msgpack.  So a
 * value is good for one key in one life of one cluster: what was moved to another key, kept from before a promotion, cut, or made
 * by anybody without taskq.meta's cache_key is not unpacked at all.  A new field is a new version; who does not know it has a miss.
 */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "task/task.h"

#include "cache/cache_int.h"

#define VALUE_VERSION 1
#define VALUE_FIELDS 8
#define PREFIX_LEN (8 + 8 + sizeof(struct id)) /* what is signed but not sent */

static void
put_be64(struct buf *b, uint64_t n)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_putc(b, (char)(n >> shift));
}

static void
put_prefix(struct buf *b, const struct cache_epoch *e, const struct id *digest)
{
	put_be64(b, (uint64_t)e->system);
	put_be64(b, (uint64_t)e->timeline);
	buf_put(b, digest->b, sizeof(digest->b));
}

static int
write_buf(void *arg, const char *bytes, size_t len)
{
	buf_put(arg, bytes, len);
	return 0;
}

static void
pack_bin(msgpack_packer *pk, const void *bytes, size_t len)
{
	msgpack_pack_bin(pk, len);
	msgpack_pack_bin_body(pk, bytes, len);
}

void
cache_value_pack(struct buf *b, const struct cache_epoch *e, const struct id *digest, const struct cache_answer *a)
{
	struct span key = { (const char *)e->key, sizeof(e->key) };
	struct buf signed_bytes = { 0 };
	uint8_t mac[DIGEST_LEN];
	msgpack_packer pk;

	put_prefix(&signed_bytes, e, digest);
	msgpack_packer_init(&pk, &signed_bytes, write_buf);
	msgpack_pack_array(&pk, VALUE_FIELDS);
	msgpack_pack_int(&pk, VALUE_VERSION);
	pack_bin(&pk, a->fingerprint, sizeof(a->fingerprint));
	pack_bin(&pk, a->id.b, sizeof(a->id.b));
	msgpack_pack_int64(&pk, a->created_at);
	msgpack_pack_int64(&pk, a->expires_at);
	msgpack_pack_int(&pk, a->surface);
	msgpack_pack_int(&pk, a->version);
	pack_bin(&pk, a->body.ptr, a->body.len);
	digest_hmac(key, signed_bytes.data, signed_bytes.len, mac);
	buf_put(b, signed_bytes.data + PREFIX_LEN, signed_bytes.len - PREFIX_LEN);
	buf_put(b, mac, sizeof(mac));
	buf_free(&signed_bytes);
}

static bool
is_signed(struct span packed, const uint8_t *mac, const struct cache_epoch *e, const struct id *digest)
{
	struct span key = { (const char *)e->key, sizeof(e->key) };
	struct buf signed_bytes = { 0 };
	uint8_t expected[DIGEST_LEN];

	put_prefix(&signed_bytes, e, digest);
	buf_putspan(&signed_bytes, packed);
	digest_hmac(key, signed_bytes.data, signed_bytes.len, expected);
	buf_free(&signed_bytes);
	return digest_eq(mac, expected, sizeof(expected));
}

static bool
take_bin(const msgpack_object *o, void *bytes_r, size_t len)
{
	if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != len)
		return false;
	memcpy(bytes_r, o->via.bin.ptr, len);
	return true;
}

static bool
take_number(const msgpack_object *o, int64_t max, int64_t *n_r)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > (uint64_t)max)
		return false;
	*n_r = (int64_t)o->via.u64;
	return true;
}

static bool
take_answer(const msgpack_object *o, struct cache_answer *a_r)
{
	const msgpack_object *field = o->via.array.ptr;
	int64_t form, surface, version;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != VALUE_FIELDS)
		return false;
	if (!take_number(&field[0], INT32_MAX, &form) || form != VALUE_VERSION)
		return false;
	if (!take_bin(&field[1], a_r->fingerprint, sizeof(a_r->fingerprint)) ||
	    !take_bin(&field[2], a_r->id.b, sizeof(a_r->id.b)) ||
	    !take_number(&field[3], INT64_MAX, &a_r->created_at) ||
	    !take_number(&field[4], INT64_MAX, &a_r->expires_at) || !take_number(&field[5], INT32_MAX, &surface) ||
	    !take_number(&field[6], INT32_MAX, &version) || field[7].type != MSGPACK_OBJECT_BIN)
		return false;
	a_r->surface = (int)surface;
	a_r->version = (int)version;
	a_r->body = (struct span){ field[7].via.bin.ptr, field[7].via.bin.size };
	return surface == TASK_SURFACE_V1 || surface == TASK_SURFACE_COMPAT;
}

bool
cache_value_unpack(struct span value, const struct cache_epoch *e, const struct id *digest, struct cache_answer *a_r)
{
	struct span packed = { value.ptr, value.len - DIGEST_LEN };
	msgpack_unpacked u;
	size_t used = 0;
	bool good;

	if (value.len <= DIGEST_LEN || !is_signed(packed, (const uint8_t *)value.ptr + packed.len, e, digest))
		return false;
	msgpack_unpacked_init(&u);
	good = msgpack_unpack_next(&u, packed.ptr, packed.len, &used) == MSGPACK_UNPACK_SUCCESS && used == packed.len &&
	       take_answer(&u.data, a_r);
	msgpack_unpacked_destroy(&u);
	return good;
}

void
cache_value_prefix(char prefix[CACHE_PREFIX_MAX], const struct cache_epoch *e)
{
	uint8_t tag[DIGEST_LEN];

	digest_sha256(e->key, sizeof(e->key), tag);
	snprintf(prefix, CACHE_PREFIX_MAX, "taskq:%llu-%lld-%02x%02x%02x%02x:", (unsigned long long)e->system,
	    (long long)e->timeline, tag[0], tag[1], tag[2], tag[3]);
}

struct span
cache_value_name(char name[CACHE_NAME_MAX], const char *prefix, const struct id *digest)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strlen(prefix);

	memcpy(name, prefix, n);
	for (size_t i = 0; i < sizeof(digest->b); i++) {
		name[n++] = hex[digest->b[i] >> 4];
		name[n++] = hex[digest->b[i] & 15];
	}
	return (struct span){ name, n };
}
