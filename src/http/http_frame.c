/* http_frame.c - where the body of a request ends, and whether another request may follow (RFC 9112 §3.2, §6, §7, §9).
 *
 * Everything that two readers of one connection could read differently is refused here: a length said twice, a length and
 * chunks, a coding that is not exactly "chunked", a host said twice.  A refusal always ends the connection.
 */
#include "base/base.h"

#include "http/http_int.h"

/* What decides, gathered in one pass over the fields. */
struct gathered {
	const struct http_field *host, *length, *coding, *expect;
	int hosts, lengths, codings, expects;
};

/* A comma-separated list of words holds this one, in any case. */
static bool
list_has(struct span list, const char *word)
{
	size_t i = 0, end, stop;

	while (i < list.len) {
		while (i < list.len && (list.ptr[i] == ' ' || list.ptr[i] == '\t' || list.ptr[i] == ','))
			i++;
		for (end = i; end < list.len && list.ptr[end] != ',';)
			end++;
		for (stop = end; stop > i && (list.ptr[stop - 1] == ' ' || list.ptr[stop - 1] == '\t');)
			stop--;
		if (span_ieq((struct span){ list.ptr + i, stop - i }, word))
			return true;
		i = end;
	}
	return false;
}

static void
gather(const struct http_head *h, const char *bytes, struct gathered *g, bool *close_r)
{
	int i;

	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];
		struct span name = http_field_name(f, bytes);

		if (name.len == 4 && span_ieq(name, "host")) {
			g->host = f;
			g->hosts++;
		} else if (name.len == 14 && span_ieq(name, "content-length")) {
			g->length = f;
			g->lengths++;
		} else if (name.len == 17 && span_ieq(name, "transfer-encoding")) {
			g->coding = f;
			g->codings++;
		} else if (name.len == 6 && span_ieq(name, "expect")) {
			g->expect = f;
			g->expects++;
		} else if (name.len == 10 && span_ieq(name, "connection")) {
			*close_r |= list_has(http_field_value(f, bytes), "close");
		}
	}
}

/* Nothing between colon, value and line end but at most one space: a value that needs trimming is read differently elsewhere. */
static bool
is_bare(const struct http_field *f, const char *bytes)
{
	size_t colon = (size_t)f->name + f->name_len;

	return (f->value == colon + 1 || (f->value == colon + 2 && bytes[colon + 1] == ' ')) &&
	       bytes[f->value + f->value_len] == '\r';
}

static bool
read_host(const struct http_head *h, const char *bytes, const struct gathered *g, struct http_frame *f_r,
    struct http_bad *bad)
{
	if (g->hosts == 0 && h->minor == 0)
		return true;
	if (g->hosts != 1)
		return http_refuse(bad, 400, "bad_request", "expected exactly one Host");
	f_r->host = http_field_value(g->host, bytes);
	if (!http_host_valid(f_r->host))
		return http_refuse(bad, 400, "bad_request", "Host is not a host and an optional port");
	return true;
}

static bool
read_length(const char *bytes, const struct gathered *g, struct http_frame *f_r, struct http_bad *bad)
{
	struct span v;
	size_t i;

	if (g->lengths == 0)
		return true;
	v = http_field_value(g->length, bytes);
	if (g->lengths != 1 || v.len == 0 || v.len > 19 || !is_bare(g->length, bytes))
		return http_refuse(bad, 400, "bad_request", "expected one Content-Length of decimal digits");
	f_r->content_length = 0;
	for (i = 0; i < v.len; i++)
		if (v.ptr[i] < '0' || v.ptr[i] > '9' ||
		    __builtin_mul_overflow(f_r->content_length, 10, &f_r->content_length) ||
		    __builtin_add_overflow(f_r->content_length, v.ptr[i] - '0', &f_r->content_length))
			return http_refuse(bad, 400, "bad_request", "expected one Content-Length of decimal digits");
	return true;
}

static bool
read_coding(const struct http_head *h, const char *bytes, const struct gathered *g, struct http_frame *f_r,
    struct http_bad *bad)
{
	if (g->codings == 0)
		return true;
	if (h->minor == 0)
		return http_refuse(bad, 400, "bad_request", "Transfer-Encoding in HTTP/1.0");
	if (g->lengths != 0)
		return http_refuse(bad, 400, "bad_request", "both Content-Length and Transfer-Encoding");
	if (g->codings != 1 || !is_bare(g->coding, bytes))
		return http_refuse(bad, 400, "bad_request", "expected one Transfer-Encoding: chunked");
	if (!span_ieq(http_field_value(g->coding, bytes), "chunked"))
		return http_refuse(bad, 501, "not_implemented", "the only transfer coding is chunked");
	f_r->chunked = true;
	return true;
}

/* HTTP/1.0 has no 100-continue: there it is ignored (RFC 9110 §10.1.1). */
static bool
read_expect(const struct http_head *h, const char *bytes, const struct gathered *g, struct http_frame *f_r,
    struct http_bad *bad)
{
	if (g->expects == 0)
		return true;
	if (g->expects != 1 || !span_ieq(http_field_value(g->expect, bytes), "100-continue"))
		return http_refuse(bad, 417, "expectation_failed", "the only expectation is 100-continue");
	f_r->expects = h->minor > 0 && (f_r->chunked || f_r->content_length > 0);
	return true;
}

bool
http_frame_read(const struct http_head *h, const char *bytes, struct http_frame *f_r, struct http_bad *bad)
{
	struct gathered g = { 0 };

	*f_r = (struct http_frame){ .content_length = -1, .close = h->minor == 0 };
	gather(h, bytes, &g, &f_r->close);
	return read_length(bytes, &g, f_r, bad) && read_coding(h, bytes, &g, f_r, bad) &&
	       read_host(h, bytes, &g, f_r, bad) && read_expect(h, bytes, &g, f_r, bad);
}
