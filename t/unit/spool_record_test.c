/* spool_record_test.c - outcomes as bytes: what was written comes back, what was torn or spoilt is known, and costs no other record. */
#include "spool/spool.h"

#include "tap.h"

static struct spool_record
example(int n)
{
	return (struct spool_record){
		.id = { .b = { 1, 2, 3, [15] = (uint8_t)n } },
		.lo = { .b = { 1, 2, 3 } },
		.hi = { .b = { 1, 2, 3, [15] = 255 } },
		.lease_id = INT64_C(0x123456789abcdef0) + n,
		.kind = n % 5,
		.charge = n % 2 == 0,
		.crash = n % 3 == 0,
		.failed = n % 5 != 0,
		.class = 3,
		.exit = -1,
		.delay = INT64_C(90000000000) + n,
		.started_at = INT64_C(1760000000000000),
		.ended_at = INT64_C(1760000001000000) + n,
		.ran = 17,
		.result = SPAN("{\"a\":\"b\"}"),
		.reason = SPAN("NON_RETRYABLE"),
		.code = SPAN("NO_SUCH_ACCOUNT"),
		.message = SPAN("no account\nfor \xc3\xa4 TqO1"),
		.queue = SPAN("default"),
		.task_type = SPAN("x"),
		.trace_id = SPAN(""),
	};
}

static bool
same(const struct spool_record *a, const struct spool_record *b)
{
	return id_eq(&a->id, &b->id) && id_eq(&a->lo, &b->lo) && id_eq(&a->hi, &b->hi) && a->lease_id == b->lease_id &&
	       a->kind == b->kind && a->charge == b->charge && a->crash == b->crash && a->failed == b->failed &&
	       a->class == b->class && a->exit == b->exit && a->delay == b->delay && a->started_at == b->started_at &&
	       a->ended_at == b->ended_at && a->ran == b->ran && span_eq(a->result, b->result) &&
	       span_eq(a->reason, b->reason) && span_eq(a->code, b->code) && span_eq(a->message, b->message) &&
	       span_eq(a->queue, b->queue) && span_eq(a->task_type, b->task_type) && span_eq(a->trace_id, b->trace_id);
}

static void
put(struct buf *b, int n)
{
	struct spool_record r = example(n);

	spool_record_put(b, &r);
}

/* What is read of the bytes: "0 1 torn", "0 broken 2 end"; no number twice. */
static const char *
told(struct span bytes)
{
	static char text[200];
	struct spool_record r;
	enum spool_took took;
	size_t at = 0;

	text[0] = '\0';
	do {
		took = spool_record_take(&bytes, &r);
		if (took == SPOOL_TOOK) {
			struct spool_record want = example(r.id.b[15]);

			at += (size_t)snprintf(
			    text + at, sizeof(text) - at, same(&r, &want) ? "%d " : "wrong:%d ", r.id.b[15]);
		} else if (took == SPOOL_BROKEN) {
			at += (size_t)snprintf(text + at, sizeof(text) - at, "broken ");
		}
	} while (took != SPOOL_END && took != SPOOL_TORN);
	snprintf(text + at, sizeof(text) - at, took == SPOOL_TORN ? "torn" : "end");
	return text;
}

static void
test_head(void)
{
	const struct spool_head h = { 42, UINT64_C(0xfedcba9876543210) };
	struct spool_head got = { 0 };
	struct buf b = { 0 };
	struct span s;
	int spoilt = 0;

	spool_head_put(&b, &h);
	is_int((intmax_t)b.len, SPOOL_HEAD, "a head has its length");
	s = buf_span(&b);
	is_int(spool_head_take(&s, &got), SPOOL_TOOK, "is read");
	ok(got.inc == h.inc && got.place == h.place && s.len == 0, "as it was written");
	for (size_t n = 0; n < SPOOL_HEAD; n++) {
		s = (struct span){ b.data, n };
		spoilt += spool_head_take(&s, &got) == SPOOL_TORN;
	}
	is_int(spoilt, SPOOL_HEAD, "a part of it is torn, nothing at all too");
	spoilt = 0;
	for (size_t bit = 0; bit < SPOOL_HEAD * 8; bit++) {
		b.data[bit / 8] ^= (char)(1 << bit % 8);
		s = buf_span(&b);
		spoilt += spool_head_take(&s, &got) == SPOOL_BROKEN;
		b.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(spoilt, SPOOL_HEAD * 8, "no bit of it may be another, the version neither");
	buf_free(&b);
}

static void
test_torn(void)
{
	struct buf b = { 0 };
	size_t two;
	int torn = 0;

	is_str(told(SPAN("")), "end", "an empty file has no record");
	put(&b, 0);
	put(&b, 1);
	two = b.len;
	put(&b, 2);
	is_str(told(buf_span(&b)), "0 1 2 end", "three records");
	for (size_t n = two + 1; n < b.len; n++)
		torn += strcmp(told((struct span){ b.data, n }), "0 1 torn") == 0;
	is_int(torn, (intmax_t)(b.len - two - 1), "wherever the last one is cut, the others are there");
	memset(b.data + two, 0, b.len - two);
	is_str(told(buf_span(&b)), "0 1 torn", "so are zeros at the end");
	buf_free(&b);
}

static void
test_broken(void)
{
	struct buf b = { 0 };
	size_t one, two;
	int known[3] = { 0 };

	put(&b, 0);
	one = b.len;
	put(&b, 1);
	two = b.len;
	put(&b, 2);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (char)(1 << bit % 8);
		known[0] += strcmp(told(buf_span(&b)), "broken 1 2 end") == 0;
		known[1] += strcmp(told(buf_span(&b)), "0 broken 2 end") == 0;
		known[2] += strcmp(told(buf_span(&b)), "0 1 broken end") == 0;
		b.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(known[0], (intmax_t)one * 8, "any bit of the first record: the others are read");
	is_int(known[1], (intmax_t)(two - one) * 8, "of the second");
	is_int(known[2], (intmax_t)(b.len - two) * 8, "of the last, which is not taken for torn");
	memset(b.data + one, 0, two - one);
	is_str(told(buf_span(&b)), "0 broken 2 end", "a sector of zeros in the middle is no end");
	buf_free(&b);
}

int
main(void)
{
	test_head();
	test_torn();
	test_broken();
	return done();
}
