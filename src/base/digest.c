/* digest.c - fingerprints. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/digest.h"

_Static_assert(DIGEST_LEN == SHA256_DIGEST_LENGTH, "a digest is a SHA-256");

/* OpenSSL wants a pointer even for nothing. */
static const void *
or_empty(const void *bytes)
{
	return bytes != NULL ? bytes : "";
}

void
digest_sha256(const void *bytes, size_t len, uint8_t out[DIGEST_LEN])
{
	MUST(SHA256(or_empty(bytes), len, out) != NULL);
}

void
digest_hmac(struct span key, const void *bytes, size_t len, uint8_t out[DIGEST_LEN])
{
	ASSERT(key.len <= INT32_MAX);
	MUST(HMAC(EVP_sha256(), or_empty(key.ptr), (int)key.len, or_empty(bytes), len, out, NULL) != NULL);
}

bool
digest_eq(const uint8_t *a, const uint8_t *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

uint64_t
digest_fnv64(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}
