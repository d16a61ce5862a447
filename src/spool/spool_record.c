/* spool_record.c - outcomes as bytes, and back.
 *
 * Every record says twice what it is: its head has a check of its own, so that a length that cannot be believed is known, and the body has
 * another.  What cannot be read is passed over up to the next record that is whole, so one broken sector costs one record.  A record
 * that ends with the file, and the zeros that some file systems leave after a crash, are the torn end of the last write.
 *
 * Aborts on nothing that is read.  Next: spool_file.c.
 */
#include <string.h>

#include "base/digest.h"

#include "spool/spool.h"

#define FILE_MAGIC "taskqspl"
#define RECORD_MAGIC "TqO1"
#define RECORD_HEAD 24
#define FIXED 100 /* bytes of a body before its texts */
#define TEXTS 7
#define BODY_MAX (1u << 30)

enum { FLAG_CHARGE = 1, FLAG_CRASH = 2, FLAG_FAILED = 4 };

/* --- numbers ----------------------------------------------------------------------------------------------------------------- */

static void
put_number(struct buf *b, uint64_t n, int bytes)
{
	while (bytes-- > 0)
		buf_putc(b, (char)(n >> (8 * bytes)));
}

static uint64_t
number_at(const char *p, int bytes)
{
	uint64_t n = 0;

	for (int i = 0; i < bytes; i++)
		n = n << 8 | (uint8_t)p[i];
	return n;
}

static uint64_t
take_number(const char **p, int bytes)
{
	uint64_t n = number_at(*p, bytes);

	*p += bytes;
	return n;
}

static void
take_id(const char **p, struct id *id_r)
{
	memcpy(id_r->b, *p, sizeof(id_r->b));
	*p += sizeof(id_r->b);
}

/* --- the head of a file ------------------------------------------------------------------------------------------------------ */

void
spool_head_put(struct buf *b, const struct spool_head *h)
{
	size_t begin = b->len;

	buf_puts(b, FILE_MAGIC);
	put_number(b, SPOOL_VERSION, 4);
	put_number(b, 0, 4);
	put_number(b, (uint64_t)h->inc, 8);
	put_number(b, h->place, 8);
	put_number(b, digest_fnv64(b->data + begin, b->len - begin), 8);
	ASSERT(b->len - begin == SPOOL_HEAD);
}

enum spool_took
spool_head_take(struct span *bytes, struct spool_head *h_r)
{
	const char *p = bytes->ptr;

	if (bytes->len < SPOOL_HEAD)
		return SPOOL_TORN;
	if (memcmp(p, FILE_MAGIC, 8) != 0 || number_at(p + 8, 4) != SPOOL_VERSION ||
	    number_at(p + SPOOL_HEAD - 8, 8) != digest_fnv64(p, SPOOL_HEAD - 8))
		return SPOOL_BROKEN;
	h_r->inc = (int64_t)number_at(p + 16, 8);
	h_r->place = number_at(p + 24, 8);
	bytes->ptr += SPOOL_HEAD;
	bytes->len -= SPOOL_HEAD;
	return SPOOL_TOOK;
}

/* --- a record ------------------------------------------------------------------------------------------------------------------ */

static void
put_text(struct buf *b, struct span s)
{
	put_number(b, s.len, 4);
	buf_putspan(b, s);
}

static void
put_body(struct buf *b, const struct spool_record *r)
{
	put_number(b, (uint64_t)r->kind, 1);
	put_number(
	    b, (r->charge ? FLAG_CHARGE : 0u) | (r->crash ? FLAG_CRASH : 0u) | (r->failed ? FLAG_FAILED : 0u), 1);
	put_number(b, (uint64_t)r->class, 2);
	put_number(b, (uint64_t)(int64_t)r->exit, 8);
	put_number(b, (uint64_t)r->lease_id, 8);
	put_number(b, (uint64_t)r->delay, 8);
	put_number(b, (uint64_t)r->started_at, 8);
	put_number(b, (uint64_t)r->ended_at, 8);
	put_number(b, (uint64_t)r->ran, 8);
	buf_put(b, r->id.b, sizeof(r->id.b));
	buf_put(b, r->lo.b, sizeof(r->lo.b));
	buf_put(b, r->hi.b, sizeof(r->hi.b));
	put_text(b, r->result);
	put_text(b, r->reason);
	put_text(b, r->code);
	put_text(b, r->message);
	put_text(b, r->queue);
	put_text(b, r->task_type);
	put_text(b, r->trace_id);
}

void
spool_record_put(struct buf *b, const struct spool_record *r)
{
	struct buf body = { 0 };
	size_t begin = b->len;

	put_body(&body, r);
	buf_puts(b, RECORD_MAGIC);
	put_number(b, body.len, 4);
	put_number(b, digest_fnv64(b->data + begin, 8), 8);
	put_number(b, digest_fnv64(body.data, body.len), 8);
	buf_put(b, body.data, body.len);
	buf_free(&body);
}

static bool
take_texts(const char *p, const char *end, struct spool_record *r)
{
	struct span *const texts[TEXTS] = { &r->result, &r->reason, &r->code, &r->message, &r->queue, &r->task_type,
		&r->trace_id };

	for (int i = 0; i < TEXTS; i++) {
		size_t len;

		if (end - p < 4)
			return false;
		len = (size_t)take_number(&p, 4);
		if ((size_t)(end - p) < len)
			return false;
		*texts[i] = (struct span){ p, len };
		p += len;
	}
	return p == end;
}

static bool
take_body(struct span body, struct spool_record *r)
{
	const char *p = body.ptr;
	unsigned flags;

	if (body.len < FIXED)
		return false;
	r->kind = (int)take_number(&p, 1);
	flags = (unsigned)take_number(&p, 1);
	r->charge = (flags & FLAG_CHARGE) != 0;
	r->crash = (flags & FLAG_CRASH) != 0;
	r->failed = (flags & FLAG_FAILED) != 0;
	r->class = (int)take_number(&p, 2);
	r->exit = (int)(int64_t)take_number(&p, 8);
	r->lease_id = (int64_t)take_number(&p, 8);
	r->delay = (int64_t)take_number(&p, 8);
	r->started_at = (int64_t)take_number(&p, 8);
	r->ended_at = (int64_t)take_number(&p, 8);
	r->ran = (int64_t)take_number(&p, 8);
	take_id(&p, &r->id);
	take_id(&p, &r->lo);
	take_id(&p, &r->hi);
	ASSERT(p == body.ptr + FIXED);
	return take_texts(p, body.ptr + body.len, r);
}

/* --- what can be believed ------------------------------------------------------------------------------------------------------ */

/* The length of the body by a head that can be believed; -1: there is none here. */
static int64_t
body_length(struct span s)
{
	uint64_t len;

	if (s.len < RECORD_HEAD || memcmp(s.ptr, RECORD_MAGIC, 4) != 0 ||
	    number_at(s.ptr + 8, 8) != digest_fnv64(s.ptr, 8))
		return -1;
	len = number_at(s.ptr + 4, 4);
	return len <= BODY_MAX ? (int64_t)len : -1;
}

static bool
take_whole(struct span *s, struct spool_record *r)
{
	int64_t len = body_length(*s);
	struct span body;

	if (len < 0 || s->len - RECORD_HEAD < (size_t)len)
		return false;
	body = (struct span){ s->ptr + RECORD_HEAD, (size_t)len };
	if (number_at(s->ptr + 16, 8) != digest_fnv64(body.ptr, body.len) || !take_body(body, r))
		return false;
	s->ptr = body.ptr + body.len;
	s->len -= RECORD_HEAD + body.len;
	return true;
}

/* Nothing but the end of a write that was cut can look so. */
static bool
is_torn(struct span s)
{
	size_t zeros = 0;

	while (zeros < s.len && s.ptr[zeros] == '\0')
		zeros++;
	if (zeros == s.len)
		return true;
	if (s.len < RECORD_HEAD)
		return memcmp(s.ptr, RECORD_MAGIC, s.len < 4 ? s.len : 4) == 0;
	return body_length(s) > (int64_t)(s.len - RECORD_HEAD);
}

/* To the next record that is whole. */
static void
pass_over(struct span *s)
{
	struct spool_record r;
	const char *end = s->ptr + s->len;

	for (const char *p = s->ptr + 1; (p = memmem(p, (size_t)(end - p), RECORD_MAGIC, 4)) != NULL; p++) {
		struct span rest = { p, (size_t)(end - p) };
		struct span next = rest;

		if (!take_whole(&next, &r))
			continue;
		*s = rest;
		return;
	}
	*s = (struct span){ end, 0 };
}

enum spool_took
spool_record_take(struct span *bytes, struct spool_record *r_r)
{
	struct span all = *bytes;

	if (bytes->len == 0)
		return SPOOL_END;
	if (take_whole(bytes, r_r))
		return SPOOL_TOOK;
	pass_over(bytes);
	return bytes->len == 0 && is_torn(all) ? SPOOL_TORN : SPOOL_BROKEN;
}
