/* task_idem.c - idempotency keys: their form on the wire, their digest, their bucket.
 *
 * The digest is the primary key of a stored row and the bucket is part of it: both are frozen.  A key belongs to its
 * tenant; NUL, which no tenant and no key contains, keeps ("ab", "c") and ("a", "bc") apart.
 */
#include <string.h>

#include "task/task.h"

static const char wrong_length[] = "expected 1 to 255 bytes";
static const char wrong_bytes[] = "expected printable ASCII without spaces at the ends";
static const char wrong_string[] = "expected a closing quote; inside quotes only \\\" and \\\\ are escapes";
static const char wrong_tail[] = "expected nothing but parameters (\";name=value\") after the closing quote";

static bool
printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static const char *
parse_bare(struct span h, char *key, size_t *len_r)
{
	if (h.len == 0 || h.len > TASK_KEY_MAX)
		return wrong_length;
	if (h.ptr[0] == ' ' || h.ptr[h.len - 1] == ' ')
		return wrong_bytes;
	for (size_t i = 0; i < h.len; i++) {
		if (!printable(h.ptr[i]))
			return wrong_bytes;
		key[i] = h.ptr[i];
	}
	*len_r = h.len;
	return NULL;
}

/* What may follow the closing quote: nothing, or parameters, which mean nothing to us. */
static const char *
check_tail(struct span h, size_t i)
{
	if (i < h.len && h.ptr[i] != ';')
		return wrong_tail;
	for (; i < h.len; i++)
		if (!printable(h.ptr[i]))
			return wrong_bytes;
	return NULL;
}

/* An RFC 8941 string; `h` begins with the opening quote. */
static const char *
parse_quoted(struct span h, char *key, size_t *len_r)
{
	size_t n = 0;
	size_t i = 1;

	for (; i < h.len && h.ptr[i] != '"'; i++) {
		if (h.ptr[i] == '\\') {
			i++;
			if (i == h.len || (h.ptr[i] != '"' && h.ptr[i] != '\\'))
				return wrong_string;
		}
		if (!printable(h.ptr[i]))
			return wrong_bytes;
		if (n == TASK_KEY_MAX)
			return wrong_length;
		key[n++] = h.ptr[i];
	}
	if (i >= h.len)
		return wrong_string;
	if (n == 0)
		return wrong_length;
	*len_r = n;
	return check_tail(h, i + 1);
}

const char *
task_key_parse(struct span header, char *key_r, size_t *len_r)
{
	const char *wrong;

	*len_r = 0;
	if (header.len > 0 && header.ptr[0] == '"')
		wrong = parse_quoted(header, key_r, len_r);
	else
		wrong = parse_bare(header, key_r, len_r);
	if (wrong != NULL)
		*len_r = 0;
	key_r[*len_r] = '\0';
	return wrong;
}

const char *
task_key_check(struct span key)
{
	if (key.len == 0 || key.len > TASK_KEY_MAX)
		return wrong_length;
	for (size_t i = 0; i < key.len; i++)
		if (!printable(key.ptr[i]))
			return "expected printable ASCII";
	return NULL;
}

/* Keys that were parsed fit into `fixed`; a longer one (a filter, say) takes memory of `heap`. */
static struct span
joined(struct span tenant, struct span key, char *fixed, size_t size, struct buf *heap)
{
	size_t len = tenant.len + 1 + key.len;

	if (len <= size) {
		if (tenant.len > 0)
			memcpy(fixed, tenant.ptr, tenant.len);
		fixed[tenant.len] = '\0';
		if (key.len > 0)
			memcpy(fixed + tenant.len + 1, key.ptr, key.len);
		return (struct span){ fixed, len };
	}
	buf_putspan(heap, tenant);
	buf_putc(heap, '\0');
	buf_putspan(heap, key);
	return buf_span(heap);
}

struct id
task_key_digest(struct span tenant, struct span key)
{
	char fixed[2 * TASK_KEY_MAX + 2];
	struct buf heap = { 0 };
	struct span text = joined(tenant, key, fixed, sizeof(fixed), &heap);
	uint8_t digest[DIGEST_LEN];
	struct id id;

	digest_sha256(text.ptr, text.len, digest);
	memcpy(id.b, digest, sizeof(id.b));
	buf_free(&heap);
	return id;
}

uint16_t
task_key_bucket(struct span tenant, struct span key)
{
	char fixed[2 * TASK_KEY_MAX + 2];
	struct buf heap = { 0 };
	struct span text = joined(tenant, key, fixed, sizeof(fixed), &heap);
	uint16_t bucket = digest_fnv64(text.ptr, text.len) & (TASK_BUCKETS - 1);

	buf_free(&heap);
	return bucket;
}
