/* call_sign.c - Standard Webhooks: what was sent, by whom and when, under a secret that both sides have.
 *
 * Signed are id, seconds since the epoch and body, with dots between; a signature is "v1," and the HMAC-SHA-256 in base64.
 */
#include <inttypes.h>
#include <string.h>

#include "base/digest.h"

#include "call/call_int.h"

#define PREFIX "whsec_"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
put_base64(struct buf *b, const uint8_t *p, size_t len)
{
	for (; len > 0; p += 3, len -= len < 3 ? len : 3) {
		uint32_t n = (uint32_t)p[0] << 16 | (uint32_t)(len > 1 ? p[1] : 0) << 8 | (len > 2 ? p[2] : 0);

		buf_putc(b, alphabet[n >> 18]);
		buf_putc(b, alphabet[n >> 12 & 63]);
		buf_putc(b, len > 1 ? alphabet[n >> 6 & 63] : '=');
		buf_putc(b, len > 2 ? alphabet[n & 63] : '=');
	}
}

/* Whole or without its padding, as it is often copied. */
size_t
call_secret_bytes(const char *secret, uint8_t bytes_r[CALL_SECRET_MAX])
{
	const char *p = secret + strlen(PREFIX), *digit;
	size_t len = 0;
	uint32_t bits = 0;
	int n = 0;

	if (strncmp(secret, PREFIX, strlen(PREFIX)) != 0)
		return 0;
	for (; *p != '\0' && *p != '='; p++) {
		digit = strchr(alphabet, *p);
		if (digit == NULL)
			return 0;
		bits = bits << 6 | (uint32_t)(digit - alphabet);
		n += 6;
		if (n < 8)
			continue;
		n -= 8;
		if (len == CALL_SECRET_MAX)
			return 0;
		bytes_r[len++] = (uint8_t)(bits >> n);
	}
	if (strspn(p, "=") != strlen(p) || strlen(p) > 2 || (bits & ((1u << n) - 1)) != 0)
		return 0;
	return len >= CALL_SECRET_MIN ? len : 0;
}

void
call_sign(struct buf *b, const struct conf_list *secrets, const char *id, int64_t seconds, struct span body)
{
	struct buf text = { 0 };
	uint8_t key[CALL_SECRET_MAX], mac[DIGEST_LEN];

	buf_printf(&text, "%s.%" PRId64 ".", id, seconds);
	buf_putspan(&text, body);
	for (int i = 0; i < secrets->n; i++) {
		size_t len = call_secret_bytes(secrets->items[i], key);

		ASSERT(len > 0);
		digest_hmac((struct span){ (const char *)key, len }, text.data, text.len, mac);
		buf_puts(b, i > 0 ? " v1," : "v1,");
		put_base64(b, mac, sizeof(mac));
	}
	buf_free(&text);
}
