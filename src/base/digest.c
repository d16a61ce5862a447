/* digest.c - fingerprints. */
#include <string.h>

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

/* Looked up once: the library searches its providers, under a lock, at every call that does not bring the algorithm. */
static EVP_MD *sha256;
static EVP_MD_CTX *context;

static void
look_up(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	context = EVP_MD_CTX_new();
	ASSERT(sha256 != NULL && context != NULL);
}

void
digest_sha256(const void *bytes, size_t len, uint8_t out[DIGEST_LEN])
{
	if (sha256 == NULL)
		look_up();
	MUST(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
	MUST(EVP_DigestUpdate(context, or_empty(bytes), len) == 1);
	MUST(EVP_DigestFinal_ex(context, out, NULL) == 1);
}

void
digest_hmac(struct span key, const void *bytes, size_t len, uint8_t out[DIGEST_LEN])
{
	ASSERT(key.len <= INT32_MAX);
	if (sha256 == NULL)
		look_up();
	MUST(HMAC(sha256, or_empty(key.ptr), (int)key.len, or_empty(bytes), len, out, NULL) != NULL);
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

/* Multiplying spreads a bit upwards only, so the high half is folded down before the next word comes. */
static uint64_t
stir(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 32);
}

uint64_t
digest_quick64(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t h = stir(UINT64_C(0x243f6a8885a308d3), len), word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = stir(h, word);
	}
	word = 0;
	if (len != 0)
		memcpy(&word, p, len);
	return stir(stir(h, word), len);
}
