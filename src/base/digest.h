/* digest.h - fingerprints.  The one file of this room that needs a library (OpenSSL's one-shot functions). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/base.h"

#define DIGEST_LEN 32 /* SHA-256 */

void digest_sha256(const void *bytes, size_t len, uint8_t out[DIGEST_LEN]);
void digest_hmac(struct span key, const void *bytes, size_t len, uint8_t out[DIGEST_LEN]); /* HMAC-SHA-256 */
bool digest_eq(const uint8_t *a, const uint8_t *b, size_t len); /* constant time */

/* 64-bit FNV-1a finished with murmur3's fmix64; frozen, ids and buckets depend on it. */
uint64_t digest_fnv64(const void *bytes, size_t len);
/* 64 bits for what lives in memory only: eight bytes at a time, and free to be another one in the next release. */
uint64_t digest_quick64(const void *bytes, size_t len);

#endif
